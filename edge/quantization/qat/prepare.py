"""Prepare any FX-traceable module for quantization-aware training.

```python
prepared = prepare_qat(model, example, Scheme(), QatOptions(ranges="learned"))
set_phase(prepared, CALIBRATE)     # some batches: ranges
set_phase(prepared, TRAIN)
set_phase(prepared, TRAIN_FROZEN)  # last epochs
graph = freeze(prepared)
```
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from edge.artifact.scheme import TIED, Scheme
from edge.errors import EdgeError, UnsupportedError, UsageError
from edge.execution.kernels.qat_operators import ROUNDS, rectify, run_operator
from edge.graph.graph import Graph, Operator
from edge.graph.ops.halfway_products import least_alike
from edge.graph.ops.kernel_limits import Scales, smallest_output_scale
from edge.quantization.qat.activation_quantizer import ActivationQuantizer
from edge.quantization.qat.capture import Captured, capture
from edge.quantization.qat.fake_quant import weight_scales
from edge.quantization.qat.layers import FoldedLayer
from edge.quantization.qat.phase import CALIBRATE, QatPhase
from edge.quantization.quantize_graph import operand_parameters
from edge.quantization.ties import range_groups


@dataclass(frozen=True, kw_only=True)
class QatOptions:
    """How ranges come to be.

    Attributes:
        ranges: `learned` trains both ends by gradient once observing has ended; `moving_average` keeps what was
            observed.
        momentum: weight of a new batch in the moving average, in (0, 1].
        input_range: the range of the model's input, kept as it is (see `scheme.input_range`); None observes it.
    """

    ranges: Literal["learned", "moving_average"] = "moving_average"
    momentum: float = 0.05
    input_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Refuse options that do not hold."""
        if self.ranges not in ("learned", "moving_average"):
            raise UsageError(f"ranges is {self.ranges!r}; known: learned, moving_average")
        if not 0 < self.momentum <= 1:
            raise UsageError(f"momentum is {self.momentum}; it must lie in (0, 1]")


class NamedModules(nn.ModuleDict):
    """A ModuleDict whose names are keys alone: `keys`, `type` or `training` too, which are its own attributes."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute, never a module of that name."""
        object.__setattr__(self, name, value)

    def add_module(self, name: str, module: nn.Module | None) -> None:
        """Keep a module under a name without asking whether an attribute is called so."""
        assert module is not None  # a ModuleDict's values are modules
        self._modules[name] = module


