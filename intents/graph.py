"""MiniLM's layers as an ONNX graph with int8 weights and activations. Used in training only.

A weight matrix has a scale for each output, an activation one scale that is fixed when the model
is made: scales found at run time, as dynamic quantisation has them, would make a text's vector
depend on the other texts of its batch. What channels with outliers hold is moved into the weights
(SmoothQuant, Xiao et al. 2022, equation 4) and the ranges are clipped where that lowers the
squared error.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from intents.encoder import LONGEST, WIDTH, Ids, word_embeddings

MICROSOFT = "com.microsoft"  # ONNX Runtime's own operators
HEADS = 12
EPSILON = 1e-12  # of MiniLM's layer normalisation
SMOOTHING = 0.7  # how much of an outlier moves into the weights
SHARES = np.linspace(1, 0.3, 15).tolist()  # of the range: what is tried

Floats = NDArray[np.float32]
Weights = Mapping[str, Floats]
Scale = tuple[float, float, Floats | None]  # lowest, highest, divisor of each channel


class Graph:
    """A graph that is being built. Without `scales` it computes in float32."""

    def __init__(
        self, weights: Weights, scales: Mapping[tuple[str, ...], Scale] | None = None
    ) -> None:
        self.inputs_of: dict[tuple[str, ...], str] = {}  # of each group of linear layers
        self._normalised: dict[str, tuple[str, str]] = {}  # what was normalised, and by which layer
        self._weights = weights
        self._scales = scales
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def build(self, layers: int, *, with_inputs: bool = False) -> bytes:
        """The graph: `words` to `tokens`, both of shape (texts, tokens, WIDTH). `with_inputs` adds
        what goes into each linear layer, to calibrate by."""
        hidden = self._embed("words")
        for number in range(layers):
            hidden = self._layer(hidden, f"encoder.layer.{number}")
        self._op("Identity", hidden, out="tokens")
        outputs = ["tokens", *(self.inputs_of.values() if with_inputs else ())]
        graph = helper.make_graph(
            self._nodes,
            "encoder",
            [helper.make_tensor_value_info("words", TensorProto.FLOAT, ["texts", "length", WIDTH])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            list(self._constants.values()),
        )
        versions = [helper.make_opsetid("", 19), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, ir_version=10, opset_imports=versions)
        content: bytes = model.SerializeToString()
        return content

    def _embed(self, words: str) -> str:
        places = (
            self._weights["embeddings.position_embeddings.weight"][:LONGEST]
            + self._weights["embeddings.token_type_embeddings.weight"][0]
        )
        length = self._op("Shape", words, start=1, end=2)
        zero = self._constant("zero", np.array([0]))
        places_used = self._op("Slice", self._constant("places", places), zero, length)
        return self._normalise(self._op("Add", words, places_used), "embeddings.LayerNorm")

    def _layer(self, x: str, name: str) -> str:
        attention = f"{name}.attention"
        query, key, value = self._linear(
            x, *(f"{attention}.self.{part}" for part in ("query", "key", "value"))
        )
        attended = self._op(
            "MultiHeadAttention", query, key, value, domain=MICROSOFT, num_heads=HEADS
        )
        (attended,) = self._linear(attended, f"{attention}.output.dense")
        x = self._normalise(self._op("Add", attended, x), f"{attention}.output.LayerNorm")
        (wide,) = self._linear(x, f"{name}.intermediate.dense")
        (narrow,) = self._linear(self._op("Gelu", wide, domain=MICROSOFT), f"{name}.output.dense")
        return self._normalise(self._op("Add", narrow, x), f"{name}.output.LayerNorm")

    def _linear(self, x: str, *names: str) -> list[str]:
        """x @ weight + bias for each of the layers `names`; x is quantised once for all."""
        self.inputs_of[names] = x
        if self._scales is None:
            return [self._float_linear(x, name) for name in names]
        low, high, divisor = self._scales[names]
        step = np.float32((high - low) / 255)
        scale = self._constant(f"{names[0]}.scale", step)
        zero = self._constant(f"{names[0]}.zero", np.uint8(np.clip(round(-low / step), 0, 255)))
        if divisor is not None:
            x = self._normalise(*self._normalised[x], divisor)
        quantised = self._op("QuantizeLinear", x, scale, zero)
        return [self._int8_linear(quantised, scale, zero, divisor, name) for name in names]

    def _float_linear(self, x: str, name: str) -> str:
        weight = self._constant(f"{name}.weight", self._weights[f"{name}.weight"].T)
        bias = self._constant(f"{name}.bias", self._weights[f"{name}.bias"])
        return self._op("Add", self._op("MatMul", x, weight), bias)

    def _int8_linear(self, x: str, scale: str, zero: str, divisor: Floats | None, name: str) -> str:
        weight = self._weights[f"{name}.weight"].T
        if divisor is not None:
            weight = weight * divisor[:, None]
        steps = (np.abs(weight).max(0) / 127).astype(np.float32)  # one an output
        return self._op(
            "MatMulIntegerToFloat",
            x,
            self._constant(f"{name}.weight", np.round(weight / steps).astype(np.int8)),
            scale,
            self._constant(f"{name}.steps", steps),
            zero,
            self._constant(f"{name}.zeros", np.zeros(len(steps), np.int8)),
            self._constant(f"{name}.bias", self._weights[f"{name}.bias"]),
            domain=MICROSOFT,
        )

    def _normalise(self, x: str, name: str, divisor: Floats | None = None) -> str:
        """Layer normalisation; with a divisor of each channel once more, divided: to normalise
        twice takes less time than to multiply what is normalised."""
        parts = {part: self._weights[f"{name}.{part}"] for part in ("weight", "bias")}
        if divisor is not None:
            parts = {f"{part}.divided": value / divisor for part, value in parts.items()}
        constants = (self._constant(f"{name}.{part}", value) for part, value in parts.items())
        normalised = self._op("LayerNormalization", x, *constants, epsilon=EPSILON)
        self._normalised[normalised] = x, name
        return normalised

    def _constant(self, name: str, array: NDArray[np.generic] | np.generic) -> str:
        self._constants[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def _op(self, kind: str, *inputs: str, domain: str = "", out: str = "", **settings: Any) -> str:
        out = out or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [out], out, domain=domain, **settings))
        return out


def export(weights: Weights, layers: int, texts: Sequence[Ids]) -> bytes:
    """The int8 graph of a BERT's `weights` by their usual names, calibrated on some hundred
    texts' token ids (each at most LONGEST)."""
    return Graph(weights, _calibrate(weights, layers, texts)).build(layers)


