"""The chart's own commands, variables, secret files and probes start the real processes: what a pod
runs, here without containers, so with this machine's addresses, ports and folders."""

import json
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import httpx
import pytest
from django.conf import settings
from knox.models import AuthToken

from comments import monitors
from comments.models import Comment
from comments.tasks import poll_monitors
from tests.charts.helm import Object, named, render
from tests.factories import UserFactory
from tests.integration.processes import database_url, eventually, process
from threadsagent.embedded import free_port

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]

TOKEN = "token-from-a-file"


@dataclass
class Pod:
    """A Deployment's container on this machine."""

    container: Object
    folder: Path
    port: int
    child: subprocess.Popen[bytes] = field(init=False)

    @property
    def log(self) -> Path:
        return self.folder / "log"

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

    def url(self, path: str) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}{path}"

    def passes(self, probe: str) -> bool:
        """Whether kubelet would be content."""
        check = self.container[probe]
        try:
            answer = httpx.get(self.url(check["httpGet"]["path"]), timeout=check["timeoutSeconds"])
        except httpx.TransportError:
            return False
        return answer.is_success

    def metrics(self, token: str) -> httpx.Response:
        """What Prometheus would read."""
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(self.url("/metrics"), headers=headers, timeout=10)


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
    with process(pod.log, *pod.command(), **pod.environment(objects)) as pod.child:
        yield pod


def objects_with(*options: str) -> list[Object]:
    """The chart's objects, on the services of this test."""
    given = {
        "SECRET_KEY": "from-a-file",
        "METRICS_TOKEN": TOKEN,
        "DATABASE_URL": database_url(),
        "REDIS_URL": settings.CACHES["default"]["LOCATION"],
        "CELERY_BROKER_URL": settings.CELERY_BROKER_URL,
    }
    secrets = f"--set-json=secret.values={json.dumps(given)}"
    return render("dev", secrets, "--set=fakePlatform.enabled=false", *options)


def start(stack: ExitStack, objects: list[Object], folder: Path, *components: str) -> list[Pod]:
    """These components, once they are ready."""
    pods = [stack.enter_context(running(objects, each, folder / each)) for each in components]
    for pod in pods:
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            eventually(partial(pod.passes, probe), probe, log=pod.log)
    return pods


def test_the_processes_of_the_chart_start_pass_their_probes_and_are_scraped(tmp_path):
    with ExitStack() as stack:
        for pod in start(stack, objects_with(), tmp_path, "web", "worker-send", "beat"):
            assert pod.metrics(TOKEN).status_code == 200
            assert pod.metrics("another").status_code == 403


class SlowPlatform:
    """A platform that answers when the test says so, with one comment a post."""

    def __init__(self) -> None:
        self.asked: set[str] = set()
        self.may_answer = Event()
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                post = self.path.split("/")[2]
                platform.asked.add(post)
                platform.may_answer.wait(60)
                comment = {"id": f"of-{post}", "text": "How much is it?", "author": "ada"}
                comment["timestamp"] = "2026-01-01T00:00:00Z"
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"data": [comment], "paging": {}}).encode())

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def slow_platform() -> Iterator[SlowPlatform]:
    platform = SlowPlatform()
    Thread(target=platform.server.serve_forever, daemon=True).start()
    yield platform
    platform.may_answer.set()
    platform.server.shutdown()
    platform.server.server_close()


def test_what_a_pod_has_begun_when_it_is_told_to_end_it_does_to_the_end(tmp_path, slow_platform):
    objects = objects_with(f"--set=settings.FAKE_PLATFORM_URL={slow_platform.url}")
    _token, key = AuthToken.objects.create(UserFactory(is_superuser=True))
    headers = {"Authorization": f"Token {key}"}
    monitors.start("worker", source="fake_platform")
    with ExitStack() as stack:
        web, worker = start(stack, objects, tmp_path, "web", "worker-poll")
        calls = stack.enter_context(ThreadPoolExecutor())
        call = calls.submit(
            httpx.post,
            web.url("/comments/process"),
            json={"post_id": "web"},
            headers=headers,
            timeout=60,
        )
        poll_monitors.delay()
        eventually(lambda: slow_platform.asked == {"web", "worker"}, "both asked", log=worker.log)
        for pod in (web, worker):
            pod.child.terminate()
        eventually(lambda: not web.passes("livenessProbe"), "web takes no more", log=web.log)
        slow_platform.may_answer.set()
        assert call.result().status_code == 200
        assert [pod.child.wait(30) for pod in (web, worker)] == [0, 0]
    ids = set(Comment.objects.values_list("external_id", flat=True))
    assert ids == {"of-web", "of-worker"}
