"""The answers to short texts, which people repeat: in the process, and in Redis for all of them.

A model's answer to a text is always the same, so nothing here goes out of date; what is forgotten
is asked again. Keys name the model's version.
"""

import json
from collections.abc import Sequence
from hashlib import blake2b
from typing import Protocol

from cachetools import LRUCache
from redis import Redis

from comments.redis import ask
from intents import metrics
from intents.classifier import FAILED_HOLD, Prediction, normalise

MAX_CHARS = 60  # hardly a longer comment is written twice
IN_PROCESS = 20_000  # answers, some 10 MB
REDIS_SECONDS = 24 * 3600
PURPOSE = "answers"

_answers: LRUCache[tuple[str, str], Prediction] = LRUCache(IN_PROCESS)


class Model(Protocol):
    """What can be asked."""

    version: str

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order."""


def predict(model: Model, texts: Sequence[str]) -> list[Prediction]:
    """What `model.predict` says, asked only once for texts that are alike."""
    keys = [normalise(text) for text in texts]
    first = dict(zip(keys, texts, strict=True))
    known = {key: answer for key in first if (answer := _answers.get((model.version, key)))}
    metrics.ANSWERED_BY.labels("process").inc(sum(key in known for key in keys))
    missing = [key for key in first if key not in known]
    found = _from_redis(model.version, [key for key in missing if len(key) <= MAX_CHARS])
    metrics.ANSWERED_BY.labels("redis").inc(len(found))
    unknown = [key for key in missing if key not in found]
    asked = dict(zip(unknown, model.predict([first[key] for key in unknown]), strict=True))
    metrics.ANSWERED_BY.labels("model").inc(len(asked))
    _remember(model.version, found, asked)
    known |= found | asked
    return [known[key] for key in keys]


def forget() -> None:
    """Empty the process's part."""
    _answers.clear()


def _remember(version: str, found: dict[str, Prediction], asked: dict[str, Prediction]) -> None:
    short = {
        key: answer
        for key, answer in asked.items()
        if len(key) <= MAX_CHARS and answer.hold != FAILED_HOLD  # that may pass
    }
    _answers.update({(version, key): answer for key, answer in (found | short).items()})

    def store(redis: Redis) -> None:
        with redis.pipeline(transaction=False) as pipeline:
            for key, answer in short.items():
                pipeline.set(_name(version, key), json.dumps(answer), ex=REDIS_SECONDS)
            pipeline.execute()

    if short:
        ask(PURPOSE, store)


def _from_redis(version: str, keys: list[str]) -> dict[str, Prediction]:
    if not keys:
        return {}
    values = ask(PURPOSE, lambda redis: redis.mget([_name(version, key) for key in keys]))
    return {
        key: Prediction(*json.loads(value))
        for key, value in zip(keys, values or [None] * len(keys), strict=True)
        if value is not None
    }


def _name(version: str, text: str) -> str:
    return f"intent:{version}:{blake2b(text.encode(), digest_size=16).hexdigest()}"
