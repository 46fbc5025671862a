"""Writing a graph as an ONNX file: the QDQ form that is the source of truth of an integer model, or float."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from types import MappingProxyType

import onnx
from onnx import ValueInfoProto

from converters.onnx.names import NamesApart
from converters.onnx.operators.builder import INT16_OPSET, OPSET, Builder
from converters.onnx.operators.node import Writer
from converters.onnx.operators.table import WRITERS
from edge.engines.onnx_scales import KEY
from edge.errors import UnsupportedError
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import ELEMENT_OF
from edge.graph.importers.onnx.parsing.importer import NOT_CANONICAL

# operator set -> the IR version it came with
IR_VERSIONS = MappingProxyType({OPSET: 8, INT16_OPSET: 10})


def onnx_bytes(graph: Graph) -> bytes:
    """Write an NCHW graph as ONNX; `read_onnx` gives back the same tensors, names and parameters.

    The operator set is 17, or 21 where activations are int16. An integer graph becomes QDQ: every operator computes on
    real values between DequantizeLinear and QuantizeLinear, except ArgMax, which reads the integers. Its inputs and
    outputs are the integers themselves. int8 weights and int32 biases stand behind a DequantizeLinear each. A rectifier
    is always written out, also where the output's range implies it, so that the file says what was trained. The bytes
    depend on the graph alone.

    Raises:
        UnsupportedError: an NHWC graph, or an operator that ONNX cannot be written for, by name.
    """
    return write_model(graph, WRITERS)


def write_model(graph: Graph, writers: Mapping[str, Writer]) -> bytes:
    """Write a graph with the given table of operators."""
    if graph.layout != "nchw":
        raise UnsupportedError(f"graph '{graph.name}' is {graph.layout}; ONNX is written from NCHW graphs")
    for operator in graph.operators:
        if operator.kind not in writers:
            reason = operator.attributes.get(NOT_CANONICAL, "")
            why = f": {reason}" if reason else ""
            raise UnsupportedError(
                f"operator '{operator.name}' ({operator.kind}{why}) cannot be written to ONNX; "
                "`edge convert --via onnx2tf` may have a way for it, in float"
            )
    apart = NamesApart(graph)
    out = Builder(graph=apart.graph)
    for operator in apart.graph.operators:
        writers[operator.kind](out, operator)
    for name in apart.graph.outputs:
        out.raw(name)
    apart.put_back(out.nodes, out.constants.values())
    proto = onnx.helper.make_graph(
        out.nodes,
        graph.name,
        [_signature(graph, name) for name in graph.inputs],
        [_signature(graph, name) for name in graph.outputs],
        initializer=list(out.constants.values()),
    )
    model = onnx.helper.make_model(
        proto,
        opset_imports=[onnx.helper.make_opsetid("", out.opset)],
        ir_version=IR_VERSIONS[out.opset],
        producer_name="edge-deploy",
        producer_version=version("edge-deploy"),
    )
    if note := _scales(graph):
        onnx.helper.set_model_props(model, {KEY: json.dumps(note)})
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _scales(graph: Graph) -> dict[str, tuple[float, int]]:
    """Scale and zero point of the integer inputs and outputs, which ONNX has no place for."""
    named = {name: graph.tensors[name].quantization for name in (*graph.inputs, *graph.outputs)}
    return {
        name: (float(found.scale[0]), int(found.zero_point[0]))
        for name, found in named.items()
        if found is not None and found.axis is None
    }


def _signature(graph: Graph, name: str) -> ValueInfoProto:
    tensor = graph.tensors[name]
    return onnx.helper.make_tensor_value_info(name, ELEMENT_OF[tensor.dtype], tensor.shape)
