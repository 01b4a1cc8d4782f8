"""The graph computes what the network computes, in int8 nearly so."""

from typing import Any

import numpy as np
import pytest
import torch

from intents.classifier import normalise
from intents.encoder import LONGEST, Encoder, tokenise
from intents.graph import Graph, export
from intents.training import Network
from tests.intents.tiny_model import EXAMPLES

LAYERS = (0, 5)
CALIBRATED_WITH = [t.ids for t in tokenise([e.text for e in EXAMPLES[::2]])]
OTHERS = [t.ids for t in tokenise([normalise(e.text) for e in EXAMPLES[1::2]])]


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(LAYERS).eval()


@pytest.fixture(scope="module")
def weights(network: Network) -> dict[str, Any]:
    return {name: value.numpy() for name, value in network.bert.state_dict().items()}


@pytest.fixture(scope="module")
def int8(weights: dict[str, Any]) -> bytes:
    return export(weights, len(LAYERS), CALIBRATED_WITH)


def vectors_of(network: Network, texts: list[list[int]]) -> np.ndarray:
    with torch.no_grad():
        return np.stack(
            [
                network.bert(input_ids=torch.tensor([ids])).last_hidden_state[0].mean(0).numpy()
                for ids in texts
            ]
        )


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_in_float32_it_is_the_network(network, weights):
    encoder = Encoder(Graph(weights).build(len(LAYERS)))
    assert encoder.vectors(OTHERS) == pytest.approx(vectors_of(network, OTHERS), abs=1e-4)


def test_in_int8_the_vectors_of_unseen_texts_are_near(network, int8):
    found = cosines(Encoder(int8).vectors(OTHERS), vectors_of(network, OTHERS))
    assert found.mean() >= 0.99
    assert found.min() >= 0.97


def test_in_int8_it_is_a_quarter_as_large(weights, int8):
    assert len(int8) < 0.3 * len(Graph(weights).build(len(LAYERS)))


def test_the_longest_text_fits(network, int8):
    longest = [[101, *range(2000, 2000 + LONGEST - 2), 102]]
    found = cosines(Encoder(int8).vectors(longest), vectors_of(network, longest))
    assert found.min() >= 0.97


def test_a_vector_is_the_same_to_the_bit_beside_any_other(int8):
    encoder = Encoder(int8)
    text = OTHERS[0]
    alone = encoder.vectors([text])[0]
    for mates in ([text] * 5, [[101, *[29646] * (len(text) - 2), 102]] * 7, OTHERS):
        assert (encoder.vectors([*mates, text])[-1] == alone).all()


def test_the_same_weights_and_texts_make_the_same_graph(weights, int8):
    assert export(weights, len(LAYERS), CALIBRATED_WITH) == int8
