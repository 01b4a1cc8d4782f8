"""How the processes run: their commands, how they scale, and how they end."""

import re
from typing import Any

import pytest
from django.conf import settings

from dmtrigger import endpoints, tasks
from tests.charts.helm import ENVIRONMENTS, ROOT, Object, named, of_kind, pods, render
from threadsagent import gunicorn

KINDS = ("analyze", "send", "poll", "default")


def pod_of(environment: str, component: str, *options: str) -> Object:
    """The pod of a Deployment."""
    deployment = named(render(environment, *options), "Deployment", f"threadsagent-{component}")
    spec: Object = deployment["spec"]["template"]["spec"]
    return spec


def command(pod: Object) -> str:
    """What its container runs."""
    container: Object = pod["containers"][0]
    return " ".join(container["command"] + container.get("args", []))


# Commands ---------------------------------------------------------------------------------------


def test_every_queue_has_workers():
    routes: dict[str, Any] = dict(settings.CELERY_TASK_ROUTES)
    queues = {route["queue"] for route in routes.values()}
    assert queues | {settings.CELERY_TASK_DEFAULT_QUEUE} == set(KINDS)
    for kind in KINDS:
        assert f"--queues={kind} " in command(pod_of("prod", f"worker-{kind}"))


def test_the_commands_are_those_of_the_documentation():
    documented = (ROOT / "docs" / "settings.md").read_text()
    web = command(pod_of("prod", "web"))
    assert web.startswith(
        "gunicorn threadsagent.wsgi -c threadsagent/gunicorn.py --bind=0.0.0.0:8000"
    )
    assert "gunicorn threadsagent.wsgi -c threadsagent/gunicorn.py" in documented
    worker = command(pod_of("prod", "worker-send"))
    assert worker.startswith("celery -A threadsagent worker --queues=send --concurrency=2")
    quiet = "--without-heartbeat --without-gossip --without-mingle"
    assert quiet in worker
    assert quiet in documented
    assert command(pod_of("prod", "beat")).startswith("celery -A threadsagent beat")


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_there_is_one_scheduler_and_never_two(environment):
    beat = named(render(environment), "Deployment", "threadsagent-beat")["spec"]
    assert beat["replicas"] == 1
    assert beat["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_nothing_is_written_but_where_there_is_a_disk(environment):
    for name, pod in pods(render(environment)):
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])} | {"data"}
        for container in pod["spec"]["containers"]:
            mounts = {
                mount["name"]: mount["mountPath"] for mount in container.get("volumeMounts", [])
            }
            assert mounts.keys() <= volumes, name
            for variable in container.get("env", []):
                if variable["name"] == "PROMETHEUS_MULTIPROC_DIR":
                    assert variable["value"] in mounts.values(), name
            for argument in container.get("args", []):
                for path in re.findall(r"=(/\w+)", argument):
                    assert path in (*mounts.values(), "/dev"), f"{name}: {argument}"


# Scaling ----------------------------------------------------------------------------------------


def test_web_and_analysis_scale_as_the_spec_says():
    scalers = of_kind(render("prod"), "HorizontalPodAutoscaler")
    assert {s["metadata"]["name"] for s in scalers} == {
        "threadsagent-web",
        "threadsagent-worker-analyze",
    }
    for scaler in scalers:
        spec = scaler["spec"]
        assert (spec["minReplicas"], spec["maxReplicas"]) == (2, 10)
        assert spec["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
        # Up in 15 to 60 seconds, down in 5 to 10 minutes.
        assert spec["behavior"]["scaleUp"]["stabilizationWindowSeconds"] == 15
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300


def test_the_queue_that_counts_is_the_rows_as_one_number_of_the_whole_system():
    for environment, kind in (("prod", "HorizontalPodAutoscaler"), ("staging", "ScaledObject")):
        scalers = of_kind(render(environment), kind)
        asked = [
            str(s["spec"]) for s in scalers if "comment_processing_queue_length" in str(s["spec"])
        ]
        assert len(asked) == 1
        assert "'threadsagent-worker-analyze'" in asked[0]
    (scaler,) = (
        s
        for s in of_kind(render("prod"), "HorizontalPodAutoscaler")
        if len(s["spec"]["metrics"]) > 1
    )
    external = scaler["spec"]["metrics"][1]
    assert external["type"] == "External"
    assert external["external"]["target"] == {"type": "AverageValue", "averageValue": "50"}


@pytest.mark.parametrize(
    ("environment", "kind"), [("prod", "HorizontalPodAutoscaler"), ("staging", "ScaledObject")]
)
def test_one_thing_at_a_time_scales(environment, kind):
    scalers = of_kind(render(environment), "HorizontalPodAutoscaler", "ScaledObject")
    assert {each["kind"] for each in scalers} == {kind}
    targets = [each["spec"]["scaleTargetRef"]["name"] for each in scalers]
    assert len(targets) == len(set(targets))


def test_production_has_the_specs_resources():
    (web,) = pod_of("prod", "web")["containers"]
    assert web["resources"] == {
        "requests": {"cpu": "200m", "memory": "512Mi"},
        "limits": {"cpu": "1", "memory": "1Gi"},
    }
    config = named(render("prod"), "ConfigMap", "threadsagent")["data"]
    spec = {"DEDUP_CACHE_TTL": "3600", "PROCESSING_TIMEOUT": "30", "RATE_LIMIT_PER_MINUTE": "100"}
    assert config.items() >= spec.items()


# The end ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [30, 90])
def test_web_ends_after_its_longest_request_and_after_the_load_balancer_knows(seconds):
    pod = pod_of("prod", "web", f"--set=settings.PROCESSING_TIMEOUT={seconds}")
    (container,) = pod["containers"]
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    (graceful,) = map(int, re.findall(r"--graceful-timeout=(\d+)", command(pod)))
    assert before >= 5  # what endpoints take to spread
    assert graceful > seconds  # a call that fetches a post
    assert pod["terminationGracePeriodSeconds"] >= before + graceful + 5


def test_web_is_not_thought_dead_while_it_waits_for_a_platform():
    (container,) = pod_of("prod", "web")["containers"]
    probe = container["livenessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= gunicorn.timeout > 30


@pytest.mark.parametrize("seconds", [30, 90])
def test_a_worker_that_polls_ends_its_round_and_the_poll_it_has_begun(seconds):
    pod = pod_of("prod", "worker-poll", f"--set=settings.PROCESSING_TIMEOUT={seconds}")
    assert pod["terminationGracePeriodSeconds"] > 2 * seconds


def test_a_worker_that_sends_ends_its_task_when_each_answer_takes_a_second():
    grace = pod_of("prod", "worker-send")["terminationGracePeriodSeconds"]
    assert grace > tasks.MESSAGES_A_TASK + 20


def test_a_worker_that_tells_others_ends_its_task_however_slow_they_are():
    grace = pod_of("prod", "worker-default")["terminationGracePeriodSeconds"]
    assert grace > tasks.BATCHES_A_TASK * endpoints.POST_SECONDS


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_update_takes_no_pod_away_before_the_new_one_is_ready(environment):
    for each in of_kind(render(environment), "Deployment"):
        if each["spec"]["strategy"].get("type") != "Recreate":
            assert each["spec"]["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
