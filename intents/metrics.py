"""Counters of analysis and review; labels are bounded."""

from prometheus_client import Counter, Histogram

ANALYZED = Counter("intent_analyzed_total", "Comments analysed", ["label"])
FLAGGED = Counter("intent_reviews_flagged_total", "Reviews made for flagged intents")
DECISIONS = Counter("intent_review_decisions_total", "Reviews decided", ["decision", "by"])
BATCH_SECONDS = Histogram("intent_batch_duration_seconds", "Time to analyse and store one batch")
