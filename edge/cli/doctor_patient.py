"""Opening what `edge doctor` examines: a checkpoint, a model file with or without a card, or an artifact."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import FileError, UsageError
from edge.files.bounded_file import check_file, is_dir

if TYPE_CHECKING:
    from edge.artifact.card import Card
    from edge.diagnosis.patient import Patient, Photographs
    from edge.explain.score_output import Ending
    from edge.graph.graph import Graph
    from edge.training.checkpoint import Checkpoint
    from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Given:
    """What the command line names beside the model; `card`: of a file, or how another model is fed.

    Attributes:
        calibrating: the option of `edge quantize` that names the calibration images.
    """

    card: Path | None = None
    parent: Path | None = None
    shapes: Mapping[str, tuple[int, ...]] | None = None
    calibrating: str = "--calibration SPLIT"
    calibration: "Photographs | None" = None
    evaluation: "Photographs | None" = None


def open_patient(path: Path, given: Given) -> "Patient":
    """Open a model for an examination.

    Raises:
        FileError: missing, damaged, or none of the kinds. UsageError: options that are for another kind.
        UnsupportedError: a network with an operation that cannot be captured, by name.
    """
    patient = _opened(path, given)
    fed, shape = patient.preprocess, patient.graph.tensors[patient.graph.inputs[0]].shape
    if given.card is not None and fed is not None and len(shape) == 4:
        height, width = shape[2:] if patient.graph.layout == "nchw" else shape[1:3]
        if (fed.height, fed.width) != (height, width):
            told = f"{given.card}: says {fed.height}x{fed.width}, height x width"
            raise UsageError(f"{told}; the input of {path} is {height}x{width}")
    return patient


def _opened(path: Path, given: Given) -> "Patient":
    if is_dir(path):
        return _artifact(path, given)
    check_file(path)
    openers = {".safetensors": _checkpoint, ".onnx": _onnx, ".tflite": _tflite}
    if path.suffix not in openers:
        raise FileError(path, "is no checkpoint (.safetensors), model file (.onnx, .tflite) or artifact folder")
    return openers[path.suffix](path, given)


def _checkpoint(path: Path, given: Given) -> "Patient":
    from torch.nn import BatchNorm2d

    from converters.convert.export import export_checkpoint
    from edge.diagnosis.norms import norms_of_module, remembers
    from edge.diagnosis.patient import Patient
    from edge.diagnosis.structure import without_integer_form
    from edge.explain.score_output import NETWORK_ENDINGS, Ending
    from edge.graph.passes.rewrite import rebuild
    from edge.training.checkpoint import read_checkpoint, restore_module, scores_of

    checkpoint = read_checkpoint(path)
    graph = export_checkpoint(checkpoint)
    place, axis, background = NETWORK_ENDINGS[checkpoint.task]
    scores = scores_of(checkpoint)
    ending = Ending(task=checkpoint.task, meaning="logits", scores=scores, class_axis=axis, background=background)
    is_float = checkpoint.kind == "float"
    trained, module = checkpoint.recipe.preprocess, restore_module(checkpoint)
    remembered = any(remembers(one) for one in module.modules() if isinstance(one, BatchNorm2d))
    return Patient(
        path=path,
        form="checkpoint",
        graph=graph,
        command=shlex.quote(str(path)),
        calibrating=given.calibrating,
        float_model=_named(_parent_path(given.parent, checkpoint), given),
        task=checkpoint.task,
        floats=without_integer_form(graph) if is_float else (),
        transposes=_left_by_layout(graph),
        preprocess=_fed(given, trained),
        trained=trained,
        parent=_parent(_parent_path(given.parent, checkpoint)),
        scored=(rebuild(graph, graph.operators, outputs=(graph.outputs[place],)), ending),
        norms=partial(norms_of_module, module) if is_float and remembered else None,
        calibration=given.calibration,
        evaluation=given.evaluation,
    )


def _onnx(path: Path, given: Given) -> "Patient":
    from converters.passes.canonical import canonical
    from edge.diagnosis.norms import is_of_images, norms_of_graph
    from edge.diagnosis.structure import turned_over
    from edge.errors import UnsupportedError
    from edge.graph.importers.onnx.reader import read_onnx
    from edge.graph.importers.onnx.stored import stored_as_integers

    raw = read_onnx(path, batch=1, shapes=given.shapes)
    graph = raw
    if not _is_integer(raw):
        try:
            graph = canonical(raw)
        except UnsupportedError:  # told operator by operator
            graph = raw
    normed = any(operator.kind == "BatchNorm" and is_of_images(raw, operator) for operator in raw.operators)
    norms = partial(norms_of_graph, raw) if normed and not _is_integer(raw) else None
    stored = () if _is_integer(raw) else stored_as_integers(path, given.shapes)
    return _file(path, given, graph, "onnx", transposes=turned_over(raw), norms=norms, integer_weights=stored)


def _tflite(path: Path, given: Given) -> "Patient":
    from edge.diagnosis.structure import turned_over
    from edge.graph.importers.tflite.reader import read_tflite

    if given.shapes:
        raise UsageError(f"{path}: --input-shape is for ONNX files; a TFLite file's sizes are fixed")
    graph = read_tflite(path)
    return _file(path, given, graph, "tflite", transposes=turned_over(graph))


def _file(path: Path, given: Given, graph: "Graph", form: Any, **known: Any) -> "Patient":
    from edge.artifact.card import read_card
    from edge.diagnosis.patient import Patient

    card = None if given.card is None else read_card(given.card)
    return Patient(
        path=path,
        form=form,
        graph=graph,
        command=_with_card(path, given.card),
        card=given.card,
        calibrating=given.calibrating,
        float_model=_named(given.parent, given),
        task=None if card is None else card.task,
        floats=_floats(graph),
        preprocess=None if card is None else card.preprocess,
        trained=_trained_by(given.parent),
        parent=_parent(given.parent),
        scored=None if card is None else _scored(graph, card),
        calibration=given.calibration,
        evaluation=given.evaluation,
        **known,
    )


def _artifact(path: Path, given: Given) -> "Patient":
    from edge.artifact.manifest import open_artifact
    from edge.diagnosis.patient import Patient
    from edge.diagnosis.structure import turned_over
    from edge.errors import UnsupportedError
    from edge.explain.score_output import score_output
    from edge.verification.checks.parent import find_parent
    from edge.verification.checks.subject import open_subject

    artifact = open_artifact(path)
    manifest = artifact.manifest
    subject = open_subject(artifact)
    graph = subject.graphs.get(subject.source.path)
    if graph is None:
        raise UnsupportedError(f"{path}: '{subject.source.path}' holds operators that are not read here")
    devices = next((subject.graphs[file.path] for file in subject.run_files if file.path in subject.graphs), graph)
    parent = find_parent(artifact, given.parent)
    background = None if manifest.detection is None else manifest.detection.background
    try:
        scored = score_output(graph, manifest.task, subject.source.outputs, background)
    except UnsupportedError:
        scored = None
    return Patient(
        path=path,
        form="artifact",
        graph=graph,
        command=shlex.quote(str(path)),
        calibrating=given.calibrating,
        float_model=_named(given.parent or (None if parent is None else Path(parent.name)), given),
        task=manifest.task,
        floats=_floats(devices),
        transposes=turned_over(devices),
        preprocess=_fed(given, manifest.preprocess),
        trained=_trained(manifest.provenance.recipe) or _trained_by(given.parent) or manifest.preprocess,
        parent=None if parent is None else parent.graph(),
        scored=scored,
        calibration=given.calibration,
        evaluation=given.evaluation,
    )


def _fed(given: Given, own: "Preprocess") -> "Preprocess":
    """How the model is fed: as the card says, else as it says itself."""
    from edge.artifact.card import read_card

    return own if given.card is None else read_card(given.card).preprocess


def _trained(recipe: Mapping[str, Any] | None) -> "Preprocess | None":
    from pydantic import ValidationError

    from edge.vision.preprocess import Preprocess

    said = None if recipe is None else recipe.get("preprocess")
    if said is None:
        return None
    try:
        return Preprocess.model_validate({**said, **{key: tuple(said[key]) for key in ("mean", "std")}})
    except (ValidationError, KeyError, TypeError):  # a recipe of an older version
        return None


def _trained_by(parent: Path | None) -> "Preprocess | None":
    from edge.training.checkpoint import read_checkpoint

    if parent is None or parent.suffix != ".safetensors":
        return None
    return read_checkpoint(parent).recipe.preprocess


def _parent_path(path: Path | None, checkpoint: "Checkpoint") -> Path | None:
    """The named one; of a QAT checkpoint also the float one beside it."""
    from converters.convert.convert import find_parent

    if path is None and checkpoint.kind == "qat" and checkpoint.path is not None:
        return find_parent(checkpoint, checkpoint.path)
    return path


def _named(parent: Path | None, given: Given) -> str:
    """The float parent as `edge quantize` takes it."""
    if parent is None or parent.suffix not in (".onnx", ".safetensors"):
        return "FLOAT_MODEL"
    return _with_card(parent, given.card) if parent.suffix == ".onnx" else shlex.quote(str(parent))


def _parent(path: Path | None) -> "Graph | None":
    """The float parent's graph."""
    if path is None:
        return None
    opened = open_patient(path, Given())
    if opened.is_integer:
        raise UsageError(f"--parent {path}: is quantized; the parent must be float")
    return opened.graph


