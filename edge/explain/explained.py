"""A model opened to be explained: probabilities of its classes, differentiable, from an image as it is preprocessed."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from edge.artifact.manifest import Artifact, open_artifact
from edge.artifact.model_file import ModelFile
from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.execution.straight_through import Encode, StraightThrough
from edge.explain.score_output import CLASSES_FIRST, NETWORK_ENDINGS, Ending, score_output
from edge.files.bounded_file import is_dir
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.passes.rewrite import rebuild
from edge.quantization.qat.point_rend import frozen_network
from edge.training.checkpoint import Checkpoint, read_checkpoint, restore_module, scores_of
from edge.vision.preprocess import Preprocess

Probabilities = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Explained:
    """A model to explain.

    Attributes:
        name: as it was named. kind: `float`, or `int8` where the values are those of the integer simulation.
        names: of the classes, by index.
        probabilities: normalized images (n, 3, h, w) to probabilities (n, classes), of a segmenter (n, classes, rows,
            columns), of a detector those of each class's best anchor; each of its own image alone, differentiable.
        simulated: the same by the integer simulation itself, without gradients; None for a float model.
    """

    name: str
    kind: str
    task: str
    names: tuple[str, ...]
    preprocess: Preprocess
    probabilities: Probabilities
    simulated: Probabilities | None = None


def open_explained(path: Path) -> Explained:
    """Open a checkpoint or an artifact.

    Raises:
        FileError: a model file alone, or one that cannot be read.
        UnsupportedError: a task without scores, or an operator without a formula or a gradient, by name.
    """
    if is_dir(path):
        return _of_artifact(str(path), open_artifact(path))
    return _of_checkpoint(str(path), read_checkpoint(path))


def _of_checkpoint(name: str, checkpoint: Checkpoint) -> Explained:
    module = restore_module(checkpoint).requires_grad_(False)
    preprocess = checkpoint.recipe.preprocess
    task = checkpoint.task
    place, class_axis, background = NETWORK_ENDINGS[task]
    ending = Ending(
        task=task, meaning="logits", scores=scores_of(checkpoint), class_axis=class_axis, background=background
    )
    if checkpoint.kind == "qat":
        graph = frozen_network(module)
        graph = rebuild(graph, graph.operators, outputs=(graph.outputs[place],))
        return _of_graph(name, graph, ending, checkpoint.labels.names, preprocess, "nchw")
    return Explained(
        name=name,
        kind="float",
        task=checkpoint.task,
        names=checkpoint.labels.names,
        preprocess=preprocess,
        probabilities=lambda images: ending.probabilities(_output(module(images), place)),
    )


def _output(made: Tensor | tuple[Tensor, ...], place: int) -> Tensor:
    return made[place] if isinstance(made, tuple) else made


def _of_artifact(name: str, artifact: Artifact) -> Explained:
    manifest = artifact.manifest
    if manifest.task not in CLASSES_FIRST:
        raise UnsupportedError(f"{name}: a task '{manifest.task}' has no score of a class that could be explained")
    file = readable_file(artifact)
    data = artifact.read(file.path)
    graph = read_onnx(data, batch=1) if file.format == "onnx" else read_tflite(data)
    background = None if manifest.detection is None else manifest.detection.background
    cut, ending = score_output(graph, manifest.task, file.outputs, background)
    return _of_graph(name, cut, ending, manifest.labels.names, manifest.preprocess, file.inputs[0].layout)


def readable_file(artifact: Artifact) -> ModelFile:
    """The file that the others were written from; of onnx2tf's, whose source is float, the one that runs."""
    files = artifact.manifest.files
    if artifact.manifest.provenance.road == "onnx2tf":
        return next((file for file in files if file.format == "tflite"), files[0])
    return sorted(files, key=lambda file: (file.role != "source", file.format != "onnx"))[0]


def _of_graph(
    name: str, graph: Graph, ending: Ending, names: tuple[str, ...], preprocess: Preprocess, layout: str
) -> Explained:
    encode = _encoder(graph, preprocess, layout)
    differentiable = StraightThrough(graph, encode)
    integer = any(tensor.quantization is not None for tensor in graph.tensors.values())

    def laid_out(images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1) if layout == "nhwc" else images

    def simulated(images: Tensor) -> Tensor:
        output = IntegerSimulation(graph).run([encode(laid_out(images)).numpy()])[0]
        told = graph.tensors[graph.outputs[0]].quantization
        values = torch.from_numpy(output).float()
        if told is not None:
            values = (values - float(told.zero_point[0])) * float(told.scale[0])
        return ending.probabilities(values)

    return Explained(
        name=name,
        kind="int8" if integer else "float",
        task=ending.task,
        names=names,
        preprocess=preprocess,
        probabilities=lambda images: ending.probabilities(differentiable(laid_out(images))),
        simulated=simulated if integer else None,
    )


def _encoder(graph: Graph, preprocess: Preprocess, layout: str) -> Encode:
    """As `edge.vision.encoding.input_encoder`, of normalized images, which between two pixels' values have others."""
    given = graph.tensors[graph.inputs[0]]
    if given.quantization is None and given.dtype == "float32":
        return lambda images: images.contiguous()
    limits = np.iinfo(given.dtype)
    dtype = getattr(torch, given.dtype)
    if given.quantization is None:  # of pixels as they are
        shape = (1, 1, 1, 3) if layout == "nhwc" else (1, 3, 1, 1)
        mean, std = (torch.tensor(three).reshape(shape) for three in (preprocess.mean, preprocess.std))
        return lambda images: (images * std + mean).round().clamp(limits.min, limits.max).to(dtype).contiguous()
    scale, zero_point = float(given.quantization.scale[0]), int(given.quantization.zero_point[0])
    return lambda images: ((images / scale).round() + zero_point).clamp(limits.min, limits.max).to(dtype).contiguous()
