"""How near a state comes to the float network, on images that no step has seen."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor
from edge.graph.passes.ending_in_scores import ending_in_scores
from edge.port import dequantize
from edge.quantization.ptq.rounded import RoundedNetwork
from edge.quantization.ptq.state import Float32Array, Images, Parameters, State, batches_of

Labels = npt.NDArray[np.int64]
Run = Callable[[Sequence[Float32Array]], list[npt.NDArray[Any]]]
MOST_KNOWN = 3
"""Scores that are kept: a step's before is the after of the one before it."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """Nearness to the float network.

    Attributes:
        sqnr_db: signal to quantization noise of the scores, in decibel; noise and signal summed over the images, the
            mean over the outputs of noise / signal. Infinite without noise.
        agreement: share of decisions (the largest score of an image or a pixel) that are the float network's; None
            where scores decide otherwise.
        accuracy: share of decisions that are true; None without labels.
    """

    sqnr_db: float
    agreement: float | None
    accuracy: float | None = None


class Judge:
    """Compares states with one float network on the same images."""

    def __init__(self, reference: Graph, images: Images, *, decides: bool, labels: Labels | None = None) -> None:
        """Run the float network.

        Args:
            reference: float, rectifiers fused.
            decides: the largest score along axis 1 of the first output is the network's decision.
            labels: the true class of every image, int (n,): of a classifier that decides.
        """
        self.images = images
        self._batches = batches_of(reference, images)
        self._known: list[tuple[str, Graph, Parameters, Score]] = []
        self._decides = decides
        self._labels = labels
        self._wanted = self._answers(FloatRun(ending_in_scores(reference), channels_last=True).run, 1)

    @property
    def float_accuracy(self) -> float | None:
        """Share of the float network's decisions that are true; None without labels."""
        if self._labels is None:
            return None
        decided = np.concatenate([answers[0].argmax(axis=1).reshape(-1) for answers in self._wanted])
        return float((decided == self._labels).mean())

    def total(self, state: State, *, every: int = 1) -> Score:
        """The score of the integers: those of the simulation, which are the file's; `every` so many-th batch."""
        return self._once("integers", state, every, lambda: self.integers(state.quantized, every=every))

    def integers(self, quantized: Graph, *, every: int = 1) -> Score:
        """The score of an integer graph with the float network's inputs and outputs."""
        graph = ending_in_scores(quantized)
        simulation = IntegerSimulation(graph)
        tensors = [graph.tensors[name] for name in (*graph.inputs, *graph.outputs)]

        def run(inputs: Sequence[Float32Array]) -> list[npt.NDArray[Any]]:
            raw = simulation.run([_raw(tensors[0], inputs[0])])
            return [_real(tensor, value) for tensor, value in zip(tensors[1:], raw, strict=True)]

        return self._score(run, every)

    def activations(self, state: State, *, every: int = 1) -> Score:
        """The score with weights in float: what the 8 bits of activations alone cost, by float sums."""
        return self._once("activations", state, every, lambda: self._activations(state, every))

    def forget(self) -> None:
        """Let go of the graphs whose scores are known."""
        self._known.clear()

    def _once(self, by: str, state: State, every: int, score: Callable[[], Score]) -> Score:
        """A score, or the same as before for the same network and parameters by every batch."""
        for kind, graph, parameters, known in self._known:
            if every == 1 and kind == by and graph is state.graph and parameters is state.parameters:
                return known
        found = score()
        if every == 1:
            self._known[:] = [*self._known[-MOST_KNOWN + 1 :], (by, state.graph, state.parameters, found)]
        return found

    def _activations(self, state: State, every: int) -> Score:
        network = RoundedNetwork(state, round_weights=False)
        cut = ending_in_scores(network.graph).outputs

        def run(inputs: Sequence[Float32Array]) -> list[npt.NDArray[Any]]:
            values = network.begin(torch.from_numpy(inputs[0]))
            with torch.no_grad():
                for index, operator in enumerate(network.graph.operators):
                    values[operator.outputs[0]] = network.run(operator, values)
                    network.forget(index, values, kept=cut)
            return [values[name].numpy() for name in cut]

        return self._score(run, every)

    def _answers(self, run: Run, every: int) -> list[list[npt.NDArray[Any]]]:
        return [run([self.images.batch(batch)]) for batch in self._batches[::every]]

    def _score(self, run: Run, every: int) -> Score:
        wanted_answers = self._wanted[::every]
        noise, signal = np.zeros(len(self._wanted[0])), np.zeros(len(self._wanted[0]))
        alike = decisions = true = 0
        for number, (wanted, found) in enumerate(zip(wanted_answers, self._answers(run, every), strict=True)):
            for place, (one, other) in enumerate(zip(wanted, found, strict=True)):
                noise[place] += float(np.square(one.astype(np.float64) - other).sum())
                signal[place] += float(np.square(one.astype(np.float64)).sum())
            if self._decides:
                same = wanted[0].argmax(axis=1) == found[0].argmax(axis=1)
                alike, decisions = alike + int(same.sum()), decisions + same.size
            if self._labels is not None:
                labels = self._labels[list(self._batches[number * every])]
                true += int((found[0].argmax(axis=1).reshape(-1) == labels).sum())
        ratio = float(np.mean(noise / np.maximum(signal, np.finfo(np.float64).tiny)))
        return Score(
            sqnr_db=-10 * math.log10(ratio) if ratio > 0 else math.inf,
            agreement=alike / decisions if self._decides else None,
            accuracy=None if self._labels is None else true / sum(map(len, self._batches[::every])),
        )


def _raw(tensor: Tensor, values: Float32Array) -> npt.NDArray[Any]:
    """Real numbers as a tensor's integers; as they are where it is float."""
    if tensor.quantization is None:
        return values
    scale, zero_point = tensor.quantization.scale[0], int(tensor.quantization.zero_point[0])
    kind = np.dtype(tensor.dtype)
    limits = np.iinfo(kind)
    raw: npt.NDArray[Any] = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)
    return raw


def _real(tensor: Tensor, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    found = tensor.quantization
    return values if found is None else dequantize(values, found.scale[0], int(found.zero_point[0]))
