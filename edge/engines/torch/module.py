"""A float graph as an nn.Module: torch's own functions, weights as parameters, for any device and floating dtype."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import nn

from edge.engines.torch.operators import NATIVE
from edge.errors import UnsupportedError
from edge.execution.float_run import build_steps
from edge.execution.kernels.affine import TORCH_DTYPES, Kernel, given
from edge.graph.graph import Graph, Operator

REAL_DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
)


class GraphModule(nn.Module):
    """Executes a float graph of either layout; tensors in and out are in the graph's layout.

    Constants of a floating dtype are parameters, all others buffers; every one of them is computed with in `real`.

    Args:
        real: float32, float16 or bfloat16: what real numbers are computed in.

    Raises:
        UnsupportedError: a quantized tensor, or an operator without a float formula, by name.
    """

    def __init__(self, graph: Graph, real: torch.dtype = torch.float32) -> None:
        super().__init__()
        if any(tensor.quantization is not None for tensor in graph.tensors.values()):
            raise UnsupportedError("it is quantized; leave the kernels open: `aten` computes its integers")
        casts = {"Cast": lambda graph, operator: _cast(graph, operator, real)}
        steps = build_steps(graph, {**NATIVE, **casts})
        self.kernels = nn.ModuleList(kernel for _, kernel in steps if isinstance(kernel, nn.Module))
        self.steps = tuple(steps)
        self.input_names, self.output_names = graph.inputs, graph.outputs
        self.constants = _register_constants(self, graph)
        self.drops = _last_uses(graph)
        self.to(real)
        self.eval()

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs, in the graph's order. A tensor is dropped after its last use."""
        alive = dict(zip(self.input_names, inputs, strict=True))
        for (operator, step), drops in zip(self.steps, self.drops, strict=True):
            alive[operator.outputs[0]] = step(
                [(alive[name] if name in alive else self._constant(name)) if name else None for name in operator.inputs]
            )
            for name in drops:
                del alive[name]
        return tuple(alive[name] if name in alive else self._constant(name) for name in self.output_names)

    def _constant(self, name: str) -> torch.Tensor:
        found: torch.Tensor = getattr(self, self.constants[name])
        return found


def _register_constants(module: nn.Module, graph: Graph) -> dict[str, str]:
    """Give the module the constants that operators read; returns their attribute names."""
    read = dict.fromkeys(name for operator in graph.operators for name in operator.inputs if name)
    read.update(dict.fromkeys(graph.outputs))
    names: dict[str, str] = {}
    for name in read:
        data = graph.tensors[name].data
        if data is None:
            continue
        names[name] = f"constant_{len(names)}"
        value = torch.from_numpy(np.array(data, order="C"))
        if value.is_floating_point():
            module.register_parameter(names[name], nn.Parameter(value, requires_grad=False))
        else:
            module.register_buffer(names[name], value)
    return names


def _last_uses(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """For every operator the activations that nothing after it reads."""
    last: dict[str, int] = {}
    for index, operator in enumerate(graph.operators):
        for name in (*operator.outputs, *(name for name in operator.inputs if name)):
            if graph.tensors[name].data is None:
                last[name] = index
    kept = set(graph.outputs)
    count = len(graph.operators)
    drops: list[list[str]] = [[] for _ in range(count)]
    for name, index in last.items():
        if name not in kept:
            drops[index].append(name)
    return tuple(tuple(names) for names in drops)


def _cast(graph: Graph, operator: Operator, real: torch.dtype) -> Kernel:
    """Cast; to any real number it is to the module's own dtype."""
    target = graph.tensors[operator.outputs[0]].dtype
    if target not in TORCH_DTYPES:
        raise UnsupportedError(f"torch: Cast '{operator.name}': to {target}")
    dtype = TORCH_DTYPES[target]
    wanted = real if dtype.is_floating_point else dtype
    return lambda values: given(values, 0).to(wanted)
