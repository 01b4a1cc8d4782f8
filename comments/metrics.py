"""Counters of the way in. Names are the spec's; labels are bounded (never a post or an author)."""

from prometheus_client import Counter, Histogram

ATTEMPTS = Counter("comment_processing_attempts_total", "Comments handed to ingestion")
SUCCESS = Counter("comment_processing_success_total", "Comments stored or known already")
STORED = Counter("comments_stored_total", "Comments that were new and are stored")
DUPLICATES = Counter("comment_duplicates_detected_total", "Comments that were known already")
ERRORS = Counter(
    "comment_processing_errors_total",
    "Comments refused (validation) and calls that failed (database, source, timeout, unexpected)",
    ["error_type"],
)
DURATION = Histogram(
    "comment_processing_duration_seconds",
    "Time of one ingest, from the items as they came to the commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
STAGES = Histogram(
    "comment_processing_stage_duration_seconds",
    "Time of the parts of an ingest: a page fetched, a batch decoded, looked up in Redis, stored"
    " (to the commit), its wake-up sent",
    ["stage"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
WAKE_UPS = Counter("wake_ups_total", "Wake-up messages to the broker", ["task", "outcome"])
CACHE_HITS = Counter(
    "comment_deduplication_cache_hits_total", "Comments that Redis knew, so the database was spared"
)
CACHE_MISSES = Counter(
    "comment_deduplication_cache_misses_total", "Comments that Redis did not know"
)
REDIS_SKIPPED = Counter(
    "redis_skipped_total", "Times that something was done without Redis's answer", ["purpose"]
)

# What is known beforehand is there from the start, with zero: a rate needs two samples.
for error_type in ("validation", "database", "source", "timeout", "unexpected"):
    ERRORS.labels(error_type)
for stage in ("fetch", "decode", "dedupe", "store", "queue"):
    STAGES.labels(stage)
for purpose in ("deduplication", "wake-up", "answers", "clicks", "rate_limit", "metrics"):
    REDIS_SKIPPED.labels(purpose)
