"""Move what a channel always has into the bias behind it: high-bias absorption (arXiv 1906.04721, section 4.1.3).

A rectified channel that never falls below c > 0 gives relu(x) - c = relu(x - c): its producer's bias loses c and the
layers behind gain their weights times c. The activation's range then starts nearer to where its values do.

At the border of a padded convolution zeros stand for values of 0 and would now stand for c: with padding the network
changes there. A ReLU6 lets less through than before where a channel reaches 6: such channels keep what they have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph, Operator
from edge.quantization.ptq.channels import CEILING, Domain, domains, is_depthwise
from edge.quantization.ptq.state import Float32Array, Images, with_constants

Float64Array = npt.NDArray[np.float64]
SIGMAS = 3.0
LETS_A_SHIFT_THROUGH = frozenset({"Mean", "MaxPool", "AveragePool", "Reshape", "Resize"})
BATCH_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class _Seen:
    """What the channels of an activation were on the images: float64 (channels,) each."""

    low: Float64Array
    high: Float64Array
    mean: Float64Array
    deviation: Float64Array


def absorbed(graph: Graph, images: Images) -> Iterator[Graph]:
    """The same network with what is always there moved behind, in several ways.

    By the least value of a channel on the images and by its mean less SIGMAS standard deviations (which the source
    takes), each without padded convolutions and with them. Nothing where no channel stays above 0.

    Args:
        graph: float, NCHW, rectifiers fused, a bias in every layer.
    """
    found = [domain for domain in domains(graph) if _is_one_rectified_layer(graph, domain)]
    seen = _seen(graph, {domain.producers[0].outputs[0] for domain in found}, images)
    unpadded = [domain for domain in found if not any(_pads(consumer) for consumer in domain.consumers)]
    for least in (True, False):
        for chosen in (unpadded, found) if len(unpadded) < len(found) else (found,):
            shifts = [_shift(domain, seen[domain.producers[0].outputs[0]], least=least) for domain in chosen]
            if any(bool(shift.any()) for shift in shifts):
                yield _shifted(graph, chosen, shifts)


def _is_one_rectified_layer(graph: Graph, domain: Domain) -> bool:
    if len(domain.producers) != 1 or domain.producers[0].attributes.get("activation") not in ("relu", "relu6"):
        return False
    inside = [op for op in graph.operators if op.outputs[0] in domain.tensors and op not in domain.producers]
    return all(op.kind in LETS_A_SHIFT_THROUGH and (op.kind != "AveragePool" or not _pads(op)) for op in inside)


def _pads(operator: Operator) -> bool:
    return any(operator.attributes.get("pads", ()))


def _shift(domain: Domain, seen: _Seen, *, least: bool) -> Float32Array:
    """What is moved of every channel: (channels,)."""
    shift = seen.low if least else np.maximum(0.0, seen.mean - SIGMAS * seen.deviation)
    kept = seen.high >= CEILING if domain.bounded else np.zeros(domain.channels, bool)
    return np.where(kept, 0.0, shift).astype(np.float32)


def _shifted(graph: Graph, chosen: Sequence[Domain], shifts: Sequence[Float32Array]) -> Graph:
    constants: dict[str, Float32Array] = {}

    def add(name: str, values: Float32Array) -> None:
        constants[name] = (constants[name] if name in constants else np.array(graph.constant(name))) + values

    for domain, shift in zip(chosen, shifts, strict=True):
        add(domain.producers[0].inputs[2], -shift)
        for consumer in domain.consumers:
            weight = np.asarray(graph.constant(consumer.inputs[1]), np.float32)
            rows = weight.reshape(*weight.shape[:2], -1).sum(axis=2)  # (O, I), of a depthwise layer (O, 1)
            add(consumer.inputs[2], rows[:, 0] * shift if is_depthwise(consumer) else rows @ shift)
    return with_constants(graph, constants)


def _seen(graph: Graph, names: set[str], images: Images) -> Mapping[str, _Seen]:
    """Of some activations, of all values on all images."""
    run = FloatRun(graph, channels_last=True)
    parts: dict[str, list[Float64Array]] = {}
    for start in range(0, len(images), BATCH_IMAGES):
        batch = images.batch(range(start, min(start + BATCH_IMAGES, len(images))))
        for name, value in run.stream([batch]):
            if name in names:
                flat = value.transpose(0, 1).flatten(1).double()
                sums = (flat.amin(1), flat.amax(1), flat.sum(1), flat.square().sum(1))
                counted = np.full(len(flat), flat.shape[1])
                parts.setdefault(name, []).append(np.stack([*(part.numpy() for part in sums), counted]))
    return {name: _summary(np.stack(rows)) for name, rows in parts.items()}


def _summary(rows: Float64Array) -> _Seen:
    """Of (batches, 5, channels): least, largest, sum, sum of squares, count."""
    total, squares, count = rows[:, 2:].sum(axis=0)
    mean = total / count
    deviation = np.sqrt(np.maximum(squares / count - mean**2, 0.0))
    return _Seen(low=rows[:, 0].min(axis=0), high=rows[:, 1].max(axis=0), mean=mean, deviation=deviation)
