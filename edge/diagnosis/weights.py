"""Diseases that the weights show alone: integers in disguise, channels of unequal size, channels that do nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.patient import Patient
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import real_values

LAYERS = ("Conv", "ConvTranspose", "Gemm")
FEWEST_CHANNELS = 4
Array = npt.NDArray[np.float64]

STEPS = np.arange(1, 256, dtype=np.float64)
"""How many quanta the largest weight of a channel may be: 127 of a symmetric grid, 255 of one with a zero point."""
MOST_VALUES, MOST_CHANNELS = 64, 32
"""Looked at of one channel, and of one layer: 64 random numbers lie on a grid of 255 steps by chance 1 in 10^40."""
FEWEST_MAGNITUDES, FEWEST_IN_HALF = 6, 24
"""Different ones that a channel has at least, of float32 and of float16 numbers: few numbers lie on some grid always
(an average, a bilinear kernel)."""
OFF_GRID = 0.01 + 0 * STEPS
OFF_GRID_IN_HALF = np.maximum(OFF_GRID, STEPS / 1024)
"""Farthest from a grid of so many steps, in quanta, that rounding to float32 and to float16 leaves a value."""
SAME = 1e-5
"""Share of a number by which two on one grid may differ, and be the same multiple."""
ON_GRID_SHARE = 0.9
SHARE_OF_WEIGHTS = 0.1

HUGE_RATIO = 100.0
EVEN = " --steps cross_layer,least_squares"
"""Channels are evened out without a limit (`equalize` takes a factor of 8), and what rounding leaves made good."""
NEARLY_NONE = 1
NEARLY_NONE_SHARE = 0.5
DEAD_SHARE = 0.05
NEVER_ALIVE = 1e-6
"""Of the largest channel of a layer: what weight decay leaves of a channel that it gave up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Weight:
    """The weight of one layer as real numbers (channels, values), and how it is stored."""

    operator: Operator
    tensor: Tensor
    values: npt.NDArray[np.float32]

    @property
    def largest(self) -> Array:
        """By output channel the largest magnitude: float64 (channels,)."""
        return np.asarray(np.abs(self.values).max(axis=1), np.float64)


def weights(graph: Graph) -> Iterator[Weight]:
    """The constant weights of the layers, in the graph's order; a weight that two layers share comes once."""
    seen: set[str] = set()
    for operator in graph.operators:
        if operator.kind not in LAYERS or len(operator.inputs) < 2 or operator.inputs[1] in seen:
            continue
        tensor = graph.tensors[operator.inputs[1]]
        if tensor.data is None or not tensor.data.size:
            continue
        seen.add(tensor.name)
        yield Weight(operator=operator, tensor=tensor, values=real_values(tensor).reshape(tensor.shape[0], -1))


def double_quantization(patient: Patient) -> Found:
    """Whether float weights lie on a grid of 8 bits: they were integers once, and will be rounded a second time."""
    if patient.is_integer or patient.integer_weights:
        return not_judged("needs float weights; these are integers by name")
    judged = [(weight, share) for weight in weights(patient.graph) if (share := on_grid_share(weight)) is not None]
    if not judged:
        return not_judged("needs a layer whose channels have at least 6 different weights")
    total = sum(weight.values.size for weight, _ in judged)
    found = [weight for weight, share in judged if share >= ON_GRID_SHARE]
    held = sum(weight.values.size for weight in found) / total
    data = {"layers": len(judged), "layers_on_grid": len(found), "weights_on_grid_share": held}
    if held < SHARE_OF_WEIGHTS:
        return healthy(f"{held:.1%} of the weights lie on a grid of 8 bits", **data)
    first = found[0].operator
    return sick(
        f"{held:.1%} of the weights, in {len(found)} of {len(judged)} layers, lie on a grid of 8 bits: they were "
        "quantized and written back as float. Rounding them again on another grid adds its error to the first one's, "
        "and looks better than it is where the grid happens to be the same",
        layer=first.name,
        cure="no command brings back what was rounded off: start from the weights before they were quantized, or, "
        "where they are lost, train with quantization in the loop from these",
        command=patient.training or patient.quantizing_parent,
        **data,
    )


