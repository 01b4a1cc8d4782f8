"""Traces by OpenTelemetry, from a request through the broker to the platform, if they are wanted.

A wake-up carries the trace of whoever sent it, so what a worker does then is seen as part of that.
One worker's run may serve many comments, and many calls one wake-up: a trace shows how time went,
the rows show what happened to a comment. Neither parameters of queries nor bodies are in a span.
"""

import os

UNTRACED = "health,metrics,static/,r/,o/"  # probes; and links, whose paths hold people's tokens


def start(kind: str) -> None:
    """Send this process's spans to OTEL_EXPORTER_OTLP_ENDPOINT; nothing without one.

    `kind` names the process (web, worker) where OTEL_SERVICE_NAME does not. To be called in the
    process itself, after any fork, as the spans are sent by a thread.
    """
    if not os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return
    # A quarter of a second to load, which only those who trace should wait for.
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    from opentelemetry.instrumentation.django import DjangoInstrumentor
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    os.environ.setdefault("OTEL_SERVICE_NAME", f"threadsagent-{kind}")
    provider = TracerProvider(resource=Resource.create())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(excluded_urls=UNTRACED)
    CeleryInstrumentor().instrument()
    HTTPXClientInstrumentor().instrument()
    Psycopg2Instrumentor().instrument()
