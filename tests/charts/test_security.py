"""What linters for Kubernetes ask of every object (kube-linter, checkov), and Pod Security's
*restricted* profile; each exception says why."""

import json
import re

import pytest

from tests.charts.helm import (
    ENVIRONMENTS,
    containers,
    label,
    of_kind,
    pods,
    render,
)

BUNDLED = re.compile(r"StatefulSet/.*-(postgresql|redis|rabbitmq)(/|$)")
LONG_RUNNING = ("Deployment", "StatefulSet")
# Volumes that the restricted profile allows.
VOLUMES = {"configMap", "downwardAPI", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
LABELS = {"name", "instance", "component", "version", "managed-by"}
SECRET = re.compile("SECRET|TOKEN|PASS|SALT|_URL$|KEY")
NO_SECRETS = {"PUBLIC_URL", "FAKE_PLATFORM_URL"}  # addresses without a password


def test_images_are_pinned(objects):
    for name, container in containers(objects):
        image = container["image"]
        assert "@sha256:" in image or re.search(r":[\w.-]*\d[\w.-]*$", image), name
        assert not image.endswith(":latest"), name


def test_every_container_has_requests_and_limits(objects):
    for name, container in containers(objects):
        for bound in ("requests", "limits"):
            assert set(container["resources"][bound]) == {"cpu", "memory"}, name


def test_pods_run_as_an_ordinary_user(objects):
    for name, pod in pods(objects):
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        # The images of the trial's services bring users of their own.
        assert context["runAsUser"] >= (1 if BUNDLED.match(name) else 10_000), name


def test_containers_may_do_nothing_and_change_nothing(objects):
    for name, container in containers(objects):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_nothing_of_the_host_is_used(objects):
    for name, pod in pods(objects):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod["spec"].keys(), name
        for volume in pod["spec"].get("volumes", []):
            (kind,) = volume.keys() - {"name"}
            assert kind in VOLUMES, name
            assert kind != "emptyDir" or volume[kind]["sizeLimit"], f"{name}: a disk can be filled"
    for name, container in containers(objects):
        assert not any("hostPort" in port for port in container.get("ports", [])), name


def test_pods_have_no_rights_in_the_cluster(objects):
    assert not of_kind(objects, "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding")
    for account in of_kind(objects, "ServiceAccount"):
        assert account["automountServiceAccountToken"] is False
    accounts = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    for name, pod in pods(objects):
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert pod["spec"]["serviceAccountName"] in accounts, name


def test_what_runs_on_is_probed(objects):
    for each in of_kind(objects, *LONG_RUNNING):
        for container in each["spec"]["template"]["spec"]["containers"]:
            assert {"livenessProbe", "readinessProbe"} <= container.keys(), label(each)
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                action = container.get(probe, {})
                target = action.get("httpGet") or action.get("tcpSocket")
                assert target is None or target["port"] in ports, label(each)


def test_no_probe_that_restarts_a_process_asks_for_the_database(objects):
    for name, container in containers(objects):
        if container["name"] in ("web", "worker", "beat"):
            assert container["livenessProbe"]["httpGet"]["path"] == "/health/live", name


def test_objects_have_the_recommended_labels(objects):
    for each in objects:
        have = {key.removeprefix("app.kubernetes.io/") for key in each["metadata"]["labels"]}
        assert have >= LABELS, label(each)
    for name, pod in pods(objects):
        assert pod["metadata"]["labels"].keys() >= {"app.kubernetes.io/component"}, name


def test_no_object_says_in_which_namespace_it_belongs(objects):
    assert not [label(each) for each in objects if "namespace" in each["metadata"]]


def test_no_secret_stands_outside_a_secret(objects):
    for each in of_kind(objects, "ConfigMap"):
        names = set(each["data"] or {}) - NO_SECRETS
        assert not [name for name in names if SECRET.search(name)], label(each)
    for name, container in containers(objects):
        for variable in container.get("env", []):
            if SECRET.search(variable["name"]):
                # Nor in the environment, which every child process inherits: only in a file.
                assert variable["name"].endswith("_FILE"), f"{name}: {variable['name']}"
                assert variable["value"].startswith("/run/secrets/"), name


def test_no_word_of_a_secret_stands_outside_a_secret():
    words = {
        "SECRET_KEY": "k-word",
        "METRICS_TOKEN": "m-word",
        "FAKE_PLATFORM_APP_SECRET": "a-word",
        "DEMO_PASSWORD": "d-word",
    }
    options = [f"--set=secret.values.{name}={word}" for name, word in words.items()]
    objects = render(
        "dev", *options, "--set=bundled.password=b-word-long", "--set=monitoring.enabled=true"
    )
    secrets = json.dumps(of_kind(objects, "Secret"))
    others = json.dumps([each for each in objects if each["kind"] != "Secret"])
    for word in (*words.values(), "b-word-long"):
        assert word in secrets
        assert word not in others


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_has_copies_keeps_one_through_maintenance_and_spreads_them(environment):
    objects = render(environment)
    protected = {each["metadata"]["name"] for each in of_kind(objects, "PodDisruptionBudget")}
    scaled = {
        each["spec"]["scaleTargetRef"]["name"]: each["spec"].get("minReplicas")
        or each["spec"]["minReplicaCount"]
        for each in of_kind(objects, "HorizontalPodAutoscaler", "ScaledObject")
    }
    for each in of_kind(objects, "Deployment"):
        name, spec = each["metadata"]["name"], each["spec"]
        copies = spec["replicas"] if "replicas" in spec else scaled[name]
        # The budget of a single pod would keep its node from ever being emptied.
        assert (name in protected) == (copies > 1), name
        assert copies == 1 or spec["template"]["spec"]["topologySpreadConstraints"], name


def test_the_exceptions_are_still_needed():
    assert any(BUNDLED.match(name) for name, _pod in pods(render("dev")))
