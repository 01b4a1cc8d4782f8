"""The chart and the code agree on the environment: both ways."""

import json
import re
from typing import Any

import pytest

from tests.charts.helm import CHART, ENVIRONMENTS, ROOT, containers, named, of_kind, pods, render
from tests.variables import read_by_the_code

SCHEMA = json.loads((CHART / "values.schema.json").read_text())["properties"]
# What the chart sets by itself, since it follows from how it runs the processes.
BY_ITSELF = {"PROMETHEUS_MULTIPROC_DIR", "METRICS_PORT"}
NOT_OURS = {
    "STATIC_ROOT": "the files are collected when the image is made",
    "FAKE_PLATFORM_PUSH_TOKEN": "the trial's comments are polled, not pushed",
    "DJANGO_SETTINGS_MODULE": "there is one",
}
# Read by OpenTelemetry's library.
BY_A_LIBRARY = {"OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"}
# Read by nobody but Kubernetes, which puts it into ALLOWED_HOSTS.
WITHIN_OTHERS = {"POD_IP"}


def settable(part: str) -> dict[str, Any]:
    """The variables that `settings` or `secret.values` takes, with their schemas."""
    schema = SCHEMA["settings"] if part == "settings" else SCHEMA["secret"]["properties"]["values"]
    return dict(schema["properties"])


def set_by_the_chart(environment: str) -> set[str]:
    """Every variable of the application's containers."""
    objects = render(environment)
    image = {c["image"] for name, c in containers(objects) if name.endswith("-web/web")}
    names = {
        variable["name"].removesuffix("_FILE")
        for _name, container in containers(objects)
        if container["image"] in image
        for variable in container.get("env", [])
    }
    for each in of_kind(objects, "ConfigMap"):
        if each["metadata"]["name"] in ("threadsagent", "threadsagent-migrate"):
            names |= set(each["data"])
    for each in of_kind(objects, "Secret"):
        if not each["metadata"]["name"].endswith("-bundled"):
            names |= set(each["stringData"])
    return names


def test_the_reader_of_the_code_finds_every_way_to_read_a_variable():
    found = read_by_the_code()
    assert {"SECRET_KEY", "DEDUP_CACHE_TTL", "CONVERSIONS_SECRET", "WEB_CONCURRENCY"} <= found
    assert {"DEMO_PASSWORD", "FAKE_PLATFORM_PUSH_TOKEN", "PROMETHEUS_MULTIPROC_DIR"} <= found


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_the_code_reads_every_variable_that_the_chart_sets(environment):
    assert set_by_the_chart(environment) - WITHIN_OTHERS <= read_by_the_code()


def test_the_code_reads_every_variable_that_values_can_set():
    can = settable("settings").keys() | settable("secret").keys()
    assert can - BY_A_LIBRARY <= read_by_the_code()


def test_the_chart_can_set_every_variable_that_the_code_reads():
    can = settable("settings").keys() | settable("secret").keys() | BY_ITSELF
    assert read_by_the_code() - NOT_OURS.keys() <= can
    assert not can & NOT_OURS.keys()


def test_the_chart_can_set_every_variable_of_the_documentation():
    documented = set(
        re.findall(r"^\| `([A-Z_]+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.M)
    )
    can = settable("settings").keys() | settable("secret").keys() | BY_ITSELF
    assert documented - NOT_OURS.keys() <= can


def test_a_secret_is_no_setting():
    assert not settable("settings").keys() & settable("secret").keys()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_each_variable_reaches_every_process(environment):
    for name, pod in pods(render(environment)):
        for container in pod["spec"]["containers"]:
            if container["name"] in ("web", "worker", "beat", "migrate", "setup-demo"):
                (source,) = container["envFrom"]
                assert source["configMapRef"]["name"] in ("threadsagent", "threadsagent-migrate")
                files = [v["value"] for v in container["env"] if v["name"].endswith("_FILE")]
                (volume,) = (v["secret"] for v in pod["spec"]["volumes"] if v["name"] == "secrets")
                (mount,) = (m for m in container["volumeMounts"] if m["name"] == "secrets")
                there = [f"{mount['mountPath']}/{item['path']}" for item in volume["items"]]
                assert files == there, name
                assert len(files) >= 5, name


def test_every_setting_that_values_can_set_comes_through():
    samples: dict[str, Any] = {"integer": 41, "number": 0.5, "boolean": True, "string": "https://x"}
    given = {
        name: schema["enum"][0] if "enum" in schema else samples[schema["type"]]
        for name, schema in settable("settings").items()
    }
    objects = render("prod", f"--set-json=settings={json.dumps(given)}")
    config = named(objects, "ConfigMap", "threadsagent")
    written = {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in given.items()
        if name != "ALLOWED_HOSTS"  # with the pod's own address, in the pod
    }
    assert config["data"].items() >= written.items()
