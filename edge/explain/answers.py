"""What a network answers to images, and how much its answers tell of which image it was.

Labels are not needed. A network that is fed as it was trained tells images apart: the information of an answer about
its image (the divergence of one image's probabilities from the mean over all) is large. Fed otherwise, it falls towards
the same answer to everything.
"""

from collections.abc import Iterable, Iterator
from math import inf, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.explain.score_output import Ending
from edge.graph.graph import Graph
from edge.vision.pixels import Pixels, apply_table, in_layout, normalize, quantize_table
from edge.vision.preprocess import Preprocess

BATCH = 8
CELLS = 1024
"""Of a map at most so many cells, evenly spread."""
Array = npt.NDArray[np.float64]


def network_input(graph: Graph, pixels: Pixels, preprocess: Preprocess) -> npt.NDArray[np.generic]:
    """Images (n, height, width, 3) at the model's size as the graph's input: float32, or its integers."""
    tensor = graph.tensors[graph.inputs[0]]
    if tensor.quantization is None and tensor.dtype != "uint8":
        return in_layout(normalize(pixels, preprocess), graph.layout)
    if tensor.quantization is None:
        return in_layout(pixels, graph.layout)
    found = tensor.quantization
    dtype: Any = tensor.dtype
    table = quantize_table(preprocess, float(found.scale[0]), int(found.zero_point[0]), dtype)
    return in_layout(apply_table(pixels, table), graph.layout)


def probabilities(
    scored: tuple[Graph, Ending], images: Iterable[Pixels], preprocess: Preprocess, *, cells: int = CELLS
) -> Array:
    """What it answers to images: float64 (n, cells, classes), one cell of an image's classes.

    Args:
        images: at the model's size, uint8 (height, width, 3) each; taken BATCH at a time.
        cells: of a map at most about so many, evenly spread.

    Raises:
        UnsupportedError: an operator without a formula, by name.
    """
    graph, ending = scored
    integer = any(tensor.quantization is not None for tensor in graph.tensors.values())
    run = IntegerSimulation(graph) if integer else FloatRun(graph)
    told = graph.tensors[graph.outputs[0]].quantization
    found = []
    for pixels in _batches(images):
        values = torch.from_numpy(run.run([network_input(graph, pixels, preprocess)])[0]).double()
        if told is not None:
            values = (values - float(told.zero_point[0])) * float(told.scale[0])
        shares = ending.probabilities(values)
        shares = shares.flatten(2) if shares.dim() > 2 else shares[..., None]
        kept = shares[..., :: max(1, shares.shape[2] // cells)]
        found.append(kept.movedim(1, 2).numpy())
    return np.concatenate(found)


def _batches(images: Iterable[Pixels]) -> Iterator[Pixels]:
    waiting: list[Pixels] = []
    for image in images:
        waiting.append(image)
        if len(waiting) == BATCH:
            yield np.stack(waiting)
            waiting = []
    if waiting:
        yield np.stack(waiting)


def information(answers: Array, ending: Ending, *, by_cell: bool = True) -> Array:
    """By image what its answer tells of which image it was, in nats: float64 (n,), mean over cells.

    The divergence of Kullback and Leibler of an image's probabilities from their mean over all images (Salimans et al.,
    "Improved Techniques for Training GANs", NeurIPS 2016, section 4, whose score is the exponential of its mean): high
    where a network is sure, and not of the same for every image. Of independent scores the sum over classes, each yes
    or no.

    Args:
        by_cell: a cell of a map is held against the same cell of other images; else against all cells of all images.
    """
    mean = answers.mean(axis=0 if by_cell else (0, 1), keepdims=True)
    told = _divergence(answers, mean)
    if ending.scores == "independent":
        told = told + _divergence(1 - answers, 1 - mean)
    return np.asarray(told.sum(axis=-1).mean(axis=-1), np.float64)


def standard_errors(differences: Array) -> float:
    """The mean of paired differences over its standard error; infinite where all are alike and not 0."""
    mean, error = float(differences.mean()), float(differences.std(ddof=1)) / sqrt(len(differences))
    return mean / error if error else inf * float(np.sign(mean)) if mean else 0.0


def confidence(answers: Array) -> Array:
    """By image the largest probability, mean over cells: float64 (n,)."""
    return np.asarray(answers.max(axis=-1).mean(axis=-1), np.float64)


def decisions(answers: Array) -> npt.NDArray[np.int64]:
    """The likeliest class of every cell: int64 (n, cells)."""
    return np.asarray(answers.argmax(axis=-1), np.int64)


def _divergence(answers: Array, mean: Array) -> Array:
    return np.asarray(answers * (np.log(answers.clip(1e-9)) - np.log(mean.clip(1e-9))))