def on_grid_share(weight: Weight) -> float | None:
    """Share of a layer's channels that lie on a grid of 8 bits each; None where no channel can be judged."""
    rows = np.unique(np.linspace(0, len(weight.values) - 1, MOST_CHANNELS).round().astype(int))
    found = [on_grid(np.abs(weight.values[row]).astype(np.float64)) for row in rows]
    known = [entry for entry in found if entry is not None]
    return float(np.mean(known)) if len(known) >= min(FEWEST_CHANNELS, len(rows)) else None


def on_grid(magnitudes: Array) -> bool | None:
    """Whether magnitudes (n,) are multiples of their largest over a whole number up to 255; None: too few differ.

    Many may be off by what rounding to float16 leaves, which folding batch norm then scales; few by float32's alone.
    """
    different = np.unique(magnitudes[magnitudes > 1e-6 * magnitudes.max(initial=0)])
    different = different[np.diff(different, prepend=0) > SAME * different]
    if len(different) < FEWEST_MAGNITUDES:
        return None
    if len(different) > STEPS[-1]:
        return False
    kept = different[np.linspace(0, len(different) - 1, min(len(different), MOST_VALUES)).round().astype(int)]
    quanta = kept[None] / kept[-1] * STEPS[:, None]  # (255, n)
    off = np.abs(quanta - quanta.round()).max(axis=1)
    return bool((off < (OFF_GRID_IN_HALF if len(kept) >= FEWEST_IN_HALF else OFF_GRID)).any())


def quantized_already(patient: Patient) -> Found:
    """Whether a file that is to be quantized holds integers."""
    stored = list(weights(patient.graph))
    integer = [weight.operator.name for weight in stored if weight.tensor.quantization is not None]
    integer = integer or list(patient.integer_weights)
    data = {"layers": len(stored), "integer_layers": len(integer), "float_operators": len(patient.floats)}
    if not integer:
        return healthy("its weights and activations are float", **data)
    if patient.calibration is None or patient.form not in ("onnx", "tflite"):
        return healthy(
            f"{len(integer)} of {len(stored)} layers hold integers, and nobody asks to quantize them again", **data
        )
    cure, command = "quantize the float model that it came from", patient.quantizing_parent
    if patient.is_integer:
        cure = "convert it with the ranges that it has, or quantize the float model that it came from"
        command = patient.making
        words = "calibration images cannot choose their ranges again, and `edge quantize` refuses the file"
    else:
        words = "their weights would be rounded again, on another grid"
    return sick(
        f"{len(integer)} of {len(stored)} layers hold integers already: {words}",
        layer=integer[0],
        cure=cure,
        command=command,
        **data,
    )


def huge_channel_ratios(patient: Patient) -> Found:
    """Whether one channel of a layer is so much larger than the others that they share its grid with few levels."""
    found: list[tuple[float, Weight, str]] = []
    for weight in weights(patient.graph):
        largest = weight.largest
        if len(largest) < 2 * FEWEST_CHANNELS or not largest.any():
            continue
        live = largest[largest > NEVER_ALIVE * largest.max()]
        ratio = float(largest.max() / np.median(live))
        quanta = _quanta(weight)
        if quanta is not None and quanta[quanta > 0].size:
            few = float((quanta <= NEARLY_NONE).mean())
            if few >= NEARLY_NONE_SHARE and np.median(quanta[quanta > 0]) < 16:
                words = f"{few:.0%} of its {len(quanta)} channels have at most {NEARLY_NONE} quantum of one scale"
                found.append((max(ratio, HUGE_RATIO), weight, words))
                continue
        channel = int(largest.argmax())
        words = f"channel {channel} of {len(largest)} holds weights up to {largest.max():.4g}, the median channel "
        found.append((ratio, weight, words + f"{np.median(live):.4g}"))
    if not found:
        return not_judged("needs a layer of at least 8 channels")
    ratio, worst, words = max(found, key=lambda entry: entry[0])
    data = {"largest_ratio": ratio, "limit": HUGE_RATIO, "layers_beyond": sum(one[0] >= HUGE_RATIO for one in found)}
    if ratio < HUGE_RATIO:
        return healthy(f"the largest channel is {ratio:.1f} times the median one, in '{worst.operator.name}'", **data)
    cure, command = "quantize by steps that even channels out and print what that brings", f"{patient.quantizing}{EVEN}"
    if worst.tensor.quantization is not None and worst.tensor.quantization.scale.size == 1:
        cure, command = "quantize the float model with a scale per channel", patient.quantizing
    words = f"{words}: {ratio:.0f} times"
    return sick(words, layer=worst.operator.name, cure=cure, command=command, **data)


