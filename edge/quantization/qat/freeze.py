"""Freeze a module after quantization-aware training into the integer graph that ships."""

import numpy as np
import torch

from edge.errors import EdgeError
from edge.graph.graph import Graph, Tensor
from edge.quantization.qat.capture import float_graph
from edge.quantization.qat.layers import FoldedLayer
from edge.quantization.qat.prepare import QuantizedModel
from edge.quantization.quantize_graph import quantize_graph

__all__ = ["float_graph", "freeze", "trained_graph"]


def freeze(prepared: torch.nn.Module, *, name: str | None = None) -> Graph:
    """The integer graph (nchw) of a prepared module.

    Scales and zero points are the buffers of its quantizers, bit for bit, and weights and biases the integers of its
    forward in evaluation mode.

    Raises:
        EdgeError: not a prepared module, a range was never observed, or a weight is not finite.
    """
    graph = trained_graph(prepared, name=name)
    assert isinstance(prepared, QuantizedModel)  # checked by trained_graph
    prepared.hold_limits()
    parameters = {tensor: prepared.quantizer(tensor).parameters_now() for tensor in prepared.group_of}
    return quantize_graph(graph, parameters, prepared.scheme)


def trained_graph(prepared: torch.nn.Module, *, name: str | None = None) -> Graph:
    """The float graph (nchw) of a prepared module with its weights as they stand, batch norm folded, not rounded.

    Raises:
        EdgeError: not a prepared module.
    """
    if not isinstance(prepared, QuantizedModel):
        inner = next((path for path, part in prepared.named_modules() if isinstance(part, QuantizedModel)), None)
        advice = "" if inner is None else f"; it holds one that was: take its .{inner}"
        raise EdgeError(f"{type(prepared).__name__} was not prepared for quantization-aware training{advice}")
    graph = prepared.graph
    constants = []
    for operator in graph.operators:
        if operator.name not in prepared.layer_of:
            continue
        layer = prepared.layers[prepared.layer_of[operator.name]]
        assert isinstance(layer, FoldedLayer)
        with torch.no_grad():
            folded = layer.folded()
        for tensor, values in zip(operator.inputs[1:], folded, strict=True):
            array = np.array(values.detach().cpu().numpy(), np.float32, order="C")
            constants.append(Tensor(name=tensor, shape=array.shape, dtype="float32", data=array))
    trained = graph.with_tensors(constants)
    return Graph(
        name=name or graph.name,
        layout=trained.layout,
        operators=trained.operators,
        tensors=trained.tensors,
        inputs=trained.inputs,
        outputs=trained.outputs,
    )
