"""Tells what a comment wants: a first stage answers the plain ones, an encoder the rest.

A model is a folder of files that `intents.training` makes: card.json, encoder.onnx, weights.npz,
examples.json. Importing this module is cheap; what takes time is imported when a model is loaded.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from intents import ngrams
from intents.encoder import WIDTH, Encoder, Tokens, tokenise
from intents.languages import language_of, other_script

LABELS = ("purchase_intent", "product_question", "praise", "complaint", "spam", "other")
BUYING = LABELS.index("purchase_intent")
DATA_DIR = Path(__file__).parent / "data"
MODEL_DIR = DATA_DIR / "model"  # the model that is shipped

MAX_CHARS = 1_000
EXPLAINED_FROM = 40  # score; below, nobody asks why
HELD_AT_MOST = 79  # the score of what the model can't know: below the automatic band
WORDS_SHOWN, EXAMPLES_SHOWN = 5, 3
CANDIDATES = 16  # for the examples shown
AT_ONCE = 64  # texts that are compared with all examples at once

LANGUAGE_HOLD = "language"
FOREIGN_FROM = -1.0  # logit of an unknown language: below even odds, since doubt is to be held
FAILED_HOLD = "model_failed"

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

_URL = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_MENTION = re.compile(r"@\w+(?:\.\w+)*")
_REPEATED = re.compile(r"(.)\1{2,}", re.DOTALL)


class Prediction(NamedTuple):
    """What the model says of one comment."""

    label: str
    """The likeliest of `LABELS`."""
    score: int
    """Probability of purchase intent, in percent (0 to 100)."""
    confidence: float
    """Probability of the label, 0 to 1."""
    hold: str = ""
    """Why nothing may follow without an operator: LANGUAGE_HOLD, FAILED_HOLD, or empty."""
    language: str = ""
    """ISO 639 code, from a score of EXPLAINED_FROM on; empty where none is told."""
    evidence: dict[str, Any] | None = None
    """From a score of EXPLAINED_FROM on: `words`, [word, share of the score's logit], the
    weightiest first; `nearest`, [text, label, cosine] of labelled examples."""


@dataclass(frozen=True)
class Weights:
    """What a model has beside the encoder's graph (weights.npz)."""

    head: Floats
    """Shape (labels + 1, WIDTH); the last row tells a language that the model doesn't speak."""
    head_bias: Floats
    ngrams: Floats
    """Shape (ngrams.BUCKETS, labels)."""
    ngrams_bias: Floats
    shift: Floats
    """Shape (labels,): added to the logits after `temperature`, see `calibrated`."""
    temperature: float
    examples: Floats
    """Shape (examples, WIDTH), each of length 1."""

    def save(self, path: Path) -> None:
        """Write the file; large matrices as int8 with a scale."""
        small = {
            name: getattr(self, name) for name in ("head", "head_bias", "ngrams_bias", "shift")
        }
        for name in ("ngrams", "examples"):
            matrix = getattr(self, name)
            scale = np.float32(np.abs(matrix).max() / 127)
            small[f"{name}_int8"] = np.round(matrix / scale).astype(np.int8)
            small[f"{name}_scale"] = scale
        np.savez_compressed(path, temperature=np.float32(self.temperature), **small)

    @classmethod
    def load(cls, path: Path) -> "Weights":
        """Raises ValueError for a file made for other labels or features."""
        with np.load(path, allow_pickle=False) as file:
            try:
                large = {
                    name: file[f"{name}_int8"].astype(np.float32) * file[f"{name}_scale"]
                    for name in ("ngrams", "examples")
                }
                small = {name: file[name] for name in ("head", "head_bias", "ngrams_bias", "shift")}
                weights = cls(**large, **small, temperature=float(file["temperature"]))
            except KeyError as error:
                raise ValueError(f"{path}: {error.args[0]}") from error
        if (weights.head.shape, weights.ngrams.shape) != (
            (len(LABELS) + 1, WIDTH),
            (ngrams.BUCKETS, len(LABELS)),
        ):
            raise ValueError(f"{path} was made for other labels or features: train it again")
        return weights


class FirstStage:
    """The n-grams alone: what `Classifier` begins with, and what answers when no model loads."""

    def __init__(self, folder: Path) -> None:
        self.card = read_card(folder)
        self.version = f"{self.card['version']}-first-stage"
        self._weights = Weights.load(folder / "weights.npz")

    def probabilities(self, tokens: Sequence[Tokens]) -> Floats:
        """Shape (texts, labels)."""
        return softmax(
            ngrams.logits(
                [each.ids for each in tokens], self._weights.ngrams, self._weights.ngrams_bias
            )
        )

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One held prediction a text, in order."""
        if not texts:
            return []
        rows = self.probabilities(tokenise([normalise(text) for text in texts]))
        return [_held(_prediction(row), FAILED_HOLD) for row in rows]


class Classifier:
    """A model. Use `load`, or `load_classifier` for the process's own of the shipped one."""

    def __init__(self, folder: Path) -> None:
        self._first = FirstStage(folder)
        self.card = self._first.card
        self.version: str = self.card["version"]
        self.answered_by: Counter[str] = Counter()
        self._weights = Weights.load(folder / "weights.npz")
        self._examples = json.loads((folder / "examples.json").read_bytes())
        if len(self._examples) != len(self._weights.examples):
            raise ValueError("examples.json and weights.npz are of different models")
        self._encoder = Encoder((folder / "encoder.onnx").read_bytes())
        thresholds = self.card["thresholds"]
        self._dismiss_below = float(thresholds["dismiss_below"])
        self._sure_from = float(thresholds["sure_from"])

    @classmethod
    def load(cls, folder: Path | None = None) -> "Classifier":
        """A model's folder, by default the shipped one's.

        Raises OSError when a file can't be read and ValueError when one doesn't fit.
        """
        folder = folder or MODEL_DIR
        try:
            return cls(folder)
        except OSError:
            raise
        except Exception as error:  # of a zip, of JSON, of ONNX Runtime
            raise ValueError(f"{folder}: not a model's folder ({error!r})") from error

    def without_first_stage(self) -> "Classifier":
        """The same model, all of whose answers are the encoder's: what the first is measured by."""
        alone = object.__new__(Classifier)
        alone.__dict__ = self.__dict__ | {"_dismiss_below": -1.0, "answered_by": Counter()}
        return alone

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order. Any text will do; what is very long is cut.

        A text's prediction doesn't depend on the others in the call.
        """
        if not texts:
            return []
        cleaned = [normalise(text) for text in texts]
        tokens = tokenise(cleaned)
        first = self._first.probabilities(tokens)
        answers = [_prediction(row) for row in first]
        sure = (first[:, BUYING] < self._dismiss_below) & (first.max(axis=1) >= self._sure_from)
        rest = np.flatnonzero(~sure)
        self.answered_by.update(first_stage=len(texts) - len(rest), encoder=len(rest))
        if len(rest):
            self._answer_with_encoder(answers, rest, cleaned, tokens)
        return answers

    def vectors(self, texts: Sequence[str]) -> Floats:
        """The encoder's vectors of texts, shape (texts, WIDTH)."""
        return self._encoder.vectors([t.ids for t in tokenise([normalise(x) for x in texts])])

    def _answer_with_encoder(
        self, answers: list[Prediction], rows: Rows, texts: list[str], tokens: list[Tokens]
    ) -> None:
        """Put the encoder's answers in the place of the first stage's, in these rows."""
        vectors, shares = self._encoder.read([tokens[row].ids for row in rows], self._direction)
        explained = []
        for place, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
            # One by one: the last bits of a product of matrices depend on how many there are.
            logits = self._weights.head @ vector + self._weights.head_bias
            if not np.isfinite(logits).all():
                answers[row] = _held(answers[row], FAILED_HOLD)
                continue
            answers[row] = _prediction(calibrated(logits[None, :-1], self._weights)[0])
            if answers[row].score >= EXPLAINED_FROM:
                explained.append(place)
                answers[row] = _in_language(answers[row], texts[row], logits[-1])
        for place, nearest in zip(explained, self._nearest(vectors[explained]), strict=True):
            row = rows[place]
            words = _weightiest(texts[row], tokens[row], shares[place])
            answers[row] = answers[row]._replace(evidence={"words": words, "nearest": nearest})

    @cached_property
    def _direction(self) -> Floats:
        """From the other labels to buying: the score's logit is the mean of the tokens' way along
        it, so each word's share in it is exact."""
        others = [label for label in range(len(LABELS)) if label != BUYING]
        direction: Floats = self._weights.head[BUYING] - self._weights.head[others].mean(axis=0)
        return direction

    def _nearest(self, vectors: Floats) -> Iterator[list[list[Any]]]:
        """For each vector the examples most like it, as [text, label, cosine]."""
        examples = self._weights.examples
        few = min(CANDIDATES, len(examples))
        for part in np.split(vectors, range(AT_ONCE, len(vectors), AT_ONCE)):
            # Roughly all at once, which is fast, then exactly the few best: see `predict`.
            rough = np.argpartition(part @ examples.T, -few, axis=1)[:, -few:]
            for vector, places in zip(part, np.sort(rough, axis=1), strict=True):
                likeness = (examples[places] * vector).sum(axis=1) / np.linalg.norm(vector)
                best = np.argsort(-likeness, kind="stable")[:EXAMPLES_SHOWN]
                yield [
                    [*self._examples[places[index]], round(float(likeness[index]), 2)]
                    for index in best
                ]


@cache
def load_classifier() -> Classifier:
    """The process's classifier with the shipped model, loaded at the first call."""
    return Classifier.load()


@cache
def load_simple_classifier() -> FirstStage:
    """The shipped model's first stage, for when a model can't be loaded."""
    return FirstStage(MODEL_DIR)


def read_card(folder: Path) -> dict[str, Any]:
    """The model card: version, data, settings, thresholds, metrics.

    Raises OSError, and ValueError for a file that is none.
    """
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    if not isinstance(card, dict) or not {"version", "thresholds"} <= card.keys():
        raise ValueError(f"{folder / 'card.json'}: version and thresholds must be there")
    if tuple(card.get("labels", ())) != LABELS:
        raise ValueError(f"{folder}: the model was made for other labels: train it again")
    return card


def normalise(text: str) -> str:
    """The text with one form for what looks alike: Unicode NFKC, spaces, addresses, mentions;
    emoji in words, letters at most twice in a row, no difference of case."""
    text = _both_ends(text, 2 * MAX_CHARS)
    if not text.isascii():
        valid = text.encode("utf-8", "replace").decode()  # lone surrogates have no encoding
        text = _in_words(unicodedata.normalize("NFKC", valid).replace("’", "'"))
    text = _MENTION.sub("@user", _URL.sub("http", text))
    text = _REPEATED.sub(r"\1\1", " ".join(text.casefold().split()))
    return _both_ends(text, MAX_CHARS)


def calibrated(logits: Floats, weights: Weights) -> Floats:
    """Probabilities from logits of the labels, both of shape (texts, labels).

    `temperature` undoes over-confidence (Guo et al. 2017); `shift` allows for comments to be of
    other kinds in the world than in the training data.
    """
    return softmax(logits / weights.temperature + weights.shift)


def softmax(logits: Floats) -> Floats:
    """Along the last axis."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Floats = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return result


def _both_ends(text: str, length: int) -> str:
    """What is wanted stands at the beginning or at the end of a long comment."""
    return text if len(text) <= length else text[: length // 2] + text[-length // 2 :]


def _in_words(text: str) -> str:
    import emoji

    if emoji.purely_emoji(text) and len(text) > 12:
        text = text[:12]
    return emoji.replace_emoji(text, lambda found, _: f" {_name(found)} ")


@cache
def _name(found: str) -> str:
    import emoji

    return emoji.demojize(found).strip(":").replace("_", " ")


def _prediction(probabilities: Floats) -> Prediction:
    best = int(probabilities.argmax())
    return Prediction(
        label=LABELS[best],
        score=round(100 * float(probabilities[BUYING])),
        confidence=float(probabilities[best]),
    )


def _in_language(answer: Prediction, text: str, foreign: float) -> Prediction:
    """With its language, held if the model doesn't speak it; `foreign` is the logit for that."""
    language = language_of(text)
    unknown = foreign > FOREIGN_FROM or language not in ("en", "") or other_script(text)
    answer = answer._replace(language=language)
    return _held(answer, LANGUAGE_HOLD) if unknown else answer


def _held(answer: Prediction, why: str) -> Prediction:
    return answer._replace(hold=why, score=min(answer.score, HELD_AT_MOST))


def _weightiest(text: str, tokens: Tokens, shares: Floats) -> list[list[Any]]:
    """The words that speak most for buying, with their tokens' shares added up."""
    sums: dict[tuple[int, int], float] = {}
    for match in re.finditer(r"\S+", text):
        inside = [
            float(share)
            for share, (start, end) in zip(shares, tokens.spans, strict=True)
            if match.start() <= start < end <= match.end()
        ]
        if inside:
            sums[match.span()] = sum(inside)
    best = sorted(sums.items(), key=lambda item: -item[1])[:WORDS_SHOWN]
    return [[text[start:end], round(share, 2)] for (start, end), share in best if share > 0]
