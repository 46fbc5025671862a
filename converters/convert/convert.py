"""From a source file to an artifact: the steps that `edge convert` takes, and what `edge quantize` shares with it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.convert.build import build_artifact
from converters.convert.calibration import Calibration
from converters.convert.export import export_checkpoint, export_point_head
from converters.convert.foreign import Foreign, read_foreign
from converters.convert.heads import RAW, TASK_HEADS, append_head
from converters.convert.opened_checkpoint import open_checkpoint
from converters.convert.options import PLAIN, ConvertOptions, refuse_input_size
from converters.packaging.described_files import checked_outputs
from converters.packaging.description import Description
from converters.packaging.finished_detector import detection_section, told_outputs
from converters.packaging.output_meaning import Said, named_classes
from converters.packaging.package import precision_of, refuse_other_folder
from converters.packaging.provenance import provenance
from edge.artifact.card import Card, read_card
from edge.artifact.card_detection import CardDetection
from edge.artifact.detection import Detection, detection_of
from edge.artifact.manifest import Artifact, DerivedRange, QuantizationInfo, file_sha256
from edge.artifact.scheme import Scheme
from edge.data.scene import scene
from edge.engines.torch.engine import port_of_tensor
from edge.errors import FileError, UsageError, unknown_name
from edge.files.bounded_file import check_file, is_file
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import model_sha256
from edge.training.checkpoint import Checkpoint, scores_of
from edge.training.network import float_module
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

SELFTEST_SAMPLES = 3
SELFTEST_FRAME_HW = (360, 480)


def convert_source(source: Path, folder: Path, options: ConvertOptions = PLAIN) -> Artifact:
    """Turn a checkpoint or an ONNX file into an artifact folder.

    Args:
        source: a `.safetensors` checkpoint, or a float or QDQ `.onnx` file, which needs a card.

    Raises:
        FileError: a file that is missing, damaged or neither of the two.
        UsageError: options that do not hold together.
        UnsupportedError: an operator that cannot be converted, by name.
    """
    graph, description = load_source(source, folder, options)
    images = selftest_images(description.preprocess)
    weights = options.weights
    description = replace(description, io=options.io, keep_nchw_io=options.keep_nchw_io, weights=weights)
    if weights is not None:
        facts = description.quantization.model_copy(update={"weights": weights})
        description = with_quantization(description, facts)
    return build_artifact(graph, description, folder, images=images, allow_float=options.allow_float)


def load_source(source: Path, folder: Path, options: ConvertOptions) -> tuple[Graph, Description]:
    """Read a source file as an NCHW graph, and describe the artifact that it will become."""
    refuse_other_folder(folder, source, options.card)
    check_file(source)
    if source.suffix == ".onnx":
        refuse_input_size(source, options)
        return _load_onnx(source, folder, options)
    if source.suffix == ".safetensors":
        return _load_checkpoint(source, folder, options)
    raise FileError(source, "is neither a checkpoint (.safetensors) nor an ONNX file (.onnx)")


def _load_checkpoint(source: Path, folder: Path, options: ConvertOptions) -> tuple[Graph, Description]:
    head = options.head
    checkpoint = open_checkpoint(source, options)
    task = checkpoint.task
    heads = TASK_HEADS.get(task)
    if head is not None and not heads:
        raise UsageError(f"--head {head}: only a segmenter or a detector has one, and {source} is a classifier")
    chosen: Any = (head or checkpoint.recipe.export.head or heads[0]) if heads else None
    if heads and chosen not in heads:
        raise UsageError(unknown_name("head", str(chosen), heads))
    graph = export_checkpoint(checkpoint, head=chosen or "logits")
    detection, scores = detection_of_checkpoint(checkpoint), scores_of(checkpoint)
    parent = find_parent(checkpoint, source)
    quantization = QuantizationInfo(method="none")
    if checkpoint.kind == "qat":
        quantization = _qat_facts(checkpoint, options.calibration)
    return graph, Description(
        name=options.name or folder.name,
        task=task,
        head=chosen,
        preprocess=checkpoint.recipe.preprocess,
        labels=checkpoint.labels,
        quantization=quantization,
        provenance=provenance(
            source=source,
            folder=folder,
            recipe=(checkpoint.trained_recipe or checkpoint.recipe).model_dump(mode="json"),
            trained_hw=checkpoint.trained_hw,
            checkpoint_sha256=checkpoint.sha256,
            parent=parent,
            parent_sha256=checkpoint.parent_sha256 if checkpoint.kind == "qat" else checkpoint.sha256,
        ),
        said=Said(values="logits", scores=scores),  # what the losses are of
        detection=detection,
        point_head=export_point_head(checkpoint),
    )


def detection_of_checkpoint(checkpoint: Checkpoint) -> Detection | None:
    """How its outputs become boxes: by the anchors of its network; None of one that has none."""
    grid = getattr(float_module(checkpoint.recipe), "anchors", None)
    return None if grid is None else detection_of(grid, BoxCoder(), Selection())


def _qat_facts(checkpoint: Checkpoint, calibration: Calibration | None) -> QuantizationInfo:
    """How the integers of a QAT checkpoint came to be: trained, and at another size with ranges from images."""
    facts = QuantizationInfo(method="qat", scheme=checkpoint.recipe.scheme.model_dump(mode="json"))
    if calibration is None:
        return facts
    split = calibration.chosen()
    counted = {"calibration_sha256": split.sha256, "calibration_images": len(split), "ranges": calibration.ranges}
    return facts.model_copy(update=counted)


def find_parent(checkpoint: Checkpoint, source: Path) -> Path | None:
    """The float parent of a checkpoint: itself when it is float, else the `float.safetensors` beside it (by hash)."""
    if checkpoint.kind == "float":
        return source
    beside = source.with_name("float.safetensors")
    if is_file(beside) and file_sha256(beside) == checkpoint.parent_sha256:
        return beside
    return None


def _load_onnx(source: Path, folder: Path, options: ConvertOptions) -> tuple[Graph, Description]:
    head = options.head
    card = card_of(source, options)
    if head is not None and not TASK_HEADS.get(card.task):
        raise UsageError(f"--head {head}: only a segmenter has one, and {options.card} says task '{card.task}'")
    foreign = read_foreign(source, options, preprocess=card.preprocess)
    graph = foreign.graph
    shape = graph.tensors[graph.inputs[0]].shape
    expected = (1, 3, card.preprocess.height, card.preprocess.width)
    if len(graph.inputs) != 1 or shape != expected:
        raise UsageError(f"{source}: input '{graph.inputs[0]}' is {shape}, and {options.card} says {expected}")
    quantized = precision_of(graph) != "float32"
    chosen: Any = (head or OWN_HEADS[card.task](graph)) if TASK_HEADS.get(card.task) else None
    graph = append_head(graph, "logits" if head is None else head)
    description = Description(
        name=options.name or folder.name,
        task=card.task,
        head=chosen,
        preprocess=card.preprocess,
        labels=card.labels,
        quantization=foreign_facts(foreign, options.calibration)
        if quantized
        else QuantizationInfo(method="none", notes=foreign.notes()),
        provenance=provenance(
            source=source,
            folder=folder,
            parent=None if quantized else source,
            parent_sha256=None if quantized else model_sha256(source),
        ),
        said=Said(values=card.values, scores=card.scores),
    )
    if card.detection is not None:
        return graph, replace(description, **_boxes_by(card, card.detection, graph, f"{source} with {options.card}"))
    output = checked_outputs(graph, description)[0]
    # Proved by the graph as it came: an operator at its end may be written as others, which prove less.
    values: Any = None if output.meaning == "class_map" else output.meaning
    said = Said(values=values, scores=output.scores)
    return graph, replace(description, labels=named_classes(card.labels, card.task, output), said=said)


def _boxes_by(card: Card, said: CardDetection, graph: Graph, where: str) -> dict[str, Any]:
    """What a description says of a foreign detector, proved by the graph as it came.

    Raises:
        UsageError: outputs that are none of the form's, or others beside them.
    """
    ports = [port_of_tensor(graph.tensors[name]) for name in graph.outputs]
    told = told_outputs(ports, graph, card, where)
    if others := [port.name for place, port in enumerate(ports) if place not in told]:
        raise UsageError(
            f"{where}: [detection] says nothing of {', '.join(others)}; add --as-is to wrap the file whole"
        )
    return {
        "detection": detection_section(card, said, where),
        "box_outputs": tuple(told[place] for place in range(len(ports))),
    }


def card_of(source: Path, options: ConvertOptions) -> Card:
    """The card of a foreign ONNX file. Refuses (UsageError) to go on without."""
    if options.card is None:
        raise UsageError(
            f"{source} is a foreign ONNX file: say its task, preprocessing and labels with --card FILE.toml; `edge "
            f"inspect {source} --starter-card` begins one"
        )
    card = read_card(options.card)
    if card.output is not None or card.values == "class_map":
        key = "output" if card.output is not None else "values = 'class_map'"
        raise UsageError(
            f"{options.card}: {key} is for a finished file that is wrapped as it is; add --as-is, or omit it"
        )
    return card


def _own_head(graph: Graph) -> str:
    """What a foreign segmenter ends in: `class_map` where an ArgMax proves it, else `logits`."""
    return "class_map" if proof_of(graph, graph.outputs[0]).values == "class_map" else "logits"


OWN_HEADS: Mapping[str, Callable[[Graph], str]] = {"segment": _own_head, "detect": lambda graph: RAW}
"""What a foreign model ends in, of the tasks that may end in several."""


def foreign_facts(foreign: Foreign, calibration: Calibration | None) -> QuantizationInfo:
    """What a manifest says about the integers of a foreign model."""
    split = None if calibration is None else calibration.chosen()
    return QuantizationInfo(
        method="foreign",
        scheme=Scheme(activation_bits=16 if precision_of(foreign.graph) == "int16x8" else 8).model_dump(mode="json"),
        calibration_sha256=None if split is None else split.sha256,
        calibration_images=None if split is None else len(split),
        ranges=None if calibration is None else calibration.ranges,
        derived=tuple(
            DerivedRange(
                tensor=entry.tensor,
                scale=float(entry.parameters.quantization.scale[0]),
                zero_point=entry.parameters.signed_zero_point,
                how=entry.how,
            )
            for entry in foreign.derived
        ),
        notes=foreign.notes(),
    )


def selftest_images(preprocess: Preprocess) -> npt.NDArray[np.uint8]:
    """Generated street scenes, resized: uint8 (n, height, width, 3), the same ones every time."""
    frames = [scene(1000 + index, SELFTEST_FRAME_HW)[0] for index in range(SELFTEST_SAMPLES)]
    return np.stack([resize(frame, preprocess) for frame in frames])


def with_quantization(description: Description, quantization: QuantizationInfo) -> Description:
    """The same description with other quantization facts."""
    return replace(description, quantization=quantization)
