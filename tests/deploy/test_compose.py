"""compose.yaml beside the code: what it sets is read, what it starts exists, what it trusts is
little. That it is a Compose file at all, `make lint` looks."""

import re
import subprocess
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.core.management import get_commands

from tests.charts.helm import CHART
from tests.deploy.compose import COMPOSE, OURS, ROOT, SERVICES, WORKERS
from tests.variables import read_by_the_code
from threadsagent.run.processes import QUIET_WORKER

WRITTEN_BY_PEOPLE = {"slack-url", "pagerduty-key", "smtp-password"}


def test_what_is_set_is_read():
    for name, service in OURS.items():
        wanted = {variable.removesuffix("_FILE") for variable in service["environment"]}
        assert wanted <= read_by_the_code(), name


def test_the_chart_tries_out_the_same_servers():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    images = set(values["bundled"]["images"].values())
    assert images == {SERVICES[name]["image"] for name in ("postgres", "redis", "rabbitmq")}


def test_what_is_read_from_a_file_is_a_secret_of_the_service():
    for name, service in SERVICES.items():
        for variable, path in service.get("environment", {}).items():
            if variable.endswith("_FILE"):
                assert path.removeprefix("/run/secrets/") in service["secrets"], (name, variable)


def test_no_variable_holds_a_secret():
    for service in SERVICES.values():
        for variable in service.get("environment", {}):
            assert variable.endswith("_FILE") or not re.search("PASS|SECRET|TOKEN|KEY", variable)


def test_each_queue_has_a_worker_of_its_own(settings):
    queues = [
        service["command"][service["command"].index("-Q") + 1] for service in WORKERS.values()
    ]
    routes = settings.CELERY_TASK_ROUTES.values()
    wanted = {settings.CELERY_TASK_DEFAULT_QUEUE, *(route["queue"] for route in routes)}
    assert sorted(queues) == sorted(wanted)


def test_workers_do_not_listen_to_each_other():
    for service in WORKERS.values():
        assert set(QUIET_WORKER) <= set(service["command"])


def test_the_commands_exist():
    for service in OURS.values():
        match service["command"]:
            case ["python", "manage.py", command, *_]:
                assert command in get_commands()
            case [program, *arguments]:
                assert program in {"gunicorn", "celery"}
                assert {"threadsagent", "threadsagent.wsgi"} & set(arguments)


def test_nothing_of_ours_starts_before_the_database_is_as_the_code_wants_it():
    for name, service in OURS.items():
        before = service["depends_on"]
        if name == "migrate":
            assert before == {"postgres": {"condition": "service_healthy"}}
        elif name == "fake-platform":
            assert before == {"web": {"condition": "service_healthy"}}
        else:
            assert before["migrate"] == {"condition": "service_completed_successfully"}


def test_images_are_pinned_and_ours_are_of_this_version():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    for name, service in SERVICES.items():
        if name in OURS:
            assert service["image"] in {
                f"threadsagent:{version}",
                f"threadsagent-training:{version}",
            }
        else:
            assert re.search(r":v?\d+\.\d+(\.\d+)?(-\w+)?$", service["image"]), service["image"]
    assert f'image.version="{version}"' in (ROOT / "Dockerfile").read_text()


def test_each_image_of_ours_is_built_by_one_service():
    built = [service["image"] for service in OURS.values() if "build" in service]
    assert sorted(built) == sorted({service["image"] for service in OURS.values()})


def test_nobody_outside_this_machine_is_let_in_unless_it_is_asked_for():
    for service in SERVICES.values():
        for port in service.get("ports", ()):
            assert re.match(r"(\$\{\w+:-127\.0\.0\.1\}|127\.0\.0\.1):", port)


def test_services_have_no_rights_that_they_do_not_need():
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not {"privileged", "cap_add", "pid", "ipc", "network_mode", "devices"} & set(service)
        assert not any("docker.sock" in volume for volume in service.get("volumes", ()))


def test_the_root_is_read_only_wherever_compose_writes_nothing_there():
    """It copies inline configurations into the container, and refuses to start a read-only one."""
    for name, service in SERVICES.items():
        assert service["read_only"] is ("configs" not in service), name
    assert all("content" in config for config in COMPOSE["configs"].values())


