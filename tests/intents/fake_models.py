"""Folders of models for tests, with no more than a card, and what such models say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from intents.classifier import LABELS, Prediction

Answer = Callable[[str], Prediction]


def says(score: int, label: str = "purchase_intent", **more: Any) -> Answer:
    """The same answer to every text."""
    return lambda _text: Prediction(label, score, 0.9, **more)


def folder_of(version: str, folder: Path, **card: Any) -> Path:
    """A model's folder."""
    folder.mkdir()
    card = {"version": version, "labels": LABELS, "thresholds": {}} | card
    (folder / "card.json").write_text(json.dumps(card))
    return folder
