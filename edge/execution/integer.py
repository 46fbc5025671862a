"""The integer simulation: executes a quantized graph with the arithmetic of the XNNPACK kernels, bit for bit."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy.typing as npt
import torch

from edge.errors import UnsupportedError
from edge.execution.float_run import BUILDERS as FLOAT_BUILDERS
from edge.execution.kernels.affine import Kernel, refuse
from edge.execution.kernels.int8_table import BUILDERS
from edge.execution.kernels.int16_table import INT16_BUILDERS
from edge.execution.walk import as_inputs, constant_tensors, execute, outputs_of
from edge.graph.graph import Graph, Operator
from edge.graph.ops.kernel_limits import limit_fault

CHANGE_TYPE = frozenset({"Quantize", "Dequantize", "Cast"})


def build(graph: Graph, operator: Operator) -> Kernel:
    """The kernel of one operator: its integer formula, or float32 where none of its tensors is quantized.

    Raises:
        UnsupportedError: a kind that the simulation does not know, or one outside `edge.graph.ops.kernel_limits`, by
            name.
    """
    tensors = [graph.tensors[name] for name in (*operator.inputs, *operator.outputs) if name]
    if operator.kind in FLOAT_BUILDERS and all(tensor.dtype == "float32" for tensor in tensors):
        return FLOAT_BUILDERS[operator.kind](graph, operator)
    wide = any(tensor.dtype == "int16" and tensor.quantization is not None for tensor in tensors)
    builders = INT16_BUILDERS if wide else BUILDERS
    if operator.kind not in builders or len(operator.outputs) != 1:
        source = f" ({operator.source})" if operator.source and operator.source != operator.kind else ""
        raise UnsupportedError(
            f"integer simulation: no integer formula for {operator.kind}{source} '{operator.name}'"
            f"{' over int16' if wide else ''}; known: {', '.join(builders)}"
        )
    ends = [tensor for tensor in (tensors[0], tensors[-1]) if tensor.quantization is not None]
    if operator.kind not in CHANGE_TYPE and len({tensor.dtype for tensor in ends}) > 1:
        raise refuse(operator, f"{ends[0].dtype} in and {ends[1].dtype} out; its kernels are known over one type")
    if fault := limit_fault(operator, graph.tensors):
        raise refuse(operator, fault)
    return builders[operator.kind](graph, operator)


class IntegerSimulation:
    """Executes an integer graph, ours or foreign, in either layout, exactly as XNNPACK (x86) does.

    Weights and multipliers are prepared once. Arrays in and out are raw: the dtypes of the graph's tensors.
    Where the graph's batch is 1, inputs may carry any leading size. An operator that was left in float (between a
    Dequantize and a Quantize or an output) runs in float32, to a tolerance and not bit for bit.

    Raises:
        UnsupportedError: an operator without an integer formula, one whose tensors are not 8-bit, or one outside the
            limits within which its formula is established, by name.
    """

    def __init__(self, graph: Graph) -> None:
        if all(tensor.quantization is None for tensor in graph.tensors.values()):
            raise UnsupportedError(f"integer simulation: graph '{graph.name}' is without 8-bit quantization")
        self.graph = graph
        self._steps = [(operator, build(graph, operator)) for operator in graph.operators]
        self._constants = constant_tensors(graph)

    def stream(self, inputs: Sequence[npt.NDArray[Any]]) -> Iterator[tuple[str, torch.Tensor]]:
        """Every activation by name as it is made, the inputs first; each is dropped after its last use.

        Raises:
            UsageError: inputs of the wrong count, dtype or shape.
        """
        return execute(self.graph, self._steps, self._constants, as_inputs(self.graph, inputs, channels_last=True))

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """The outputs, in the graph's order. Refuses (UsageError) inputs of the wrong count, dtype or shape."""
        return outputs_of(self.graph, as_inputs(self.graph, inputs), self.stream(inputs))

    def run_all(self, inputs: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
        """Every activation by name, the graph's inputs included. Refuses (UsageError) as `run` does."""
        return {name: value.contiguous().numpy() for name, value in self.stream(inputs)}
