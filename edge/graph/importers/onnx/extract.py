"""Extracting a part of an ONNX file between named tensors, so that one operator can be run alone with chosen inputs."""

from collections.abc import Sequence

import onnx
from onnx import helper

from edge.errors import UsageError
from edge.graph.graph import Graph

TYPES = {
    "float32": onnx.TensorProto.FLOAT,
    "int8": onnx.TensorProto.INT8,
    "uint8": onnx.TensorProto.UINT8,
    "int16": onnx.TensorProto.INT16,
    "int32": onnx.TensorProto.INT32,
    "int64": onnx.TensorProto.INT64,
}


class OnnxExtractor:
    """An ONNX file whose operators can be taken out one after another.

    Args:
        data: the file's bytes, sound (already read by `read_onnx`).
        graph: what `read_onnx` made of it: shapes and types of the tensors that are extracted at.
    """

    def __init__(self, data: bytes, graph: Graph) -> None:
        self._model = onnx.load_from_string(data)
        self._graph = graph
        self._nodes = list(self._model.graph.node)
        self._makers = {name: index for index, node in enumerate(self._nodes) for name in node.output}
        self._constants = {constant.name: constant for constant in self._model.graph.initializer}

    def extract(self, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
        """The nodes from `inputs` (tensor names, no constants) to `outputs` as a file of the same operator set.

        Raises:
            UsageError: `outputs` depend on something that is neither among `inputs` nor a constant.
        """
        wanted, constants = list(outputs), {}
        chosen: set[int] = set()
        seen: set[str] = set()
        while wanted:
            name = wanted.pop()
            if not name or name in seen or name in inputs:
                continue
            seen.add(name)
            if name in self._constants:
                constants[name] = self._constants[name]
                continue
            index = self._makers.get(name)
            if index is None:
                raise UsageError(f"'{name}' is made from nothing between {', '.join(inputs)} and {', '.join(outputs)}")
            chosen.add(index)
            wanted.extend(self._nodes[index].input)
        graph = helper.make_graph(
            [self._nodes[index] for index in sorted(chosen)],
            "extracted",
            [self._value(name) for name in inputs],
            [self._value(name) for name in outputs],
            initializer=list(constants.values()),
        )
        model = helper.make_model(graph, opset_imports=list(self._model.opset_import))
        model.ir_version = self._model.ir_version
        data: bytes = model.SerializeToString()
        return data

    def _value(self, name: str) -> onnx.ValueInfoProto:
        tensor = self._graph.tensors[name]
        return helper.make_tensor_value_info(name, TYPES[tensor.dtype], tensor.shape)
