"""Traces: one call is followed from the request through the broker to the platform."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import MessageToDict
from knox.models import AuthToken
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from dmtrigger.models import DirectMessage
from tests.factories import CampaignFactory, UserFactory
from tests.integration.processes import (
    database_url,
    eventually,
    fake_platform_process,
    web_process,
    worker_process,
)

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]
TEXT = "Where can I buy this? How much is shipping?"
WAY = {
    ("threadsagent-web", "apply_async/analyze_comment_batch"),
    ("threadsagent-worker", "run/analyze_comment_batch"),
    ("threadsagent-worker", "run/deliver_direct_messages"),
    ("threadsagent-worker", "POST"),
}


@pytest.fixture
def collector() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An OTLP receiver: its address, and the spans that have come, each with its `service`."""
    spans: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = ExportTraceServiceRequest.FromString(body)
            for resource in MessageToDict(told)["resourceSpans"]:
                attributes = resource["resource"]["attributes"]
                names = {a["key"]: a["value"].get("stringValue") for a in attributes}
                for scope in resource["scopeSpans"]:
                    spans.extend(s | {"service": names["service.name"]} for s in scope["spans"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", spans
    server.shutdown()
    server.server_close()


def test_a_call_is_followed_to_the_platform(tmp_path, collector, rabbitmq_url):
    address, spans = collector
    _token, key = AuthToken.objects.create(UserFactory(is_superuser=True))
    CampaignFactory(auto_threshold=60)
    with fake_platform_process(tmp_path) as platform:
        env = {
            "DATABASE_URL": database_url(),
            "CELERY_BROKER_URL": rabbitmq_url,
            "FAKE_PLATFORM_URL": platform,
            "OTEL_EXPORTER_OTLP_ENDPOINT": address,
            "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        worker = worker_process(tmp_path / "worker.log", **env)
        with web_process(tmp_path, **env) as web, worker:
            comment = {"text": TEXT, "author": "ada"}
            httpx.post(f"{platform}/posts/p1/comments", json=comment).raise_for_status()
            answer = httpx.post(
                f"{web}/comments/process",
                json={"post_id": "p1"},
                headers={"Authorization": f"Token {key}"},
                timeout=30,
            )
            assert answer.json()["stored_count"] == 1
            eventually(
                lambda: DirectMessage.objects.filter(state="sent").first(),
                "a sent message",
                log=tmp_path / "worker.log",
            )

            def whole() -> bool:
                """Whether the call's trace has come, to where the platform is told."""
                call = next((s for s in spans if s["name"].startswith("POST ^comments")), None)
                of_call = [s for s in spans if call and s["traceId"] == call["traceId"]]
                return {(span["service"], span["name"]) for span in of_call} >= WAY

            eventually(whole, "a trace to the platform", log=tmp_path / "worker.log")
    assert TEXT not in str(spans)  # what people wrote stays in the database
    assert not any("health" in span["name"] for span in spans)
