"""How fast a Celery worker analyses what is stored, and what it uses for that."""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django_redis import get_redis_connection
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from comments.ingest import ingest
from comments.models import Comment
from comments.wakeup import wake
from intents.models import AnalysisFailure, Hold, IntentResult
from intents.tasks import analyze_comment_batch
from tests.benchmarks import database, usage
from tests.benchmarks.bench import WrongAnswerError
from tests.benchmarks.data import Comment as NewComment
from tests.benchmarks.data import Platform
from tests.benchmarks.services import Services, Worker
from tests.benchmarks.streams import Stream
from tests.integration.processes import eventually
from threadsagent.celery import app

CALL = 1_000  # comments that are stored in one go
WARM_UP = 500  # comments
WARM_UP_SECONDS = 120
LONGEST_SECONDS = 1_800
LOOK_SECONDS = 0.02
ENGINE = "onnxruntime"  # mapped into a process that has loaded a model
KEPT = ("process", "redis", "model")  # who answers, by the product's own metric


@dataclass(frozen=True)
class Analysed:
    """What analysing a stream took. Memory is the largest resident set of a process, in MB."""

    seconds: float
    cpu_seconds: float
    postgres_cpu_seconds: float
    memory_mb: float
    answered: dict[str, float]
    """Comments by what answered them; of `batch` are those that another one in its batch had
    the answer for."""


def analyse(services: Services, stream: Stream, cores: list[int]) -> Analysed:
    """Store a stream, then have a fresh worker analyse it, from the wake-up to the last commit.

    The worker has loaded its model; no answer is known to it, nor to Redis.
    """
    _empty()
    with services.worker(cores) as worker:
        warm_up(worker)
        get_redis_connection("default").flushdb()
        _store(stream.comments)
        database.settle()
        postgres = services.postgres.process.pid
        cpu, postgres_cpu = usage.cpu_seconds(worker.pid), usage.cpu_seconds(postgres)
        known = _answered(worker)
        if Comment.objects.filter(analyzed_at=None).count() != len(stream.comments):
            raise WrongAnswerError("the worker has begun too early")
        started = time.perf_counter()
        _wake(len(stream.comments))
        _wait(LONGEST_SECONDS, worker)
        seconds = time.perf_counter() - started
        answered = {kind: count - known[kind] for kind, count in _answered(worker).items()}
        analysed = Analysed(
            seconds,
            usage.cpu_seconds(worker.pid) - cpu,
            usage.cpu_seconds(postgres) - postgres_cpu,
            max(usage.memory(pid, "VmHWM") for pid in worker.pool),
            answered | {"batch": len(stream.comments) - sum(answered.values())},
        )
    _check(len(stream.comments))
    return analysed


def _empty() -> None:
    """No comments, no results; Valkey has neither answers nor messages."""
    database.execute(
        "TRUNCATE comments_comment, comments_seencomment, intents_intentresult, intents_review,"
        " intents_analysisfailure CASCADE"
    )
    get_redis_connection("default").flushall()


def warm_up(worker: Worker) -> None:
    """Made-up comments, which are not those of a stream, until each process has its model."""
    platform = Platform(seed=1)

    def warm() -> bool:
        comments = platform.new(WARM_UP)
        _store([comment | {"post_id": "warm-up"} for comment in comments])
        _wake(2 * CALL * len(worker.pool))
        _wait(WARM_UP_SECONDS, worker)
        eventually(_is_idle, "an idle worker", WARM_UP_SECONDS, worker.log)
        return all(_has_model(pid) for pid in worker.pool)

    eventually(warm, "a model in each process", WARM_UP_SECONDS, worker.log)


def _is_idle() -> bool:
    """Nothing is done and no message is left, which would begin before we start the clock.

    A process may still load its model when the others have done everything.
    """
    for _ in range(2):  # between two looks a message may come from the broker
        inspect = app.control.inspect(timeout=1)
        for tasks in (inspect.reserved(), inspect.active()):
            if not tasks or any(tasks.values()):
                return False
    return True


def _has_model(pid: int) -> bool:
    with Path(f"/proc/{pid}/maps").open() as maps:
        return any(ENGINE in line for line in maps)


def _store(comments: list[NewComment]) -> None:
    for start in range(0, len(comments), CALL):
        part = comments[start : start + CALL]
        report = ingest(part, source=settings.COMMENT_SOURCE)
        if report.stored != len(part):
            raise WrongAnswerError(str(report))


def _wake(comments: int) -> None:
    """A message for each CALL of comments: every process is woken."""
    for _ in range(math.ceil(comments / CALL)):
        wake(analyze_comment_batch)


def _wait(seconds: float, worker: Worker) -> None:
    """Until nothing waits."""
    waiting = Comment.objects.filter(analyzed_at=None)
    end = time.monotonic() + seconds
    while waiting.exists():
        if time.monotonic() > end:
            raise WrongAnswerError(f"not analysed in {seconds} s: {worker.log.read_text()[-4000:]}")
        time.sleep(LOOK_SECONDS)


def _answered(worker: Worker) -> dict[str, float]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(worker.metrics))
    name = "intent_answers_total"
    return {kind: registry.get_sample_value(name, {"stage": kind}) or 0.0 for kind in KEPT}


def _check(count: int) -> None:
    """Each comment has a result of the model, and none failed."""
    results = IntentResult.objects.exclude(hold=Hold.MODEL_FAILED).count()
    failed, stored = AnalysisFailure.objects.count(), Comment.objects.count()
    if results != stored or failed or stored < WARM_UP + count:
        raise WrongAnswerError(f"{stored} stored, {results} analysed, {failed} failed")