def _scored(graph: "Graph", card: "Card") -> "tuple[Graph, Ending] | None":
    """The graph up to its scores by a card; None of a detector, and where no axis is that of the classes."""
    from edge.artifact.model_file import TensorInfo
    from edge.explain.score_output import score_output
    from edge.graph.analyses.output_meaning import proof_of

    place = card.output if isinstance(card.output, int) else 0
    if isinstance(card.output, str) and card.output in graph.outputs:
        place = graph.outputs.index(card.output)
    if card.task == "detect" or place >= len(graph.outputs):
        return None
    name = graph.outputs[place]
    shape, classes = graph.tensors[name].shape, len(card.labels.names)
    proof = proof_of(graph, name)
    layout = "nc" if len(shape) < 4 else "nhwc" if shape[3] == classes != shape[1] else "nchw"
    told = TensorInfo(
        name=name[:1000],
        shape=tuple(max(size, 1) for size in shape),
        dtype="float32",
        layout=layout,
        meaning=proof.values or card.values or "logits",
        scores=proof.scores or card.scores or "exclusive",
    )
    return score_output(graph, card.task, [told] * (place + 1))


def _is_integer(graph: "Graph") -> bool:
    return any(tensor.quantization is not None for tensor in graph.tensors.values())


def _floats(graph: "Graph") -> tuple[Any, ...]:
    from edge.diagnosis.structure import islands, without_integer_form

    return islands(graph) if _is_integer(graph) else without_integer_form(graph)


def _left_by_layout(graph: "Graph") -> tuple[Any, ...]:
    """The Transposes between maps that `edge convert` would have to write."""
    from converters.passes.layout.nhwc import to_nhwc
    from edge.diagnosis.structure import turned_over
    from edge.errors import UnsupportedError

    try:
        return turned_over(to_nhwc(graph))
    except UnsupportedError:
        return ()


def _with_card(path: Path, card: Path | None) -> str:
    return f"{shlex.quote(str(path))} --card {'CARD' if card is None else shlex.quote(str(card))}"
