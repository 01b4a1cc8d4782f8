"""A real Prometheus and a real Alertmanager for a test, and the three who are told of alerts.

PagerDuty, Slack and the mail server are played here; what arrives is what the real ones would get.
The product's rules and routes are used as they are, but in a hurry: no `for`, windows of seconds,
no waiting before an alert is told.
"""

import email
import email.policy
import json
import re
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import yaml

from tests.charts.files import ALERTMANAGER, RULES
from tests.integration.processes import answers, eventually
from threadsagent.embedded import free_port, guarded

WINDOW = "10s"
LINGER = "15s"
SCRAPE = "2s"


class Told(NamedTuple):
    """An alert as somebody was told of it."""

    receiver: str
    alert: str
    firing: bool


class Inbox:
    """What PagerDuty, Slack and the mail server have got, in this order."""

    def __init__(self) -> None:
        self.told: list[Told] = []

    def page(self, body: dict[str, Any]) -> None:
        """An event of PagerDuty's Events API."""
        assert body["routing_key"] == "the key of PagerDuty"
        firing = body["event_action"] == "trigger"
        details = body["payload"]["custom_details"]
        for name in _names(details["firing" if firing else "resolved"]):
            self.told.append(Told("pagerduty", name, firing))

    def post(self, body: dict[str, Any]) -> None:
        """A message to Slack's incoming webhook."""
        title = body["attachments"][0]["title"]
        found = re.match(r"\[(FIRING|RESOLVED)\] (\w+): .", title)
        assert found, title
        self.told.append(Told("slack", found[2], found[1] == "FIRING"))

    def mail(self, content: bytes) -> None:
        """A mail, which names the alerts that fire and then those that are over."""
        message = email.message_from_bytes(content, policy=email.policy.default)
        body = message.get_body(("html",))
        assert body is not None
        fires, _, over = body.get_content().partition("Resolved</strong>")
        for part, firing in ((fires, True), (over, False)):
            self.told += [Told("email", name, firing) for name in _names(part)]

    def missing(self, alerts: set[tuple[str, str]], *, firing: bool) -> set[tuple[str, str]]:
        """Those of the alerts, as receiver and name, of which nobody was told that they fire, or
        of which the last word is not that they are over."""
        if firing:
            return alerts - {(each.receiver, each.alert) for each in self.told if each.firing}
        latest = {(each.receiver, each.alert): each.firing for each in self.told}
        return {alert for alert in alerts if latest.get(alert) is not False}


def _names(text: str) -> list[str]:
    return re.findall(r"alertname = (\w+)", text)


@contextmanager
def inbox() -> Iterator[tuple[Inbox, str, int]]:
    """The inbox, the address that PagerDuty and Slack have, and the mail server's port."""
    kept = Inbox()

    class Http(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library's name
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            (kept.page if self.path == "/pagerduty" else kept.post)(body)
            self.send_response(202 if self.path == "/pagerduty" else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing: it is no news."""

    class Smtp(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mail\r\n")
            for line in self.rfile:
                command = line[:4].upper().strip()
                if command == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    kept.mail(b"".join(iter(self.rfile.readline, b".\r\n")))
                self.wfile.write(b"221 bye\r\n" if command == b"QUIT" else b"250 ok\r\n")
                if command == b"QUIT":
                    return

    with ExitStack() as stack:
        web = stack.enter_context(ThreadingHTTPServer(("127.0.0.1", 0), Http))
        post_office = stack.enter_context(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp))
        post_office.daemon_threads = True
        for server in (web, post_office):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
            stack.callback(server.shutdown)
        yield kept, f"http://127.0.0.1:{web.server_port}", post_office.server_address[1]


def hurried_rules() -> dict[str, Any]:
    """The product's rules, without patience."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
            if "keep_firing_for" in rule:
                rule["keep_firing_for"] = LINGER
            rule["expr"] = re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", rule["expr"])
    return rules


def hurried_routes(folder: Path, url: str, mail_port: int) -> dict[str, Any]:
    """The product's routes without patience, and where the three receivers are played."""
    secrets = {"slack-url": f"{url}/slack", "pagerduty-key": "the key of PagerDuty"}
    for name, secret in secrets.items():
        (folder / name).write_text(secret)
    text = ALERTMANAGER.read_text().replace("/etc/alertmanager/secrets", str(folder))
    config: dict[str, Any] = yaml.safe_load(text)
    for name in ("smtp_auth_username", "smtp_auth_password_file"):
        del config["global"][name]
    config["global"] |= {
        "pagerduty_url": f"{url}/pagerduty",
        "smtp_smarthost": f"127.0.0.1:{mail_port}",
        "smtp_require_tls": False,
    }
    for route in (config["route"], *config["route"]["routes"]):
        route |= {"group_wait": "1s", "group_interval": "1s"}
    return config


@contextmanager
def alertmanager(program: str, folder: Path, config: dict[str, Any]) -> Iterator[str]:
    """An Alertmanager; its address."""
    address = f"127.0.0.1:{free_port()}"
    file = _write(folder / "alertmanager.yaml", config)
    arguments = (
        f"--config.file={file}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",  # it has no companions
        "--log.level=warn",
    )
    with _server(folder / "alertmanager.log", program, *arguments, url=f"http://{address}"):
        yield address


@contextmanager
def prometheus(
    program: str, folder: Path, targets: dict[str, str], alertmanager: str | None = None
) -> Iterator[httpx.Client]:
    """A Prometheus that scrapes the targets, address by component; a client of it."""
    address = f"127.0.0.1:{free_port()}"
    _write(folder / "rules.yaml", hurried_rules())
    config = {
        "global": {
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "evaluation_interval": "1s",
        },
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "threadsagent",
                "authorization": {"credentials": "test-metrics-token"},
                "static_configs": [
                    {"targets": [target], "labels": {"component": component}}
                    for component, target in targets.items()
                ],
            }
        ],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    file = _write(folder / "prometheus.yaml", config)
    arguments = (
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )
    with (
        _server(folder / "prometheus.log", program, *arguments, url=f"http://{address}"),
        httpx.Client(base_url=f"http://{address}", timeout=30) as client,
    ):
        # What was counted before the first scrape is no increase.
        eventually(lambda: query(client, "up == 1"), "a first scrape", log=folder / "web.log")
        yield client


def query(prometheus: httpx.Client, expression: str) -> list[dict[str, Any]]:
    """What Prometheus answers now; an expression that it does not understand is an error."""
    answer = prometheus.get("/api/v1/query", params={"query": expression})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]["result"]
    return found


@contextmanager
def _server(log: Path, program: str, *arguments: str, url: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            guarded([program, *arguments], "KILL"),
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        eventually(lambda: answers(f"{url}/-/ready"), program, log=log)
        yield
    finally:
        process.terminate()
        process.wait()


def _write(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump(content))
    return path
