"""The chart's own commands, variables, secret files and probes start the real processes: what a pod
runs, here without containers, so with this machine's addresses, ports and folders."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.charts.helm import Object, named, render
from tests.integration.processes import database_url, eventually, process
from threadsagent.embedded import free_port

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

COMPONENTS = ("web", "worker-send", "beat")  # one of each kind


@dataclass
class Pod:
    """A Deployment's container on this machine."""

    container: Object
    folder: Path
    port: int

    def here(self, text: str) -> str:
        """A path, port or address of the pod as it is on this machine."""
        for mount in self.container["volumeMounts"]:
            text = text.replace(mount["mountPath"] + "/", f"{self.folder / mount['name']}/")
            if text == mount["mountPath"]:
                text = str(self.folder / mount["name"])
        text = re.sub(r"\b(8000|9100)$", str(self.port), text)
        return text.replace("$(POD_IP)", "127.0.0.1")

    def command(self) -> list[str]:
        """What `python -m` has to run."""
        return [self.here(word) for word in self.container["command"] + self.container["args"]]

    def environment(self, objects: list[Object]) -> dict[str, str]:
        """The variables that the chart gives it."""
        (source,) = self.container["envFrom"]
        config = named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
        own = {v["name"]: self.here(v["value"]) for v in self.container["env"] if "value" in v}
        return {**config, **own}

    def passes(self, probe: str) -> bool:
        """Whether kubelet would be content."""
        check = self.container[probe]
        url = f"http://127.0.0.1:{self.port}{check['httpGet']['path']}"
        try:
            return httpx.get(url, timeout=check["timeoutSeconds"]).is_success
        except httpx.TransportError:
            return False

    def metrics(self, token: str) -> httpx.Response:
        """What Prometheus would read."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", headers=headers, timeout=10)


@contextmanager
def running(objects: list[Object], component: str, folder: Path) -> Iterator[Pod]:
    """A Deployment's container, started with its secrets as files."""
    deployment = named(objects, "Deployment", f"threadsagent-{component}")
    spec = deployment["spec"]["template"]["spec"]
    for volume in spec["volumes"]:
        (folder / volume["name"]).mkdir(parents=True)
        for item in volume.get("secret", {}).get("items", []):
            secret = named(objects, "Secret", volume["secret"]["secretName"])["stringData"]
            (folder / volume["name"] / item["path"]).write_text(secret[item["key"]])
    pod = Pod(spec["containers"][0], folder, free_port())
    with process(folder / "log", *pod.command(), **pod.environment(objects)):
        yield pod


def test_the_processes_of_the_chart_start_and_pass_their_probes(tmp_path):
    given = {
        "SECRET_KEY": "from-a-file",
        "METRICS_TOKEN": "token-from-a-file",
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.CACHES["default"]["LOCATION"],
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
    }
    objects = render(
        "dev", f"--set-json=secret.values={json.dumps(given)}", "--set=fakePlatform.enabled=false"
    )
    with ExitStack() as stack:
        pods = {
            name: stack.enter_context(running(objects, name, tmp_path / name))
            for name in COMPONENTS
        }
        for name, pod in pods.items():
            log = tmp_path / name / "log"
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                eventually(
                    lambda pod=pod, probe=probe: pod.passes(probe), f"{name} {probe}", log=log
                )
            assert pod.metrics("token-from-a-file").status_code == 200, name
            assert pod.metrics("another").status_code == 403, name
