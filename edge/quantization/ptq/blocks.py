"""Train block after block on its own output: block-wise reconstruction (BRECQ, Li et al., arXiv 2102.05426).

A block is a run of operators that hands on one activation alone, such as an inverted residual. On the rounded
activations of the blocks before it, its weights and biases are trained for the float network's output, straight
through the rounding (`distil`): the layers of a block correct each other, while the few images cannot be learned by
heart as they could by the whole network.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.distil import STEP_QUANTA, Trained, image_batches
from edge.quantization.ptq.layer_rows import MOST_BYTES, layers_of
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Float32Array, Images, State

FEWEST_LAYERS = 2
"""Of a block that is trained together: a depthwise and a pointwise convolution, say."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Operators one after the other that read `input` and constants, and hand on `output` alone."""

    operators: tuple[Operator, ...]
    layers: tuple[Operator, ...]
    input: str
    output: str


def blocks_of(graph: Graph) -> tuple[Block, ...]:
    """The blocks of a graph in its order, each with FEWEST_LAYERS layers or more but perhaps the last.

    Nothing behind the last activation that stands alone, such as heads of their own, is in a block.
    """
    last = {name: index for index, operator in enumerate(graph.operators) for name in operator.inputs}
    chosen = {operator.name for operator in layers_of(graph)}
    alive, begin, first = {*graph.inputs}, graph.inputs[0], 0
    found: list[Block] = []
    for index, operator in enumerate(graph.operators):
        alive.add(operator.outputs[0])
        alive = {name for name in alive if last.get(name, -1) > index or name in graph.outputs}
        members = graph.operators[first : index + 1]
        layers = tuple(member for member in members if member.name in chosen)
        enough = len(layers) >= FEWEST_LAYERS or (layers and index + 1 == len(graph.operators))
        if alive == {operator.outputs[0]} and enough:
            found.append(Block(operators=tuple(members), layers=layers, input=begin, output=operator.outputs[0]))
            begin, first = operator.outputs[0], index + 1
    return tuple(found)


def by_blocks(state: State, images: Images, *, epochs: int, seed: int, advance: Callable[[int, int], None]) -> State:
    """The state with the weights and biases of every block trained for some epochs over the images.

    Args:
        images: with large activations between blocks some of them, evenly spread, so that memory does not grow with
            their number.
        advance: is told how many blocks of how many are done.

    Raises:
        UnsupportedError: there is no block, or the error is not finite.
    """
    blocks = blocks_of(state.real)
    if not blocks:
        raise UnsupportedError("no activation stands alone between layers")
    real, rounded = Network(state.real), RoundedNetwork(state)
    largest = max(state.real.tensors[name].size_bytes for block in blocks for name in (block.input, block.output))
    count = max(1, min(len(images), MOST_BYTES // (4 * largest)))
    pixels = torch.from_numpy(images.batch([index * len(images) // count for index in range(count)]))
    wanted, given = pixels, rounded.begin(pixels)[state.real.inputs[0]]
    constants: dict[str, Float32Array] = {}
    for number, block in enumerate(blocks):
        wanted = _passed(real, block, wanted)
        trained = Trained(state, rounded, block.layers)
        _train(block, rounded, trained, given, wanted, epochs, seed)
        now = {name: value.detach() for name, value in trained.constants().items()}
        constants.update({name: value.numpy() for name, value in now.items()})
        for layer in block.layers:
            rounded.take(layer, now[layer.inputs[1]], now[layer.inputs[2]])
        given = _passed(rounded, block, given)
        advance(number + 1, len(blocks))
    return state.with_constants(constants)


def _train(
    block: Block, rounded: RoundedNetwork, trained: Trained, given: Tensor, wanted: Tensor, epochs: int, seed: int
) -> None:
    """Train a block for its wanted output, (n, ...), of its rounded input."""
    optimizer = torch.optim.Adam(trained.parameters(), lr=STEP_QUANTA)
    batches = list(image_batches(len(given), epochs, seed))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    power = wanted.square().mean().clamp(min=1e-12)
    for indices in batches:
        found = _run(rounded, block, given[indices], trained.constants())
        error = functional.mse_loss(found, wanted[indices]) / power
        if not bool(error.isfinite()):
            raise UnsupportedError(f"training the block up to {block.output!r}: the error is not finite")
        optimizer.zero_grad(set_to_none=True)
        error.backward()  # type: ignore[no-untyped-call]  # torch's stub
        trained.hold_largest()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def _passed(network: Network, block: Block, given: Tensor) -> Tensor:
    """A block's output, some images at a time."""
    return torch.cat([_run(network, block, part, {}) for part in torch.split(given, CHUNK)])


CHUNK = 8


def _run(network: Network, block: Block, given: Tensor, constants: Mapping[str, Tensor]) -> Tensor:
    values = {block.input: given}
    for operator in block.operators:
        values[operator.outputs[0]] = network.run(operator, {**constants, **values})
    return values[block.output]
