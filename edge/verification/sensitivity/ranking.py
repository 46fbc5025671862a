"""Layers ranked by what each costs, both ways: it alone rounded, and it alone left in float."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.model_file import TensorInfo
from edge.evaluation.fidelity import RealDifference, real_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.batch_axis import batch_axis_user
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph
from edge.graph.passes.ending_in_scores import ending_in_scores
from edge.graph.passes.rewrite import rebuild
from edge.port import dequantize
from edge.predictor.selftest import model_input
from edge.verification.checks.accuracy import Participant
from edge.verification.checks.images import Images
from edge.verification.checks.subject import Subject
from edge.verification.sensitivity.mixed import FLOAT, WHOLE, Layer, MixedNetwork, Values
from edge.verification.sensitivity.real_weights import RealWeights, real_weights
from edge.vision.pixels import in_layout, normalize

ACTIVATION_BYTES_PER_BATCH = 1 << 27
MOST_PER_BATCH = 8
SCORES = ("logits", "probabilities", "class_map")
Clock = Callable[[], float]


@dataclass(kw_only=True)
class Trial:
    """One choice of rounded layers, with what was seen of it so far: error of the scores, decisions."""

    participant: Participant
    error: RealDifference = field(default_factory=RealDifference)


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerCost:
    """What one layer costs.

    The noise is the squared error of the scores, summed over the images; shares are of the noise with every layer
    rounded. Both ways measure the same thing from its two ends, and differ where errors add up or cancel.

    Attributes:
        alone: this layer rounded, all others float. without: this layer float, all others rounded.
        alone_rank, without_rank: place in the order of `alone_noise_share` and of `recovered_share`, from 1.
        alone_noise_share: noise of `alone`, in [0, inf). recovered_share: what of all noise is gone in `without`; may
            be negative, where the layer's error cancels another's.
        alone_boundary_rank, without_boundary_rank: of a segmenter, place in the order of how little of the float
            network's boundaries is kept in `alone`, and how much in `without` (`Participant.kept_boundaries`).
    """

    layer: Layer
    alone: Trial
    without: Trial
    alone_noise_share: float
    recovered_share: float
    alone_rank: int
    without_rank: int
    alone_boundary_rank: int | None
    without_boundary_rank: int | None


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """All layers, the costliest alone first.

    Attributes:
        network, weights: what was executed. images: indices of those looked at; asked: how many were to be.
        duration_s: of the ranking. limit_s: after which no further images were begun.
        everything: every layer rounded; simulation: the integer simulation on the same images.
        reference: the float network.
    """

    layers: tuple[LayerCost, ...]
    network: MixedNetwork
    weights: RealWeights
    images: tuple[int, ...]
    asked: int
    duration_s: float
    limit_s: float
    reference: Participant
    everything: Trial
    simulation: Trial


def rank_layers(
    subject: Subject,
    images: Images,
    parent: Graph | None,
    *,
    samples: int,
    limit_s: float,
    advance: Callable[[int], None] = lambda count: None,
    clock: Clock = time.monotonic,
) -> Ranking:
    """Run the network twice per layer, from that layer on, on some images.

    Args:
        parent: the float network, for the real weights; None takes the integers' own values, and weights cost nothing.
        samples: images, spread evenly over those of `images`. limit_s: once it has passed no further batch is begun;
            the first batch is one image.
        advance: called with 1 for every layer and batch.

    Raises:
        UnsupportedError: an operator without a float formula, by name.
    """
    start = clock()
    graph = ending_in_scores(_told(subject))
    weights = real_weights(graph, parent)
    network = MixedNetwork(graph, weights.values)
    bench = _Bench(subject, images, graph, network)
    chosen = spread(images.count, samples)
    done: list[int] = []
    while len(done) < len(chosen) and (not done or clock() - start < limit_s):
        batch = chosen[len(done) : len(done) + (bench.batch_size if done else 1)]
        bench.look_at(batch, advance)
        done += batch
    return Ranking(
        layers=_ordered(network.layers, bench),
        network=network,
        weights=weights,
        images=tuple(done),
        asked=len(chosen),
        duration_s=clock() - start,
        limit_s=limit_s,
        reference=bench.reference,
        everything=bench.everything,
        simulation=bench.simulation,
    )


def spread(count: int, wanted: int) -> list[int]:
    """Indices of at most `wanted` of `count` images, evenly spread, ascending."""
    return list(range(count)) if wanted >= count else [place * count // wanted for place in range(wanted)]


def float_input(subject: Subject, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Resized images as the float network's input, in the source's layout."""
    return in_layout(normalize(pixels, subject.artifact.manifest.preprocess), subject.source.inputs[0].layout)


