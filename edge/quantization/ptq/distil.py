"""Train weights and biases on their grids for the float network's own answers: no labels, no other network.

Layer by layer, each layer is right for its own output; the errors that reach the scores are what counts. Here all
layers move together, by gradients straight through the rounding (Bengio et al., arXiv 1308.3432), until the rounded
network's scores are the float network's on the calibration images, mirrored and shifted. Weights move over a few
integers at most: the step size is counted in quanta, and it falls to 0 (cosine).
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from edge.artifact.scheme import WEIGHT_MAX
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.graph.passes.ending_in_scores import ending_in_scores
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Images, State
from edge.quantization.qat.fake_quant import RoundThrough, weight_scales

STEP_QUANTA = 0.02
"""The first step of Adam, in quanta of a channel's weights, and of the output for a bias."""
BATCH_IMAGES = 8
MOST_SHIFT = 1 / 14
"""The largest shift of an image, of its size, either way; the border is mirrored."""


def distilled(
    state: State,
    reference: Graph,
    images: Images,
    *,
    epochs: int,
    decides: bool,
    seed: int,
    advance: Callable[[int, int], None],
) -> State:
    """The state with weights and biases trained for some epochs over the images.

    Args:
        reference: the float network whose answers are wanted.
        decides: axis 1 of the first output holds scores of classes: their softmax counts as well as their squares.
        advance: is told how many batches of how many are done.

    Raises:
        UnsupportedError: the error is not finite.
    """
    student = RoundedNetwork(State(
        real=ending_in_scores(state.real), graph=ending_in_scores(state.graph), parameters=state.parameters,
        scheme=state.scheme,
    ))  # fmt: skip
    trained = Trained(state, student, layers_of(state.real))
    train_towards(
        reference, lambda x: student.outputs(x, trained.constants()), trained.parameters(), images,
        epochs=epochs, decides=decides, seed=seed, advance=advance, before_step=trained.hold_largest,
    )  # fmt: skip
    return state.with_constants({name: value.detach().numpy() for name, value in trained.constants().items()})


def train_towards(
    reference: Graph,
    student: Callable[[Tensor], list[Tensor]],
    parameters: list[Tensor],
    images: Images,
    *,
    epochs: int,
    decides: bool,
    seed: int,
    advance: Callable[[int, int], None],
    before_step: Callable[[], None] = lambda: None,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train what a student's outputs depend on towards the float network's scores, over mirrored and shifted images.

    Raises:
        UnsupportedError: the error is not finite.
    """
    teacher = Network(ending_in_scores(reference))
    optimizer = torch.optim.Adam(parameters, lr=STEP_QUANTA)
    batches = list(image_batches(len(images), epochs, seed))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(batches))
    generator = torch.Generator().manual_seed(seed)
    for number, indices in enumerate(batches):
        x = moved(torch.from_numpy(images.batch(indices)), generator)
        with torch.no_grad():
            wanted = teacher.outputs(x)
        error = _error(student(x), wanted, decides=decides)
        if not bool(error.isfinite()):
            raise UnsupportedError("training towards the float network's answers: the error is not finite")
        optimizer.zero_grad(set_to_none=True)
        error.backward()  # type: ignore[no-untyped-call]  # torch's stub
        before_step()
        optimizer.step()
        after_step()
        schedule.step()
        advance(number + 1, len(batches))


class Trained:
    """Weights and biases that move, counted in quanta: of a channel's weights, and of a layer's output for its bias."""

    def __init__(self, state: State, student: RoundedNetwork, layers: Sequence[Operator]) -> None:
        self._quanta: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}
        self._pinned: dict[str, Tensor] = {}
        for layer in layers:
            weight_name, bias_name = layer.inputs[1:3]
            weight, bias = (torch.from_numpy(state.graph.constant(name).copy()) for name in (weight_name, bias_name))
            scale = weight_scales(weight, bias, student.grids[layer.inputs[0]][0], state.scheme.weight_granularity)
            self._quanta[weight_name] = scale.reshape(-1, *(1,) * (weight.dim() - 1))
            self._quanta[bias_name] = torch.tensor(student.grids[layer.outputs[0]][0])
            places = (1, 2, 3)[: weight.dim() - 1] if state.scheme.weight_granularity == "per_channel" else ()
            self._pinned[weight_name] = weight.abs() == weight.abs().amax(dim=places, keepdim=True)
            for name, value in ((weight_name, weight), (bias_name, bias)):
                self._counts[name] = (value / self._quanta[name]).requires_grad_()

    def parameters(self) -> list[Tensor]:
        """What an optimizer moves."""
        return list(self._counts.values())

    def constants(self) -> dict[str, Tensor]:
        """Every constant as it is now, weights on their grids."""
        return {
            name: (_rounded(count) if name in self._pinned else count) * self._quanta[name]
            for name, count in self._counts.items()
        }

    def hold_largest(self) -> None:
        """Keep the weights that the grids follow from where they are."""
        for name, places in self._pinned.items():
            gradient = self._counts[name].grad
            if gradient is not None:
                gradient.masked_fill_(places, 0.0)


def _rounded(counts: Tensor) -> Tensor:
    """The nearest integers in [-127, 127], with the gradient of the identity."""
    integers: Tensor = RoundThrough.apply(counts)  # type: ignore[no-untyped-call]  # torch's stub
    return integers.clamp(-WEIGHT_MAX, WEIGHT_MAX)


def _error(found: list[Tensor], wanted: list[Tensor], *, decides: bool) -> Tensor:
    """Noise over signal of each output, and where scores decide the divergence of their softmax."""
    noise = [functional.mse_loss(one, other) / other.square().mean().clamp(min=1e-12)
             for one, other in zip(found, wanted, strict=True)]  # fmt: skip
    error = torch.stack(noise).mean()
    if not decides:
        return error
    ours, theirs = functional.log_softmax(found[0], dim=1), functional.log_softmax(wanted[0], dim=1)
    return error + (theirs.exp() * (theirs - ours)).sum(dim=1).mean()


def moved(images: Tensor, generator: torch.Generator) -> Tensor:
    """Every image mirrored or not and shifted, its border mirrored: float32 (n, 3, h, w)."""
    height, width = images.shape[2:]
    most_y, most_x = int(height * MOST_SHIFT), int(width * MOST_SHIFT)
    parts = []
    for image in functional.pad(images, (most_x, most_x, most_y, most_y), mode="reflect"):
        down, right, mirror = (
            int(torch.randint(0, high, (), generator=generator)) for high in (2 * most_y + 1, 2 * most_x + 1, 2)
        )
        part = image[:, down : down + height, right : right + width]
        parts.append(part.flip(2) if mirror else part)
    return torch.stack(parts)


def image_batches(count: int, epochs: int, seed: int) -> Iterator[list[int]]:
    """Indices of images, each once an epoch, in a random order."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        order = torch.randperm(count, generator=generator).tolist()
        yield from (order[start : start + BATCH_IMAGES] for start in range(0, count, BATCH_IMAGES))