class QuantizedModel(nn.Module):
    """A float graph run with fake quantization; an ordinary module: state dict, deep copy, channels_last, EMA.

    Evaluation mode always folds the batch norm; observing happens in training mode only.

    Attributes:
        graph: the float graph it was prepared from; its structure and names are those of the frozen graph, its
            constants are the weights before training.
        layers: the trainable layers with their batch norms.
        quantizers: one per range group.
        phase: what is on, see `set_phase`.
    """

    def __init__(self, captured: Captured, scheme: Scheme, options: QatOptions) -> None:
        super().__init__()
        self.graph: Graph = captured.graph
        self.scheme = scheme
        self.options = options
        self.phase = replace(CALIBRATE, live_norm=True)
        self.single_output = captured.single_output
        keys = {path: state_key(path) for path in captured.layers}
        self.layers = NamedModules({keys[path]: layer for path, layer in captured.layers.items()})
        self.layer_of = {name: keys[path] for name, path in captured.layer_of.items()}
        self.quantizers = NamedModules()
        self.group_of: dict[str, str] = {}
        for group in range_groups(captured.graph, scheme):
            fixed = options.input_range if set(group.tensors) & set(self.graph.inputs) else None
            key = state_key(group.name)
            self.quantizers[key] = ActivationQuantizer(
                group, momentum=options.momentum, fixed_range=fixed, scheme=scheme
            )
            self.group_of.update(dict.fromkeys(group.tensors, key))
        self.last_use = last_use(self.graph)

    def quantizer(self, tensor: str) -> ActivationQuantizer:
        """The quantizer of an activation. Refuses (EdgeError) an unknown name."""
        if tensor not in self.group_of:
            raise EdgeError(f"'{tensor}' is not a quantized activation of '{self.graph.name}'")
        quantizer = self.quantizers[self.group_of[tensor]]
        assert isinstance(quantizer, ActivationQuantizer)
        return quantizer

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run float (n, 3, h, w) of the prepared height and width; outputs as the model's, on their grids."""
        expected = self.graph.tensors[self.graph.inputs[0]].shape
        if tuple(x.shape[1:]) != expected[1:]:
            raise UsageError(f"the model was prepared for images {expected[1:]}, it was given {tuple(x.shape[1:])}")
        if self.phase.fake_quantize:
            self.hold_limits(products=not self.training)
        with torch.autocast(x.device.type, enabled=False):  # a grid of integers needs float32
            values = {self.graph.inputs[0]: self.finish(self.graph.inputs[0], x.float(), "none")}
            for index, operator in enumerate(self.graph.operators):
                values[operator.outputs[0]] = self.run(operator, values)
                for name in self.last_use[index]:
                    del values[name]
        outputs = tuple(values[name] for name in self.graph.outputs)
        return outputs[0] if self.single_output else outputs

    @torch.no_grad()
    def hold_limits(self, *, products: bool = True) -> None:
        """Widen what would leave the limits of the kernels, with the weights as they stand.

        The limits are `edge.graph.ops.kernel_limits`. An activation that died would otherwise have a scale so small
        that LiteRT refuses the whole file.

        Args:
            products: give each product a scale on which it rounds alike everywhere (`edge.graph.ops.halfway_products`);
                a few units in the last place, for which a step of training need not search.
        """
        for quantizer in self.quantizers.values():
            assert isinstance(quantizer, ActivationQuantizer)
            quantizer.floor = 0.0
        for _ in self.quantizers:  # a wider input may ask for a wider output in turn
            if not any([self._hold(operator, products) for operator in self.graph.operators]):  # noqa: C419  # all of them
                return

    def _hold(self, operator: Operator, products: bool) -> bool:
        output = operator.outputs[0]
        if operator.kind in TIED or output not in self.group_of:
            return False
        constants = operator.inputs if operator.kind in ("Add", "Sub", "Mul") else ()
        operands = [self._operand(name) for name in operator.inputs if name in self.group_of or name in constants]
        inputs = [scale for scale, _ in operands]
        weights = [1.0]
        if operator.name in self.layer_of:
            layer = self.layers[self.layer_of[operator.name]]
            assert isinstance(layer, FoldedLayer)
            weights = [float(weight_scales(*layer.folded(), inputs[0]).max())]
        scales = Scales(inputs=inputs, weights=weights)
        floor = float(np.float32(smallest_output_scale(operator.kind, self.scheme.activation_dtype, scales)))
        quantizer = self.quantizer(output)
        if products and operator.kind == "Mul" and self.scheme.activation_bits == 8:
            scale, zero_point = quantizer.parameters_now()
            floor = least_alike(tuple(operands), (max(scale, floor), zero_point))
        return quantizer.hold(floor)

    def _operand(self, name: str) -> tuple[float, int]:
        if name in self.group_of:
            return self.quantizer(name).parameters_now()
        scale, zero_point = operand_parameters(self.graph.constant(name), self.scheme)
        return float(scale), zero_point

    def run(self, operator: Operator, values: Mapping[str, Tensor]) -> Tensor:
        """One operator's output from the activations so far, by name, in the phase that stands."""
        output = operator.outputs[0]
        inputs = [values[name] for name in operator.inputs if name in values]
        if operator.name in self.layer_of:
            scale = self.quantizer(operator.inputs[0]).parameters_now()[0] if self.phase.fake_quantize else None
            layer = self.layers[self.layer_of[operator.name]]
            live = self.training and self.phase.live_norm
            return self.finish(output, layer(inputs[0], scale, live_norm=live), operator.attributes["activation"])
        tied = operator.kind in TIED
        rounds = (tied or operator.kind in ROUNDS) and self.phase.fake_quantize
        # The kernels' own roundings are mirrored in 8 bits; in 16 the grid is finer than float32 training notices.
        parameters = self.quantizer(output).parameters_now() if rounds and self.scheme.activation_bits == 8 else None
        result = run_operator(operator, inputs, parameters)
        activation = operator.attributes.get("activation", "none")
        if tied or output not in self.group_of:  # on the grid already, and its ends rectify to grid values
            return rectify(result, activation)
        return self.finish(output, result, activation)

    def finish(self, name: str, x: Tensor, activation: str) -> Tensor:
        """Observe, rectify and round a fresh activation."""
        quantizer = self.quantizer(name)
        if self.phase.observe and self.training:
            quantizer.observe(x, name, activation)
        if self.phase.fake_quantize:
            return quantizer(x, activation)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped
        return rectify(x, activation)