class _Bench:
    """The trials of one ranking, added to batch by batch."""

    def __init__(self, subject: Subject, images: Images, graph: Graph, network: MixedNetwork) -> None:
        self._subject, self._images, self._network = subject, images, network
        self._simulation = IntegerSimulation(graph)
        told = [subject.source.outputs[place] for place in subject.source.told]
        self._infos = tuple(_real_info(graph, name, own) for name, own in zip(graph.outputs, told, strict=True))
        self.reference = Participant("float", images)
        self.everything = Trial(participant=Participant("every layer rounded", images))
        self.simulation = Trial(participant=Participant("integer simulation", images))
        self.alone = {layer.place: Trial(participant=Participant(layer.name, images)) for layer in network.layers}
        self.without = {layer.place: Trial(participant=Participant(layer.name, images)) for layer in network.layers}
        activation_bytes = 4 * sum(
            int(np.prod(graph.tensors[name].shape)) for operator in graph.operators for name in operator.outputs
        )
        most = 1 if batch_axis_user(graph) is not None else MOST_PER_BATCH
        self.batch_size = max(1, min(most, ACTIVATION_BYTES_PER_BATCH // max(activation_bytes, 1)))

    def look_at(self, indices: Sequence[int], advance: Callable[[int], None]) -> None:
        """Run every trial on a batch."""
        network = self._network
        pixels = np.stack([self._images.pixels(index) for index in indices])
        inputs = [float_input(self._subject, pixels)]
        real = network.run(inputs, lambda place: FLOAT)
        rounded = network.run(inputs, lambda place: WHOLE)
        raw_inputs = {name: real[name] for name in network.graph.inputs}
        expected = self._outputs(real)
        for row, index in enumerate(indices):
            self.reference.add(index, [output[row : row + 1] for output in expected], self._infos)
        self._take(self.everything, indices, expected, self._outputs(rounded))
        self._take(self.simulation, indices, expected, self._simulated(pixels))
        for layer in network.layers:
            place = layer.place
            alone = network.rerun(real, place, lambda at, here=place: WHOLE if at == here else FLOAT)  # type: ignore[misc]
            self._take(self.alone[place], indices, expected, self._outputs(alone))
            known = {**rounded, **raw_inputs} if place < 0 else rounded
            without = network.rerun(known, place, lambda at, here=place: FLOAT if at == here else WHOLE)  # type: ignore[misc]
            self._take(self.without[place], indices, expected, self._outputs(without))
            advance(1)
        for index in indices:
            self.reference.decided.pop(index, None)

    def _outputs(self, values: Values) -> list[npt.NDArray[Any]]:
        return [values[name].contiguous().numpy() for name in self._network.graph.outputs]

    def _simulated(self, pixels: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
        """The integer simulation's outputs as real numbers."""
        raw = model_input(pixels, self._subject.source, self._subject.artifact.manifest.preprocess)
        found = self._simulation.run([raw])
        grids = self._network.grids
        return [
            dequantize(value, grids[name].scale, grids[name].zero_point) if name in grids else value
            for name, value in zip(self._network.graph.outputs, found, strict=True)
        ]

    def _take(
        self,
        trial: Trial,
        indices: Sequence[int],
        expected: Sequence[npt.NDArray[Any]],
        found: Sequence[npt.NDArray[Any]],
    ) -> None:
        for reference, output in zip(expected, found, strict=True):
            if reference.dtype.kind == "f":
                trial.error += real_difference(reference, output)
        for row, index in enumerate(indices):
            trial.participant.add(index, [output[row : row + 1] for output in found], self._infos)
            trial.participant.compare(self.reference, index, closely=True)


def _real_info(graph: Graph, name: str, own: TensorInfo) -> TensorInfo:
    """What an output of the ranked graph means, in real numbers; `own`: the source's, from which it may be cut."""
    tensor = graph.tensors[name]
    if own.meaning not in SCORES:
        return own.model_copy(update={"dtype": "float32", "scale": None, "zero_point": None})
    return TensorInfo(
        name=name,
        shape=tensor.shape,
        dtype="float32",
        layout={4: graph.layout, 3: "nhw", 2: "nc"}.get(len(tensor.shape), "flat"),
        meaning=proof_of(graph, name).values or (own.meaning if own.scores is not None else "logits"),
        scores=own.scores or "exclusive",
    )


def _ordered(layers: Sequence[Layer], bench: _Bench) -> tuple[LayerCost, ...]:
    noise = bench.everything.error.noise
    alone: Mapping[int, float] = {place: _share(trial.error.noise, noise) for place, trial in bench.alone.items()}
    recovered = {place: 1.0 - _share(trial.error.noise, noise) for place, trial in bench.without.items()}
    by_alone = sorted(layers, key=lambda layer: -alone[layer.place])
    place_without = _ranks({place: -share for place, share in recovered.items()})
    kept = {place: trial.participant.kept_boundaries for place, trial in bench.alone.items()}
    kept_without = {place: trial.participant.kept_boundaries for place, trial in bench.without.items()}
    place_kept = _ranks({place: share for place, share in kept.items() if share is not None})
    place_kept_without = _ranks({place: -share for place, share in kept_without.items() if share is not None})
    return tuple(
        LayerCost(
            layer=layer,
            alone=bench.alone[layer.place],
            without=bench.without[layer.place],
            alone_noise_share=alone[layer.place],
            recovered_share=recovered[layer.place],
            alone_rank=rank,
            without_rank=place_without[layer.place],
            alone_boundary_rank=place_kept.get(layer.place),
            without_boundary_rank=place_kept_without.get(layer.place),
        )
        for rank, layer in enumerate(by_alone, start=1)
    )


def _ranks(values: Mapping[int, float]) -> dict[int, int]:
    """Places in ascending order, from 1."""
    return {key: rank for rank, key in enumerate(sorted(values, key=lambda key: values[key]), start=1)}


def _share(part: float, whole: float) -> float:
    if whole > 0:
        return part / whole
    return 0.0 if part == 0 else float("inf")


def _told(subject: Subject) -> Graph:
    """The source's graph with the outputs that are told, see `ModelFile.told`."""
    graph, told = subject.graphs[subject.source.path], subject.source.told
    if subject.artifact.manifest.provenance.road == "as is":
        graph = _rectified(graph)
    if len(told) == len(graph.outputs):
        return graph
    return rebuild(graph, graph.operators, outputs=tuple(graph.outputs[place] for place in told))


def _rectified(graph: Graph) -> Graph:
    """A rectifier said where a file says it by the range alone: integers cut at zero (and six) and no activation.

    TensorFlow's first quantized files are so. Its integers stay the same; in float such a layer had no bound.
    """
    operators = []
    for operator in graph.operators:
        tensor = graph.tensors[operator.outputs[0]]
        if operator.attributes.get("activation") == "none" and tensor.quantization is not None:
            limits, scale = np.iinfo(tensor.dtype), float(tensor.quantization.scale[0])
            if tensor.data is None and int(tensor.quantization.zero_point[0]) == limits.min:
                six = abs(scale * (int(limits.max) - int(limits.min)) - 6.0) <= scale
                operator = replace(
                    operator, attributes={**operator.attributes, "activation": "relu6" if six else "relu"}
                )
        operators.append(operator)
    return rebuild(graph, operators)
