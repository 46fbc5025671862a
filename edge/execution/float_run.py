"""Executing a float graph in float32, in either layout: calibration, float parents and the torch engine use it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import UnsupportedError
from edge.execution.kernels import float_functions as functions
from edge.execution.kernels import float_layers as layers
from edge.execution.kernels import float_pointwise as pointwise
from edge.execution.kernels import movement, rearrange, selection, transpose_convolution
from edge.execution.kernels.affine import Builder
from edge.execution.walk import Step, as_inputs, constant_tensors, execute, outputs_of
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import real_values

BUILDERS: Mapping[str, Builder] = MappingProxyType(
    {
        "Conv": layers.conv,
        "ConvTranspose": transpose_convolution.float_conv_transpose,
        "Gemm": layers.gemm,
        "MatMul": layers.matmul,
        "BatchNorm": layers.batch_norm,
        "AveragePool": layers.average_pool,
        "MaxPool": layers.max_pool,
        "Mean": functions.reduction,
        "ReduceSum": functions.reduction,
        "ReduceMax": functions.reduction,
        "ReduceMin": functions.reduction,
        "L2Norm": functions.l2_norm,
        "LogSoftmax": functions.log_softmax,
        "Resize": layers.resize,
        "Add": functions.binary,
        "Sub": functions.binary,
        "Mul": functions.binary,
        "Div": functions.binary,
        "Min": functions.binary,
        "Max": functions.binary,
        "Pow": functions.binary,
        "Relu": functions.unary,
        "Relu6": functions.unary,
        "Sigmoid": functions.unary,
        "Tanh": functions.unary,
        "HardSwish": functions.unary,
        **dict.fromkeys(
            ("Abs", "Neg", "Sqrt", "Rsqrt", "Exp", "Log", "Floor", "Ceil", "Round", "Sin", "Cos"), functions.unary
        ),
        "LeakyRelu": functions.leaky_relu,
        "PRelu": functions.p_relu,
        "Elu": functions.elu,
        "Gelu": functions.gelu,
        "HardSigmoid": pointwise.hard_sigmoid,
        "Clip": pointwise.clip,
        "Softmax": pointwise.softmax,
        "Pad": pointwise.pad,
        "Concat": movement.concat,
        "Reshape": movement.reshape,
        "Transpose": movement.transpose,
        "Slice": movement.cut,
        "ReflectPad": rearrange.reflect_pad,
        "Gather": rearrange.gather,
        "DepthToSpace": rearrange.depth_to_space,
        "SpaceToDepth": rearrange.space_to_depth,
        "Tile": rearrange.tile,
        "Expand": rearrange.expand,
        "Cast": rearrange.cast,
        "ArgMax": selection.argmax,
    }
)


def build_steps(graph: Graph, builders: Mapping[str, Builder] = BUILDERS) -> list[tuple[Operator, Step]]:
    """The float kernels of a graph, in order, by a table of builders.

    Raises:
        UnsupportedError: a quantized tensor, or an operator without a float formula, by name.
    """
    steps: list[tuple[Operator, Step]] = []
    for operator in graph.operators:
        for name in (*operator.inputs, *operator.outputs):
            if name and graph.tensors[name].quantization is not None:
                raise UnsupportedError(f"float run: '{name}' of {operator.kind} '{operator.name}' is quantized")
        if operator.kind not in builders or len(operator.outputs) != 1:
            raise UnsupportedError(f"float run: no float formula for {operator.kind} '{operator.name}'")
        steps.append((operator, builders[operator.kind](graph, operator)))
    return steps


class FloatRun:
    """Executes a float graph, in either layout; weights are prepared once.

    Args:
        channels_last: faster, sums of another order (`as_inputs`); not where a file is held to these numbers.

    Raises:
        UnsupportedError: a quantized tensor, or an operator without a float formula.
    """

    def __init__(self, graph: Graph, *, channels_last: bool = False) -> None:
        self.graph, self._channels_last = graph, channels_last
        self._steps = build_steps(graph)
        self._constants = constant_tensors(graph)

    def stream(self, inputs: Sequence[npt.NDArray[Any]]) -> Iterator[tuple[str, torch.Tensor]]:
        """Every activation by name as it is made, the graph's inputs first; each is dropped after its last use.

        The tensors are float32 (class maps integer), in the graph's layout, and must not be modified.

        Raises:
            UsageError: inputs of the wrong count, dtype or shape; axis 0 may be larger where the graph's is 1.
        """
        given = as_inputs(self.graph, inputs, channels_last=self._channels_last)
        return execute(self.graph, self._steps, self._constants, given)

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """The outputs, in the graph's order. Refuses (UsageError) inputs of the wrong count, dtype or shape."""
        return outputs_of(self.graph, as_inputs(self.graph, inputs), self.stream(inputs))


def run_float(graph: Graph, inputs: Sequence[npt.NDArray[Any]]) -> dict[str, npt.NDArray[Any]]:
    """Every activation by name, the graph's inputs included, as arrays. Refuses what `FloatRun` refuses."""
    return {name: value.contiguous().numpy() for name, value in FloatRun(graph).stream(inputs)}


def in_real_numbers(graph: Graph, constants: Mapping[str, npt.NDArray[np.float32]] = MappingProxyType({})) -> Graph:
    """The graph with every quantized tensor as float32: its operators compute what its integers stand for.

    Args:
        constants: real values of quantized constants by name, in place of those that their integers stand for.
    """
    tensors = []
    for name, tensor in graph.tensors.items():
        if tensor.quantization is None:
            continue
        data = None
        if tensor.data is not None:
            data = np.asarray(constants[name] if name in constants else real_values(tensor), np.float32, order="C")
        tensors.append(Tensor(name=name, shape=tensor.shape, dtype="float32", data=data))
    return replace(graph.with_tensors(tensors), name=graph.name)