def prepare_qat(
    model: nn.Module, example: Tensor, scheme: Scheme | None = None, options: QatOptions | None = None
) -> QuantizedModel:
    """Prepare a copy of a float model; it starts in the observing phase, in the model's own mode.

    Args:
        model: any module that torch.fx can trace, with one image input; not changed.
        example: float32 (1, 3, h, w), any values; fixes the input's size.

    Raises:
        UnsupportedError: an operation that has no operator or no integer kernel, named with its node; a module that
            is not plain (compiled, scripted, wrapped, lazy, with hooks or computed weights); or a captured graph that
            computes something else than the model, by the first module that differs (`edge.quantization.qat.capture`).
        UsageError: learned ranges of int16 activations, whose 65,535 steps leave nothing to learn; a scale per weight
            tensor, which the factors of live batch norms would not let stand.
    """
    scheme, options = scheme or Scheme(), options or QatOptions()
    if any(isinstance(part, QuantizedModel) for part in model.modules()):
        raise UnsupportedError(f"{type(model).__name__} is prepared already; prepare the float model")
    if scheme.activation_bits == 16 and options.ranges == "learned":
        raise UsageError("ranges = 'learned' is for int8 activations; take 'moving_average' with activation_bits 16")
    if scheme.weight_granularity == "per_tensor":
        raise UsageError(
            "a scale per weight tensor is for `edge quantize`; training takes weight_granularity per_channel"
        )
    captured = capture(model, example)
    prepared = QuantizedModel(captured, scheme, options)
    return prepared.train(model.training)


def set_phase(module: nn.Module, phase: QatPhase) -> None:
    """Choose what the forward of a prepared module does. Refuses (UsageError) a module that was not prepared."""
    prepared = [part for part in module.modules() if isinstance(part, QuantizedModel)]
    if not prepared:
        raise UsageError(f"{type(module).__name__} was not prepared for quantization-aware training")
    for part in prepared:
        part.phase = phase
        learns = phase.learn_ranges and phase.fake_quantize and not phase.observe
        for quantizer in part.quantizers.values():
            assert isinstance(quantizer, ActivationQuantizer)
            quantizer.set_learning(learns and part.options.ranges == "learned")


def range_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The learned ranges of a prepared module, for an optimizer group of their own (no weight decay)."""
    quantizers = [part for part in module.modules() if isinstance(part, ActivationQuantizer)]
    return [parameter for quantizer in quantizers for parameter in (quantizer.low, quantizer.high)]


def state_key(name: str) -> str:
    """A module's path or a tensor's name as one part of a state dict's names: dots become slashes.

    A slash or tilde in the name is written as in a JSON pointer (RFC 6901: ~1, ~0), so that no two names meet.
    """
    return name.replace("~", "~0").replace("/", "~1").replace(".", "/")


def last_use(graph: Graph) -> list[list[str]]:
    """Per operator, the activations that nothing after it reads."""
    last: dict[str, int] = {}
    for index, operator in enumerate(graph.operators):
        for name in (*operator.inputs, *operator.outputs):
            if name and graph.tensors[name].data is None:
                last[name] = index
    return [
        [name for name, use in last.items() if use == index and name not in graph.outputs]
        for index in range(len(graph.operators))
    ]
