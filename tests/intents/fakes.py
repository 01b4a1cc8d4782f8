"""A model for tests of the analysis: it answers at once, by the words of a text."""

from collections.abc import Callable, Sequence
from typing import Any

from intents.classifier import Prediction
from intents.registry import Active, Challenger

BUYER = Prediction("purchase_intent", 85, 0.9)
FAN = Prediction("praise", 10, 0.8)


def by_words(text: str) -> Prediction:
    """A buyer where somebody asks; an error where the text is poison."""
    if "poison" in text:
        raise ValueError(f"cannot read {text}")
    return BUYER if "?" in text else FAN


class FakeModel:
    """Answers each text by a function of it, and keeps the batches that it was asked."""

    def __init__(self, version: str = "fake", answer: Callable[[str], Any] = by_words) -> None:
        self.version = version
        self.answer = answer
        self.batches: list[list[str]] = []

    def predict(self, texts: Sequence[str]) -> list[Any]:
        self.batches.append(list(texts))
        return [self.answer(text) for text in texts]


def active(champion: Any, *challengers: tuple[int, int, Any]) -> Active:
    """What the registry would give; challengers are (version_id, traffic_percent, model)."""
    return Active(champion, [Challenger(*challenger) for challenger in challengers])
