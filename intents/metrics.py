"""Counters of analysis and review; labels are bounded."""

from prometheus_client import Counter, Histogram

ANALYZED = Counter("intent_analyzed_total", "Comments analysed", ["label"])
FAILURES = Counter(
    "intent_analysis_failures_total", "Failed analyses, and what was made of them", ["outcome"]
)
FLAGGED = Counter("intent_reviews_flagged_total", "Reviews made for flagged intents")
DECISIONS = Counter("intent_review_decisions_total", "Reviews decided", ["decision", "by"])
BATCH_SECONDS = Histogram("intent_batch_duration_seconds", "Time to analyse and store one batch")
MODEL_FAILED = Counter(
    "intent_model_failed_total",
    "Times that a model could not be loaded, and comments that it had no usable answer to",
    ["role"],
)
ANSWERED_BY = Counter(
    "intent_answers_total", "Texts answered from memory, from Redis, by the model", ["stage"]
)
