"""What an ONNX file says of its operators, for explaining ONNX Runtime's profile: facts, tensors, the file's nodes."""

from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from device_bench.explain_speed.onnx_mapping import FileNode
from device_bench.explain_speed.onnx_nodes import OnnxPlan, OperatorTensors
from device_bench.explain_speed.roofline import OperatorFacts

if TYPE_CHECKING:
    from edge.graph.graph import Tensor


def onnx_facts(path: Path) -> tuple[tuple[OperatorFacts, ...], OnnxPlan]:
    """Facts of every operator of an ONNX file, and what maps ONNX Runtime's nodes back to them.

    Raises:
        ModelFileError: as of `edge.graph.onnx.read_onnx`.
    """
    from converters.onnx_measuring import overhead_chains  # brings onnx
    from edge.graph.counts import count_graph
    from edge.graph.onnx import read_onnx
    from edge.graph.onnx_owners import owned_nodes

    graph = read_onnx(path, batch=1)
    facts, tensors = [], []
    for operator, cost in zip(graph.operators, count_graph(graph).operators, strict=True):
        reads = {name: _size_bytes(graph.tensors[name]) for name in operator.inputs if name}
        writes = {name: _size_bytes(graph.tensors[name]) for name in operator.outputs}
        tensors.append(OperatorTensors(reads=reads, writes=writes))
        source, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        channels = source.shape[1] if len(source.shape) > 1 else 1
        facts.append(
            OperatorFacts(
                name=operator.name,
                kind=operator.kind,
                precision=output.dtype,
                multiply_adds=cost.multiply_adds,
                bytes_moved=sum({**reads, **writes}.values()),
                channels=output.shape[1] if len(output.shape) > 1 else 1,
                depthwise=operator.kind == "Conv" and operator.attributes.get("group", 1) == channels > 1,
                input_share=prod(source.shape) / max(prod(output.shape), 1),
            )
        )
    nodes = tuple(
        FileNode(name=node.name, kind=node.kind, inputs=node.inputs, outputs=node.outputs, operators=node.operators)
        for node in owned_nodes(path, graph, batch=1)
    )
    return tuple(facts), OnnxPlan(file=nodes, tensors=tuple(tensors), chains=overhead_chains())


def _size_bytes(tensor: "Tensor") -> int:
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize
