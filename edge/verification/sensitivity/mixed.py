"""A network in which every layer can be float or rounded to its integers' grid: float32 execution of both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.errors import UnsupportedError
from edge.execution.float_run import BUILDERS, in_real_numbers
from edge.execution.kernels.affine import ACTIVATION_LIMITS
from edge.execution.straight_through import ROUNDS_NOTHING
from edge.execution.walk import Step, as_inputs
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import real_values

INPUT = -1
"""The place of the model's input among the layers: its pixels are rounded too."""
Values = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Part:
    """What of a layer is rounded: its constants (weights and bias), its output."""

    constants: bool
    output: bool


WHOLE = Part(constants=True, output=True)
FLOAT = Part(constants=False, output=False)
Choice = Callable[[int], Part]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The real numbers that an integer activation can hold: scale * (q - zero_point), low <= q <= high."""

    scale: float
    zero_point: int
    low: int
    high: int

    @property
    def range(self) -> tuple[float, float]:
        """The smallest and largest real number."""
        return self.scale * (self.low - self.zero_point), self.scale * (self.high - self.zero_point)

    def rounded(self, value: torch.Tensor) -> torch.Tensor:
        """The nearest number of the grid, float32."""
        return torch.fake_quantize_per_tensor_affine(value, self.scale, self.zero_point, self.low, self.high)


@dataclass(frozen=True, kw_only=True, eq=False)
class Layer:
    """An operator that rounds: its constants, its output, or both.

    Attributes:
        place: its index among the graph's operators; INPUT for the model's input.
        tensor: the name of its output.
    """

    place: int
    name: str
    kind: str
    tensor: str


class MixedNetwork:
    """Executes an integer graph in float32, each layer as the float network has it, or on its integers' grid.

    With every layer rounded this is the integer model up to the rounding of its accumulators: a value next to a tie
    may fall on the other side, so it ranks layers and proves nothing bit for bit.

    Raises:
        UnsupportedError: an operator without a float formula, by name.
    """

    def __init__(self, graph: Graph, real: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Prepare both sides.

        Args:
            graph: with parameters on its tensors. real: the real values of its quantized constants, by name.
        """
        self.graph = in_real_numbers(graph, real)
        self.source = graph
        self.grids = {name: grid for name, tensor in graph.tensors.items() if (grid := _grid(tensor)) is not None}
        self._steps = [_step(self.graph, operator) for operator in self.graph.operators]
        self._real: Values = {}
        self._rounded: Values = {}
        for name, tensor in graph.tensors.items():
            data = self.graph.tensors[name].data
            if tensor.data is not None and data is not None:
                self._real[name] = torch.from_numpy(np.array(data))
                on_grid = tensor.data if tensor.quantization is None else real_values(tensor)
                self._rounded[name] = torch.from_numpy(np.array(on_grid))
        self.layers = tuple(self._layers())

    def _layers(self) -> list[Layer]:
        graph = self.source
        first = graph.inputs[0]
        found = [Layer(place=INPUT, name=first, kind="Input", tensor=first)] if first in self.grids else []
        for place, operator in enumerate(graph.operators):
            output = operator.outputs[0]
            constants = any(graph.tensors[name].data is not None and graph.tensors[name].quantization is not None
                            for name in operator.inputs if name)  # fmt: skip
            if constants or (output in self.grids and not self._only_moves(operator)):
                found.append(Layer(place=place, name=operator.name, kind=operator.kind, tensor=output))
        return found

    def _only_moves(self, operator: Operator) -> bool:
        output = self.source.tensors[operator.outputs[0]].quantization
        inputs = [self.source.tensors[name] for name in operator.inputs if name]
        moving = [tensor.quantization for tensor in inputs if tensor.data is None]
        return operator.kind in ROUNDS_NOTHING and all(one is not None and one.same_as(output) for one in moving)

    def run(self, inputs: Sequence[npt.NDArray[Any]], choice: Choice) -> Values:
        """Every activation by name. Refuses (UsageError) inputs of the wrong count or shape; float32."""
        given = as_inputs(self.graph, inputs)
        alive = {name: self._output(name, value, choice(INPUT)) for name, value in given.items()}
        for place in range(len(self._steps)):
            self._execute(place, alive, choice(place))
        return alive

    def rerun(self, known: Mapping[str, torch.Tensor], start: int, choice: Choice) -> Values:
        """The activations after a change at one place: that operator and everything that depends on it, recomputed.

        Args:
            known: every activation by name, with the model's real input, of the run that it differs from.
            start: the place of the change; INPUT rounds the input or leaves it.
        """
        alive = dict(known)
        changed: set[str] = set()
        if start == INPUT:
            for name in self.graph.inputs:
                alive[name] = self._output(name, known[name], choice(INPUT))
                changed.add(name)
        for place in range(max(start, 0), len(self._steps)):
            operator = self.graph.operators[place]
            if place == start or changed.intersection(operator.inputs):
                self._execute(place, alive, choice(place))
                changed.add(operator.outputs[0])
        return alive

    def _execute(self, place: int, alive: Values, part: Part) -> None:
        operator = self.graph.operators[place]
        constants = self._rounded if part.constants else self._real
        values = [(alive[name] if name in alive else constants[name]) if name else None for name in operator.inputs]
        with torch.no_grad():
            result = self._steps[place](values)
        alive[operator.outputs[0]] = self._output(operator.outputs[0], result, part)

    def _output(self, name: str, value: torch.Tensor, part: Part) -> torch.Tensor:
        return self.grids[name].rounded(value) if part.output and name in self.grids else value


def _grid(tensor: Tensor) -> Grid | None:
    quantization = tensor.quantization
    if tensor.data is not None or quantization is None or tensor.dtype not in ACTIVATION_LIMITS:
        return None
    if quantization.axis is not None and quantization.scale.size != 1:
        return None
    low, high = ACTIVATION_LIMITS[tensor.dtype]
    return Grid(scale=float(quantization.scale[0]), zero_point=int(quantization.zero_point[0]), low=low, high=high)


def _step(graph: Graph, operator: Operator) -> Step:
    if operator.kind in ("Quantize", "Dequantize"):
        return lambda values: values[0] if values[0] is not None else torch.empty(0)
    if operator.kind not in BUILDERS:
        raise UnsupportedError(f"ranking layers: no float formula for {operator.kind} '{operator.name}'")
    return BUILDERS[operator.kind](graph, operator)
