"""Token ids and the int8 encoder, with a tiny network's graph."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intents.encoder import LONGEST, WIDTH, Encoder, tokenise, tokenizer, word_embeddings

FIRST, LAST = 101, 102  # what MiniLM frames each text with


@pytest.fixture(scope="module")
def encoder(tiny_folder) -> Encoder:
    return Encoder((tiny_folder / "encoder.onnx").read_bytes())


def words(ids: list[int]) -> list[str]:
    return [tokenizer().id_to_token(number) for number in ids]


def test_a_text_is_framed_and_neither_cut_nor_padded():
    [short, empty] = tokenise(["how much", ""])
    assert words(short.ids) == ["[CLS]", "how", "much", "[SEP]"]
    assert empty.ids == [FIRST, LAST]


def test_each_token_tells_where_it_comes_from():
    text = "prices of the unbreakable mug?"
    [tokens] = tokenise([text])
    pieces = [text[start:end] for start, end in tokens.spans]
    assert "".join(pieces) == text.replace(" ", "")
    assert [piece for piece in pieces if piece] == [
        word.removeprefix("##") for word in words(tokens.ids)[1:-1]
    ]


def test_of_a_long_text_beginning_and_end_are_kept():
    [tokens] = tokenise(["first " + "so very " * 200 + "last"])
    assert len(tokens.ids) == len(tokens.spans) == LONGEST
    assert words(tokens.ids)[:3] == ["[CLS]", "first", "so"]
    assert words(tokens.ids)[-3:] == ["very", "last", "[SEP]"]


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_only_what_is_longer_than_the_longest_is_cut(more: int):
    [tokens] = tokenise(["so " * (LONGEST - 2 + more)])
    assert len(tokens.ids) == min(LONGEST, LONGEST + more)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(
    st.lists(
        st.lists(st.integers(0, 30_521), min_size=2, max_size=LONGEST), min_size=1, max_size=12
    )
)
def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder, texts: list[list[int]]):
    together = encoder.vectors(texts)
    alone = np.concatenate([encoder.vectors([text]) for text in texts])
    assert together == pytest.approx(alone, abs=1e-5)


def test_vectors_are_in_the_order_of_the_texts(encoder: Encoder):
    short, long = [FIRST, 2129, LAST], [FIRST, *[2172] * 30, LAST]
    there, back = encoder.vectors([short, long, short]), encoder.vectors([long, short])
    assert there[[1, 2]] == pytest.approx(back, abs=1e-5)
    assert there[0] == pytest.approx(there[2])


def test_more_texts_than_one_run_takes_have_all_their_vectors(encoder: Encoder):
    texts = [[FIRST, word, *[2172] * (LONGEST - 3), LAST] for word in range(2000, 2040)]
    vectors = encoder.vectors(texts)
    assert np.isfinite(vectors).all()
    assert vectors[-1] == pytest.approx(encoder.vectors(texts[-1:])[0], abs=1e-5)


def test_no_texts_have_no_vectors(encoder: Encoder):
    assert encoder.vectors([]).shape == (0, WIDTH)


def test_tokens_shares_add_up_to_the_vectors_way_in_a_direction(encoder: Encoder):
    texts = [tokens.ids for tokens in tokenise(["how much is the blue one?", "hi", "oh no"])]
    direction = np.linspace(-1, 1, WIDTH, dtype=np.float32)
    vectors, shares = encoder.read(texts, direction)
    assert (vectors == encoder.vectors(texts)).all()
    assert [len(each) for each in shares] == [len(text) for text in texts]
    assert [each.sum() for each in shares] == pytest.approx(list(vectors @ direction), abs=1e-4)


def test_there_is_an_embedding_for_each_token_id():
    assert word_embeddings().shape == (tokenizer().get_vocab_size(), WIDTH)
    assert word_embeddings().dtype == np.float32


def test_answering_needs_no_torch(tiny_folder):
    code = (
        "import sys; from pathlib import Path; from intents.classifier import Classifier;"
        "Classifier.load(Path(sys.argv[1])).predict(['how much?', '多少钱 😍', 'a' * 5_000]);"
        "print(*{'torch', 'django', 'sklearn', 'onnx'} & sys.modules.keys())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tiny_folder], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == []
