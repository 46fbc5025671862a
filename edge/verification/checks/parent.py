"""The float parent: a checkpoint, a float artifact or a float ONNX file, found by the provenance or named."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge.artifact.manifest import Artifact, file_sha256, open_artifact
from edge.artifact.model_file import Meaning, ModelFile, TensorInfo
from edge.artifact.output_form import score_count
from edge.errors import ModelFileError, UnsupportedError, UsageError
from edge.execution.float_run import FloatRun
from edge.files.bounded_file import is_dir, is_file
from edge.graph.analyses.output_meaning import Proof, proof_of
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import model_sha256, open_inputs
from edge.graph.importers.onnx.reader import read_onnx
from edge.models.point_head import point_head_of
from edge.predictor.selftest import model_input
from edge.quantization.qat.freeze import float_graph
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.evaluate import ENDS
from edge.training.input_size import at_size
from edge.training.refined_points import MEANINGS, point_network
from edge.verification.checks.onnx_reference import OnnxReference
from edge.verification.checks.own_answers import OwnAnswers
from edge.verification.checks.subject import open_subject
from edge.vision.pixels import in_layout, normalize
from edge.vision.point_rend import Points
from edge.vision.preprocess import Preprocess

Array = npt.NDArray[Any]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A float model: uint8 (1, height, width, 3) as `resize` returns them in, its outputs as `infos` describe them out.

    Attributes:
        graph: makes its float graph, for the real weights.
        points: its point head, where it has one.
    """

    name: str
    infos: tuple[TensorInfo, ...]
    predict: Callable[[Pixels], tuple[Array, ...]]
    graph: Callable[[], Graph]
    points: Points | None = None


def find_parent(artifact: Artifact, named: Path | None) -> Parent | None:
    """The parent that is named, else the one of the provenance if it is still there; None if there is none.

    Raises:
        UsageError: the named one is not a float model of the same preprocessing, or the provenance's has another hash.
    """
    if named is not None:
        return _open(named, artifact)
    provenance = artifact.manifest.provenance
    if provenance.parent_path is None:
        return None
    path = Path(os.path.realpath(artifact.folder / provenance.parent_path))
    if not is_file(path):
        return None
    if provenance.parent_sha256 is not None and (found := _sha256(path)) != provenance.parent_sha256:
        raise UsageError(
            f"{path}: the float parent has changed (sha256 {found[:12]}..., {provenance.parent_sha256[:12]}... in the "
            "provenance); name the right one with --parent"
        )
    return _open(path, artifact)


def _sha256(path: Path) -> str:
    """Of a checkpoint, or of an ONNX model with the data beside it; of the bytes where it is no such model any more."""
    try:
        return model_sha256(path) if path.suffix == ".onnx" else file_sha256(path)
    except ModelFileError:
        return file_sha256(path)


def _open(path: Path, artifact: Artifact) -> Parent:
    preprocess = artifact.manifest.preprocess
    if is_dir(path):
        return _from_artifact(path, preprocess, len(artifact.manifest.labels.names))
    if path.suffix == ".safetensors":
        return _from_checkpoint(path, artifact)
    if path.suffix == ".onnx":
        return _from_onnx(path, preprocess, artifact)
    wrap = "; wrap it: edge convert FILE --card CARD -o FOLDER" if path.suffix == ".tflite" else ""
    raise UsageError(f"{path}: a float parent is an artifact folder, a checkpoint or an .onnx file{wrap}")


def _require_same_pixels(path: Path, own: Preprocess, artifacts: Preprocess) -> None:
    """Refuse (UsageError) a parent that sees other pixels, with the first key that differs and both values."""
    theirs = artifacts.model_dump(mode="json")
    for key, value in own.model_dump(mode="json").items():
        if value != theirs[key]:
            raise UsageError(
                f"{path}: preprocesses images otherwise than the artifact, {key} {value} and not {theirs[key]}; "
                "accuracies cannot be compared"
            )


def _from_artifact(path: Path, preprocess: Preprocess, classes: int) -> Parent:
    """Executed as `edge verify` executes it, by its own mean and std: what images are cut to must be the artifact's."""
    other = open_artifact(path)
    if other.manifest.precision != "float32":
        raise UsageError(f"{path}: is an INT8 artifact; the parent must be float")
    own = other.manifest.preprocess
    numbers = {} if own.fit == "letterbox" else {"mean": own.mean, "std": own.std}  # a letterbox is filled with mean
    _require_same_pixels(path, own, preprocess.model_copy(update=numbers))
    if len(other.manifest.labels.names) != classes:
        raise UsageError(f"{path}: has {len(other.manifest.labels.names)} classes, the artifact {classes}")
    subject = open_subject(other)
    file = subject.source

    def graph() -> Graph:
        if isinstance(subject.reference, OwnAnswers):
            raise UnsupportedError(f"{path}: {subject.reference.reason}")
        return subject.graphs[file.path]

    def predict(pixels: Pixels) -> tuple[Array, ...]:
        answers = subject.answers(model_input(pixels, file, own))
        return tuple(answers[place] for place in file.told)

    infos = tuple(file.outputs[place] for place in file.told)
    return Parent(name=str(path), infos=infos, predict=predict, graph=graph, points=subject.points)


def _from_onnx(path: Path, preprocess: Preprocess, artifact: Artifact) -> Parent:
    graph = _read_parent(path, artifact)
    channels_last = graph.tensors[graph.inputs[0]].shape == (1, preprocess.height, preprocess.width, 3)
    # What came by onnx2tf may hold operators without a formula here.
    run = OnnxReference(path) if artifact.manifest.provenance.road == "onnx2tf" else FloatRun(graph)
    told = _named_or_alike(path, graph, artifact)
    shapes = [graph.tensors[graph.outputs[place]].shape for place in told]
    infos = _output_infos(shapes, artifact, [proof_of(graph, graph.outputs[place]) for place in told])

    def predict(pixels: Pixels) -> tuple[Array, ...]:
        outputs = run.run([in_layout(normalize(pixels, preprocess), "nhwc" if channels_last else "nchw")])
        return tuple(outputs[place] for place in told)

    return Parent(name=str(path), infos=infos, predict=predict, graph=lambda: graph)


def _read_parent(path: Path, artifact: Artifact) -> Graph:
    """The file's graph; sizes that it leaves open are those of the artifact's input of the same name."""
    known = {given.name: given.shape for given in _written_from(artifact).inputs}
    return read_onnx(path, batch=1, shapes={name: known[name] for name in open_inputs(path) if name in known})


def _from_checkpoint(path: Path, artifact: Artifact) -> Parent:
    checkpoint = read_checkpoint(path)
    if checkpoint.kind != "float":
        raise UsageError(f"{path}: is a {checkpoint.kind} checkpoint; the parent must be float")
    preprocess = artifact.manifest.preprocess
    if artifact.manifest.provenance.trained_resolution_hw is not None:
        checkpoint = at_size(checkpoint, (preprocess.height, preprocess.width))
    _require_same_pixels(path, checkpoint.recipe.preprocess, preprocess)
    module = restore_module(checkpoint).eval()
    told = _of_meanings(path, artifact, module)

    def predict(pixels: Pixels) -> tuple[Array, ...]:
        with torch.no_grad():
            made = module(torch.from_numpy(in_layout(normalize(pixels, preprocess), "nchw")))
        outputs = made if isinstance(made, tuple) else (made,)
        return tuple(outputs[place].numpy() for place in told)

    blank = predict(np.zeros((1, preprocess.height, preprocess.width, 3), np.uint8))
    refining = point_network(module, blank, (preprocess.height, preprocess.width)) if len(blank) > 1 else None
    return Parent(
        name=str(path),
        points=None if refining is None else refining[2],
        infos=_output_infos([output.shape for output in blank], artifact),
        predict=predict,
        graph=lambda: float_graph(module, torch.zeros(1, 3, preprocess.height, preprocess.width)),
    )


def _written_from(artifact: Artifact) -> ModelFile:
    """The file that the others were written from, or of those that are there the nearest to it."""
    return min(artifact.manifest.files, key=lambda file: (file.role != "source", file.format != "onnx"))


def _named_or_alike(path: Path, graph: Graph, artifact: Artifact) -> tuple[int, ...]:
    """Places of an ONNX file's outputs that the artifact tells, in its order: of the same names, else the same shapes.

    Raises:
        UsageError: other names, and shapes that several outputs have or none.
    """
    file = _written_from(artifact)
    own, names = [file.outputs[place] for place in file.told], graph.outputs
    if all(output.name in names for output in own):
        return tuple(names.index(output.name) for output in own)
    if len(own) == len(names) == 1:
        return (0,)
    alike = [[k for k, name in enumerate(names) if graph.tensors[name].shape == output.shape] for output in own]
    if any(len(places) != 1 for places in alike):
        found = ", ".join(f"'{name}' {graph.tensors[name].shape}" for name in names)
        wanted = " and ".join(f"'{output.name}' {output.shape}" for output in own)
        raise UsageError(f"{path}: which of its outputs, {found}, are the artifact's {wanted}? Give them those names")
    return tuple(places[0] for places in alike)


def _of_meanings(path: Path, artifact: Artifact, module: nn.Module) -> tuple[int, ...]:
    """Places of a network's outputs in the order in which the artifact tells them, by what they mean.

    A segmenter without a point head is compared by its logits alone.
    """
    file = _written_from(artifact)
    if len(file.told) == 1:
        return (0,)
    ends = [meaning for meaning, _, _ in ENDS[artifact.manifest.task]]
    if artifact.manifest.point_head is not None:
        ends = list(MEANINGS)
        if point_head_of(module) is None:
            return (0,)
    own = [file.outputs[place].meaning for place in file.told]
    if sorted(own) != sorted(ends):
        raise UsageError(f"{path}: ends in {' and '.join(ends)}, the artifact in {' and '.join(own)}")
    return tuple(ends.index(meaning) for meaning in own)


def _output_infos(
    shapes: Sequence[tuple[int, ...]], artifact: Artifact, proofs: Sequence[Proof] = ()
) -> tuple[TensorInfo, ...]:
    """What the parent's outputs mean: several as the artifact's do, see `_output_info` of one.

    Raises:
        UsageError: the parent has other outputs or classes than the artifact.
    """
    file = _written_from(artifact)
    if len(shapes) == 1 and artifact.manifest.detection is None:
        return (_output_info(shapes[0], artifact, proofs[0] if proofs else None),)
    own = [file.outputs[place] for place in file.told]
    if [info.shape for info in own] != list(shapes):
        found = " and ".join(str(shape) for shape in shapes)
        raise UsageError(f"the float parent ends in {found}, the artifact in {' and '.join(str(i.shape) for i in own)}")
    real = {"dtype": "float32", "scale": None, "zero_point": None}
    return tuple(info.model_copy(update=real) for info in own)


def _output_info(shape: tuple[int, ...], artifact: Artifact, proof: Proof | None = None) -> TensorInfo:
    """What the parent's only output means: what its graph proves, logits otherwise; scores as the artifact's.

    Raises:
        UsageError: the parent has other classes than the artifact.
    """
    layout = {2: "nc", 3: "nhw", 4: "nchw"}.get(len(shape), "flat")
    own = artifact.manifest.files[0].outputs[artifact.manifest.files[0].answer]
    meaning: Meaning = "class_map" if layout == "nhw" else "logits"
    if proof is not None and proof.values is not None:
        meaning = proof.values
    elif proof is not None and own.meaning != "class_map":
        meaning = own.meaning  # what the card said of the same end
    if meaning != "class_map" and own.meaning != "class_map":
        classes = score_count(artifact.manifest.task, own)
        if layout == "nchw" and classes == shape[3] != shape[1]:
            layout = "nhwc"
        told = TensorInfo(name="output", shape=shape, dtype="float32", layout=layout, meaning=meaning)
        found = score_count(artifact.manifest.task, told)
        if found != classes:
            raise UsageError(f"the float parent has {found} classes, the artifact {classes}")
    scores = own.scores if own.meaning != "class_map" else "exclusive"
    return TensorInfo(name="output", shape=shape, dtype="float32", layout=layout, meaning=meaning, scores=scores)