def _calibrate(weights: Weights, layers: int, texts: Sequence[Ids]) -> dict[tuple[str, ...], Scale]:
    import onnxruntime

    graph = Graph(weights)
    session = onnxruntime.InferenceSession(
        graph.build(layers, with_inputs=True), providers=["CPUExecutionProvider"]
    )
    runs = [
        session.run(list(graph.inputs_of.values()), {"words": word_embeddings()[np.array([ids])]})
        for ids in texts
    ]
    scales: dict[tuple[str, ...], Scale] = {}
    for place, names in enumerate(graph.inputs_of):
        x = np.concatenate([run[place][0] for run in runs])
        divisor = None
        if "output" not in names[0]:  # before the others there is no normalisation to divide in
            rows = np.concatenate([np.abs(weights[f"{name}.weight"]) for name in names])
            largest = rows.max(0).clip(1e-6)
            divisor = np.abs(x).max(0).clip(1e-3) ** SMOOTHING / largest ** (1 - SMOOTHING)
            divisor = divisor / divisor.mean()
            x = x / divisor
        scales[names] = (*_best_range(x), divisor)
    return scales


def _best_range(x: Floats) -> tuple[float, float]:
    """The range around 0 whose 256 steps have the least squared error."""
    sample = np.random.default_rng(0).choice(x.ravel(), min(x.size, 200_000), replace=False)
    low, high = min(float(sample.min()), 0.0), max(float(sample.max()), 0.0)

    def error(low: float, high: float) -> float:
        step = (high - low) / 255
        steps = np.clip(np.round(sample / step), round(low / step), round(high / step))
        return float(np.square(steps * step - sample).sum())

    for _ in range(2):
        high = min((share * high for share in SHARES), key=lambda high: error(low, high))
        low = min((share * low for share in SHARES), key=lambda low: error(low, high))
    return low, high
