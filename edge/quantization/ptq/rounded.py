"""A network on its grids, in float32 and with gradients: what its integers stand for, but for its accumulators."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from edge.execution.float_run import build_steps, in_real_numbers
from edge.execution.walk import Step, constant_tensors
from edge.graph.analyses.batch_axis import batch_axis_user
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.state import State
from edge.quantization.qat.fake_quant import FakeQuantize, fake_quantize_bias, fake_quantize_weight, weight_scales

Values = Mapping[str, Tensor]


class Network:
    """The operators of a float graph, run one by one; any batch, where no operator mixes axis 0."""

    def __init__(self, graph: Graph) -> None:
        """Prepare. Refuses (UnsupportedError) a quantized graph or an operator without a float formula, by name."""
        self.graph = graph
        self.constants = constant_tensors(graph)
        self._steps: dict[str, Step] = {operator.name: step for operator, step in build_steps(graph)}
        self.singly = batch_axis_user(graph) is not None
        self._last = {name: index for index, operator in enumerate(graph.operators) for name in operator.inputs}

    def run(self, operator: Operator, values: Values) -> Tensor:
        """One operator's output, from activations, and from constants where `values` has no such name."""
        given = [
            (values[name] if name in values else self.constants[name]) if name else None for name in operator.inputs
        ]
        return self.finish(operator, self._steps[operator.name](given))

    def finish(self, operator: Operator, value: Tensor) -> Tensor:
        """What becomes of an operator's output; here nothing."""
        return value

    def begin(self, images: Tensor) -> dict[str, Tensor]:
        """The network's input by its name, channels last in memory: convolutions are quicker so."""
        given = images.contiguous(memory_format=torch.channels_last) if images.dim() == 4 else images
        return {self.graph.inputs[0]: given}

    def forget(self, index: int, values: dict[str, Tensor], kept: Sequence[str] = ()) -> None:
        """Drop the activations whose last use was the operator at `index`, but for the outputs and `kept`."""
        for name in self.graph.operators[index].inputs:
            if self._last[name] == index and name not in (*self.graph.outputs, *kept):
                values.pop(name, None)

    def outputs(self, images: Tensor, constants: Values | None = None) -> list[Tensor]:
        """The outputs in the graph's order, of float32 images (n, 3, h, w); `constants` in place of the network's."""
        values = self.begin(images)
        for index, operator in enumerate(self.graph.operators):
            values[operator.outputs[0]] = self.run(operator, values if constants is None else {**constants, **values})
            self.forget(index, values)
        return [values[name] for name in self.graph.outputs]


class RoundedNetwork(Network):
    """A state's network with every activation on its grid.

    Gradients pass straight through the rounding, and stop at the ends of a range (`qat.fake_quant`).
    """

    def __init__(self, state: State, *, round_weights: bool = True) -> None:
        """Prepare; with `round_weights` False weights and biases stay as they are in the state's graph."""
        quantized = state.quantized
        real = {
            name: np.asarray(tensor.data, np.float32)
            for name, tensor in state.graph.tensors.items()
            if tensor.data is not None and tensor.dtype == "float32"
        }
        super().__init__(in_real_numbers(quantized, {} if round_weights else real))
        self._granularity = state.scheme.weight_granularity
        low, high = state.scheme.activation_limits
        self.limits = (low, high)
        self.grids = {
            name: (float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0]))
            for name, tensor in quantized.tensors.items()
            if tensor.data is None and tensor.quantization is not None
        }

    def begin(self, images: Tensor) -> dict[str, Tensor]:
        """The network's input on its grid, by its name."""
        return {name: self._on_grid(name, value) for name, value in super().begin(images).items()}

    def take(self, operator: Operator, weight: Tensor, bias: Tensor) -> None:
        """Use another weight (O, ...) and bias (O,) of a layer, on their grids from now on."""
        scale = self.grids[operator.inputs[0]][0]
        scales = weight_scales(weight, bias, scale, self._granularity)
        self.constants[operator.inputs[1]] = fake_quantize_weight(weight, scales)
        self.constants[operator.inputs[2]] = fake_quantize_bias(bias, scale, scales)

    def finish(self, operator: Operator, value: Tensor) -> Tensor:
        """The output on its grid."""
        return self._on_grid(operator.outputs[0], value)

    def _on_grid(self, name: str, value: Tensor) -> Tensor:
        if name not in self.grids:
            return value
        rounded: Tensor = FakeQuantize.apply(value, *self.grids[name], self.limits)  # type: ignore[no-untyped-call]  # torch's stub
        return rounded
