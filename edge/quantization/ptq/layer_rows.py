"""What each layer of a network gets and should give, layer by layer, while the layers before it are being rounded."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edge.artifact.scheme import Granularity
from edge.execution.kernels.qat_operators import rectify
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Float32Array, Images, State, evenly
from edge.quantization.qat.least_squares import Rows, visibility

ROWS = 40_000
"""Output positions that a layer's statistics are taken from, over all images."""
CHUNK = 8
MOST_BYTES = 3 << 28
"""Of the activations that are held at a time: with large ones, fewer images are looked at."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer as a choice of its constants sees it.

    Attributes:
        weight, bias: of the float network: (O, ...), (O,).
        current, rounded: the weight as the state has it now, and on its grid.
        rows: inputs as they will be, rounded, and the outputs that are wanted.
        input_scale: of the input's grid. granularity: of the weight's scale.
    """

    weight: Tensor
    bias: Tensor
    current: Tensor
    rounded: Tensor
    rows: Rows
    input_scale: float
    granularity: Granularity


Choose = Callable[[Layer], tuple[Tensor | None, Tensor]]
"""A layer's weight (None: as it is now) and bias."""


def layers_of(graph: Graph) -> tuple[Operator, ...]:
    """The layers whose weight and bias can be chosen: constants of their own, and no transposed convolution."""
    return tuple(operator for operator in graph.operators if _is_chosen(graph, operator))


def _is_chosen(graph: Graph, operator: Operator) -> bool:
    if operator.kind not in ("Conv", "Gemm"):
        return False
    own = [name for name in operator.inputs[1:3] if name and graph.tensors[name].data is not None]
    return len(own) == 2 and all(len(graph.consumers(name)) == 1 for name in own)


@torch.no_grad()
def layer_by_layer(
    state: State, images: Images, choose: Choose, *, seed: int, advance: Callable[[int, int], None]
) -> State:
    """Choose weight and bias of every layer, in graph order; each sees the rounded activations of those before it.

    Args:
        images: with large activations some of them, evenly spread, so that memory does not grow with their number.
        seed: chooses the output positions.
        advance: is told how many layers of how many are done.
    """
    real, rounded = Network(state.real), RoundedNetwork(state)
    unrectified = Network(without_rectifiers(state.real))
    chosen = evenly(images, most_images(state.real, len(images)))
    pixels = torch.from_numpy(chosen.batch(range(len(chosen))))
    wanted, given = real.begin(pixels), rounded.begin(pixels)
    generator = torch.Generator().manual_seed(seed)
    layers = {operator.name: number for number, operator in enumerate(layers_of(state.real))}
    constants: dict[str, Float32Array] = {}
    for index, operator in enumerate(state.real.operators):
        output = operator.outputs[0]
        if operator.name in layers:
            wanted[output] = _run(unrectified, operator, wanted)
            weight_name, bias_name = operator.inputs[1:3]
            now = torch.from_numpy(np.array(state.graph.constant(weight_name)))
            layer = Layer(
                weight=real.constants[weight_name],
                bias=real.constants[bias_name],
                current=now,
                rounded=rounded.constants[weight_name],
                rows=_rows(operator, real.constants[weight_name], given[operator.inputs[0]], wanted[output], generator),
                input_scale=rounded.grids[operator.inputs[0]][0],
                granularity=state.scheme.weight_granularity,
            )
            weight, bias = choose(layer)
            constants[weight_name] = (now if weight is None else weight).numpy()
            constants[bias_name] = bias.numpy()
            rounded.take(operator, now if weight is None else weight, bias)
            wanted[output] = rectify(wanted[output], operator.attributes["activation"])
            advance(layers[operator.name] + 1, len(layers))
        else:
            wanted[output] = _run(real, operator, wanted)
        given[output] = _run(rounded, operator, given)
        real.forget(index, wanted)
        rounded.forget(index, given)
    return state.with_constants(constants)


def without_rectifiers(graph: Graph) -> Graph:
    """The graph with its layers' fused rectifiers taken away: to run layer by layer, not as a network."""
    layers = {operator.name for operator in layers_of(graph)}
    bare = [
        replace(entry, attributes={**entry.attributes, "activation": "none"}) if entry.name in layers else entry
        for entry in graph.operators
    ]
    return replace(graph, operators=tuple(bare))


def most_images(graph: Graph, count: int) -> int:
    """How many of `count` images' activations, exact and rounded, are held within MOST_BYTES at the worst moment."""
    alive: set[str] = set(graph.inputs)
    last = {name: index for index, operator in enumerate(graph.operators) for name in operator.inputs}
    most = 1
    for index, operator in enumerate(graph.operators):
        alive.add(operator.outputs[0])
        most = max(most, sum(graph.tensors[name].size_bytes for name in alive))
        alive.difference_update(name for name in operator.inputs if last[name] == index)
    return max(1, min(count, MOST_BYTES // (2 * most)))


def _run(network: Network, operator: Operator, values: dict[str, Tensor]) -> Tensor:
    """One operator, some images at a time: large temporaries cost more than they save."""
    used = [name for name in operator.inputs if name in values]
    count = len(values[used[0]])
    chunk = 1 if network.singly else CHUNK
    parts = [
        network.run(operator, {name: values[name][start : start + chunk] for name in used})
        for start in range(0, count, chunk)
    ]
    return torch.cat(parts)


def _rows(operator: Operator, weight: Tensor, x: Tensor, wanted: Tensor, generator: torch.Generator) -> Rows:
    """Sample the same output positions of every image.

    Args:
        x: the layer's input on its grid. wanted: its float output before the rectifier.
    """
    attributes = operator.attributes
    if operator.kind == "Gemm":
        inputs, outputs = x.reshape(-1, 1, x.shape[-1]), wanted.reshape(-1, wanted.shape[-1])
    else:
        positions = wanted.shape[2] * wanted.shape[3]
        chosen = torch.randperm(positions, generator=generator)[: max(1, ROWS // len(x))]
        top, left, bottom, right = attributes["pads"]
        parts = []
        for start in range(0, len(x), CHUNK):
            padded = functional.pad(x[start : start + CHUNK], (left, right, top, bottom))
            columns = functional.unfold(
                padded, tuple(weight.shape[2:]), tuple(attributes["dilations"]), 0, tuple(attributes["strides"])
            )[:, :, chosen]
            groups = attributes["group"]
            parts.append(columns.permute(0, 2, 1).reshape(-1, groups, columns.shape[1] // groups))
        inputs = torch.cat(parts)
        outputs = wanted.flatten(2)[:, :, chosen].permute(0, 2, 1).reshape(-1, wanted.shape[1])
    return Rows(inputs=inputs, outputs=outputs, weights=visibility(outputs, attributes["activation"]))
