"""What the chart renders is what Kubernetes and the operators take."""

import pytest

from tests.charts.helm import CHART, ENVIRONMENTS, label, render, run, values_of
from tests.charts.schemas import CUSTOM, problems, versions

# What the three environments do not use together, so that every line of the templates is looked at.
OTHER = (
    "--set=image.pullSecrets={registry}",
    "--set=nodeSelector.pool=shop",
    "--set=tolerations[0].key=shop,tolerations[0].operator=Exists",
    "--set=priorityClassName=high",
    "--set=networkPolicy.clients[0].podSelector.matchLabels.app=shop",
)


def test_the_schemas_reach_from_the_oldest_supported_kubernetes_to_a_newer_one():
    assert versions()[0] == "1.31.0"
    assert len(versions()) > 1


@pytest.mark.parametrize("version", versions())
def test_every_object_is_valid(version):
    for environment in ENVIRONMENTS:
        for each in render(environment) + render(environment, *OTHER):
            assert not problems(each, version), f"{environment}: {label(each)}"


@pytest.mark.parametrize("version", [versions()[0], versions()[-1]])
def test_a_field_that_there_is_not_would_be_noticed(version):
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {"selector": {}, "template": {"spec": {"containers": [], "restart": "Never"}}},
    }
    assert "'restart' was unexpected" in problems(deployment, version)[0]


def test_every_custom_resource_of_the_chart_is_looked_at():
    kinds = {key for key in CUSTOM if not key.startswith("$")}
    rendered = {
        f"{each['apiVersion']}/{each['kind']}"
        for environment in ENVIRONMENTS
        for each in render(environment)
    }
    assert kinds <= rendered


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_helm_lint_finds_nothing(environment):
    result = run("lint", "--strict", values_of(environment), str(CHART))
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_notes_say_where_to_go(environment):
    options = ("--dry-run=client", "--namespace=shop", values_of(environment))
    notes = run("install", "buyers", str(CHART), *options).stdout.partition("NOTES:")[2]
    assert "helm -n shop test buyers" in notes
    where = {
        "dev": "port-forward svc/buyers-threadsagent-web 8000",
        "staging": "https://threadsagent.staging.example.com/admin/",
        "prod": "https://threadsagent.example.com/admin/",
    }
    assert where[environment] in notes