def test_ours_write_into_memory_only():
    for name, service in OURS.items():
        metrics = service["environment"]["PROMETHEUS_MULTIPROC_DIR"]
        assert {"/tmp", metrics} <= set(service["tmpfs"]), name  # noqa: S108 - of the container
        assert service.get("volumes", []) == (
            ["fake-platform:/data"] if name == "fake-platform" else []
        )


def test_databases_are_reached_from_inside_only():
    assert COMPOSE["networks"]["inside"]["internal"]
    for name in ("postgres", "redis", "rabbitmq"):
        assert SERVICES[name]["networks"] == ["inside"]
        assert "ports" not in SERVICES[name]


def test_every_service_is_watched_and_bounded():
    for name, service in SERVICES.items():
        assert {"cpus", "memory", "pids"} <= set(service["deploy"]["resources"]["limits"]), name
        assert "logging" in service
        once = service["restart"] == "no"
        if name == "web":
            assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
        else:
            assert service["healthcheck"].get("disable", False) is once, name


def test_what_is_mounted_is_there():
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source[0] == "." else source in COMPOSE["volumes"]


def test_prometheus_asks_every_process_for_its_metrics():
    config = yaml.safe_load(COMPOSE["configs"]["prometheus"]["content"])
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    asked = {
        (name, entry["port"])
        for entry in jobs["threadsagent"]["dns_sd_configs"]
        for name in entry["names"]
    }
    listening = {
        (name, service["environment"]["METRICS_PORT"])
        for name, service in OURS.items()
        if "METRICS_PORT" in service["environment"]
    }
    assert asked == listening | {("web", 8000)}
    assert set(WORKERS) | {"beat"} == {name for name, _ in listening}
    others = [entry for job in jobs.values() for entry in job.get("static_configs", ())]
    hosts = {target.split(":")[0] for entry in others for target in entry["targets"]}
    assert hosts <= {"127.0.0.1", *SERVICES}


# The secrets ------------------------------------------------------------------------------------


@pytest.fixture
def secrets(tmp_path) -> Path:
    """What `make secrets` makes."""
    make_secrets(tmp_path)
    return tmp_path / "secrets"


def make_secrets(folder: Path) -> None:
    subprocess.run(["make", "-s", "-C", folder, "-f", ROOT / "Makefile", "secrets"], check=True)


def test_the_secrets_are_those_that_compose_reads(secrets):
    wanted = {secret["file"].removeprefix("./secrets/") for secret in COMPOSE["secrets"].values()}
    # From three of them other files are made, which hold them too.
    parts = {"database_password", "redis_password", "rabbitmq_password"}
    assert {path.name for path in secrets.iterdir()} == wanted | parts
    used = {
        entry if isinstance(entry, str) else entry["source"]
        for service in SERVICES.values()
        for entry in service.get("secrets", ())
    }
    assert used == set(COMPOSE["secrets"])


def test_secrets_are_long_and_each_its_own(secrets):
    made = {path.name: path.read_text().strip() for path in secrets.iterdir()}
    assert {name for name, value in made.items() if not value} == WRITTEN_BY_PEOPLE
    values = [value for value in made.values() if re.fullmatch(r"[0-9a-f]{48}", value)]
    assert len(values) == len(set(values)) == 9


def test_secrets_that_are_there_stay(secrets):
    before = {path: path.read_text() for path in secrets.iterdir()}
    make_secrets(secrets.parent)
    assert {path: path.read_text() for path in secrets.iterdir()} == before


def test_only_their_owner_reaches_the_secrets_and_every_container_may_read_its_own(secrets):
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o644}


def test_the_addresses_lead_to_the_services_with_their_passwords(secrets):
    def read(name: str) -> str:
        return (secrets / name).read_text()

    for name, service, holder in (
        ("database_url", "postgres", "role.sql"),
        ("redis_url", "redis", "redis.conf"),
        ("broker_url", "rabbitmq", "rabbitmq.conf"),
    ):
        url = urlsplit(read(name).strip())
        assert url.hostname == service
        assert url.password
        assert url.password in read(holder)


def test_secrets_get_neither_into_git_nor_into_the_image():
    assert "secrets/" in (ROOT / ".gitignore").read_text().splitlines()
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in rules  # all stays out but what is named
    assert not any(rule.startswith(("!secrets", "!.env", "!.")) for rule in rules)
