"""A real model that is trained in seconds; its answers are hardly better than chance."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

from intents.classifier import BUYING, LABELS, Classifier, Weights
from intents.labelled import Example

SETTINGS: dict[str, Any] = {
    "layers": (0,),
    "runs": 1,
    "epochs": 1,
    "learning_rate": 1e-3,
    "variations": 1,
}
"""Of `intents.training.Settings`, which is not imported here: torch takes seconds."""

_SAID = {
    "purchase_intent": (
        "how much is {}?",
        "where can i buy {}",
        "price of {} please",
        "i want to order {} today",
    ),
    "product_question": (
        "what is {} made of?",
        "is {} waterproof?",
        "how long does {} last?",
        "which sizes of {} are there",
    ),
    "praise": ("i love {} 😍", "{} is beautiful", "wow, {} looks amazing", "got {}, it is great"),
    "complaint": (
        "{} broke after a day",
        "never again, {} is awful",
        "{} never arrived",
        "i want my money back for {}",
    ),
    "spam": (
        "follow me and win {}",
        "dm us for cheap copies of {}",
        "earn money at home with {}",
        "see my profile for {} http://spam.example",
    ),
    "other": (
        "@anna look, {}",
        "my cat sits on {}",
        "who else saw {} on monday",
        "good morning from me and {}",
    ),
}
_THINGS = ("the blue bag", "this lamp", "that red jacket", "the small tent", "your new mug")

EXAMPLES = [
    Example(said.format(thing), label, {})
    for label in LABELS
    for said in _SAID[label]
    for thing in _THINGS
]
FOREIGN = [
    Example(text, "purchase_intent", {"slice": "other_language"})
    for text in ("cuanto cuesta la mochila", "quanto custa o casaco", "berapa harga tas ini")
]


class Silent:
    """A progress bar that nobody sees."""

    def update(self, count: int = 1) -> None: ...

    def close(self) -> None: ...


def silent(_what: str, _steps: int) -> Silent:
    """What `training.train` takes for `progress`."""
    return Silent()


def train(folder: Path, examples: list[Example] = EXAMPLES + FOREIGN) -> dict[str, Any]:
    """Train the tiny model into a folder; returns its card."""
    from intents import training

    return training.train(examples, folder, silent, training.Settings(**SETTINGS))


def changed(model: Path, folder: Path, **weights: Any) -> Path:
    """A copy of a model's folder with other weights."""
    shutil.copytree(model, folder)
    path = folder / "weights.npz"
    dataclasses.replace(Weights.load(path), **weights).save(path)
    return folder


def eager(model: Path, folder: Path) -> Classifier:
    """A classifier to which everything is a buyer's, and that takes each language for its own."""
    weights = Weights.load(model / "weights.npz")
    head, bias = weights.head.copy(), weights.head_bias.copy()
    head[-1], bias[-1], bias[BUYING] = 0, -50, 50
    return Classifier.load(changed(model, folder, head=head, head_bias=bias))


def with_card(model: Path, folder: Path, **card: Any) -> Path:
    """A copy of a model's folder with other values on its card."""
    shutil.copytree(model, folder)
    path = folder / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | card))
    return folder