def _quanta(weight: Weight) -> Array | None:
    """By channel the largest magnitude in quanta, of integers with one scale for all; None of others."""
    found = weight.tensor.quantization
    if found is None or found.scale.size != 1:
        return None
    return np.asarray(weight.largest / float(found.scale[0]), np.float64).round()


def dead_channels(patient: Patient) -> Found:
    """Whether output channels of a layer are constant: every weight of theirs is 0, or their bias holds them at 0.

    Rounding makes zeros of small channels, so those of integers are held against the float parent's.
    """
    given = list(weights(patient.graph))
    if patient.is_integer:
        if patient.parent is None:
            return not_judged(
                "needs float weights, or the float parent (--parent): rounding makes zeros of small channels"
            )
        parents = list(weights(patient.parent))
        if [weight.values.shape for weight in given] != [weight.values.shape for weight in parents]:
            return not_judged("the float parent has other layers")
        dead = [(mine.largest == 0) & _alive(real) for mine, real in zip(given, parents, strict=True)]
    else:
        dead = [(weight.largest == 0) | (held_at_zero(patient.graph, weight) & _alive(weight)) for weight in given]
    found = [
        (float(zero.mean()), weight)
        for zero, weight in zip(dead, given, strict=True)
        if zero.size >= FEWEST_CHANNELS
        and weight.values.shape[1] > 1  # one weight a channel is a factor: a gate's is 0
    ]
    if not found:
        return not_judged("needs a layer of at least 4 channels")
    several = [entry for entry in found if entry[0] * len(entry[1].values) > 1.5]  # one is chance
    share, worst = max(several or found, key=lambda entry: entry[0])
    channels, count = len(worst.values), round(share * len(worst.values))
    data: dict[str, Any] = {
        "largest_dead_share": share,
        "limit": DEAD_SHARE,
        "dead_channels": int(sum(zero.sum() for zero in dead)),
    }
    if share < DEAD_SHARE or count < 2:
        return healthy(f"at most {share:.0%} of a layer's channels answer the same to every image", **data)
    why = "have no weight but 0" if not worst.largest.all() else "have a bias that no input brings above 0"
    return sick(
        f"{count} of {channels} output channels {why}: they answer the same to every image, and cost what live ones do",
        layer=worst.operator.name,
        **_weights_again(patient),
        **data,
    )


def _weights_again(patient: Patient) -> dict[str, str]:
    """How dead channels come to life: words, and a command where there is one."""
    if patient.is_integer:
        return {"cure": "quantize the float parent, whose channels live", "command": patient.quantizing_parent}
    words = "look for the step that zeroed them (pruning, a checkpoint that was not loaded whole), and load them again"
    if patient.training:
        return {"cure": f"{words}; or train on", "command": patient.training}
    return {"cure": f"no command brings weights back: {words}"}


def held_at_zero(graph: Graph, weight: Weight) -> npt.NDArray[np.bool_]:
    """By channel whether no input brings a rectified layer above 0, where its inputs are known to lie in a range."""
    operator, none = weight.operator, np.zeros(len(weight.values), np.bool_)
    low, high = _bounds(graph, operator.inputs[0])
    if operator.attributes.get("activation") not in ("relu", "relu6") or len(operator.inputs) < 3 or high is None:
        return none
    if operator.kind != "Conv" or graph.tensors[operator.inputs[2]].data is None:
        return none
    bias = graph.constant(operator.inputs[2])
    highest = np.maximum(weight.values * high, weight.values * low).sum(axis=1, dtype=np.float64) + bias
    return np.asarray(highest < 0, np.bool_)


def _bounds(graph: Graph, name: str) -> tuple[float, float | None]:
    """The range of a tensor's values where its maker clamps it at 6; beyond no bound is known."""
    maker = next((one for one in graph.operators if name in one.outputs), None)
    while maker is not None and maker.kind in ("Pad", "MaxPool", "AveragePool"):
        source = maker.inputs[0]
        maker = next((one for one in graph.operators if source in one.outputs), None)
    clamped = maker is not None and (maker.attributes.get("activation") == "relu6" or maker.kind == "Relu6")
    return 0.0, 6.0 if clamped else None


def _alive(weight: Weight) -> npt.NDArray[np.bool_]:
    return np.asarray(weight.largest > 1e-2 * np.median(weight.largest), np.bool_)
