"""Counters of analysis and review; labels are bounded."""

from prometheus_client import Counter, Gauge, Histogram

from intents.models import Label, ModelVersion, Review

ANALYZED = Counter("intent_analyzed_total", "Comments analysed", ["label"])
FAILURES = Counter(
    "intent_analysis_failures_total", "Failed analyses, and what was made of them", ["outcome"]
)
FLAGGED = Counter("intent_reviews_flagged_total", "Reviews made for flagged intents")
DECISIONS = Counter("intent_review_decisions_total", "Reviews decided", ["decision", "by"])
BATCH_SECONDS = Histogram(
    "intent_batch_duration_seconds", "Time to analyse and store one batch, if it was not empty"
)
MODEL_FAILED = Counter(
    "intent_model_failed_total",
    "Times that a model could not be loaded, and comments that it had no usable answer to",
    ["role"],
)
ANSWERED_BY = Counter(
    "intent_answers_total", "Texts answered from memory, from Redis, by the model", ["stage"]
)

MODEL_ACTIVE = Gauge(
    "model_active",
    "Whether a model is promoted and could be loaded (1) or the simple one answers (0); of the"
    " analysis workers, by the one that is worst off, from their first batch on",
    ["role"],
    multiprocess_mode="livemin",
)

# What is known beforehand is there from the start, with zero: a rate needs two samples.
for label in Label:
    ANALYZED.labels(label)
for outcome in ("retried", "parked"):
    FAILURES.labels(outcome)
for decision in (Review.Status.APPROVED, Review.Status.REJECTED):
    for by in ("operator", "campaign"):
        DECISIONS.labels(decision, by)
for role in (ModelVersion.Role.CHAMPION, ModelVersion.Role.CHALLENGER):
    MODEL_FAILED.labels(role)
for stage in ("process", "redis", "model"):
    ANSWERED_BY.labels(stage)
