"""TFLite metadata in a TFLite file: normalization, labels and what the scores mean, by the published schema.

Standard Android task libraries and mediapipe's tasks read it. The flatbuffer goes into a buffer of the model named
TFLITE_METADATA; the label file is appended to the file as a stored zip, which readers of the model do not see.
"""

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from edge.artifact.detection import Detection
from edge.artifact.model_file import Labels, TensorInfo, name_problem
from edge.artifact.output_form import score_count
from edge.errors import UsageError
from edge.graph.importers.tflite.metadata import BUFFER_NAME, FILE_TYPES, LABEL_FILE, SEGMENTER_NAME
from edge.graph.importers.tflite.metadata_flatbuffer import encode
from edge.graph.importers.tflite.metadata_schema import ENUMERATIONS, MODEL_IDENTIFIER, SEGMENTER_IDENTIFIER
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.tasks.table import TASKS
from edge.vision.four_outputs import FOUR_OUTPUTS
from edge.vision.preprocess import Preprocess

# The schema knows RGB and grayscale; BGR is UNKNOWN, which task libraries refuse.
COLOUR_SPACES = {"rgb": ENUMERATIONS["ColorSpaceType"]["RGB"], "bgr": ENUMERATIONS["ColorSpaceType"]["UNKNOWN"]}

# Lowest version of a reader that understands the fields: 1.2.0 brought groups of tensors, 1.5.0 custom metadata.
VERSION, VERSION_WITH_GROUPS, VERSION_WITH_CUSTOM = "1.0.0", "1.2.0", "1.5.0"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

MEANINGS = {
    ("logits", "exclusive"): "Score of each class before softmax; the largest wins.",
    ("probabilities", "exclusive"): "Probability of each class; the largest wins.",
    ("logits", "independent"): "Score of each label before a sigmoid; a label holds where it is at least 0.",
    ("probabilities", "independent"): "Probability of each label; a label holds where it is at least 0.5.",
    ("class_map", None): "Class of each cell.",
}

# An object detector's four outputs by the names, and with the properties, that task libraries look for.
DETECTION_GROUP = {"name": "detection_result", "tensor_names": ["location", "category", "score"]}
CORNERS = {  # of y0, x0, y1, x1: where left, top, right and bottom stand
    "index": [1, 0, 3, 2],
    "type": ENUMERATIONS["BoundingBoxType"]["BOUNDARIES"],
    "coordinate_type": ENUMERATIONS["CoordinateType"]["RATIO"],
}
# What raw heads hold where they are not scores, by their meaning.
RAW_HEADS = {
    "box_codes": "Box of each anchor, relative to it.",
    "boxes": "Boxes.",
    "cells": "Of each cell its box and its scores.",
}
SCORES = ("logits", "probabilities")
BACKGROUND = "background"
"""The first line of a label file where the scores begin with that column."""


def with_metadata(
    tflite: bytes,
    *,
    task: str,
    preprocess: Preprocess,
    labels: Labels,
    given: TensorInfo,
    outputs: Sequence[TensorInfo],
    detection: Detection | None = None,
) -> bytes:
    """Add metadata and label file to a TFLite file of one input; same arguments, same bytes.

    Args:
        tflite: a whole file without metadata; its tensors, operators and values stay as they are.
        task: key of OUTPUTS.
        given, outputs: the file's input, and all its outputs: one, of a detector box codes and scores, or boxes,
            classes, scores and their number.
        detection: how a detector's outputs become boxes.

    Raises:
        UsageError: a class name that a label file of one name a line cannot hold.
    """
    module = schema()
    model = module.ModelT.InitFromPackedBuf(tflite, 0)
    table = encode("ModelMetadata", _model(task, preprocess, given, outputs, detection), MODEL_IDENTIFIER)
    model.buffers.append(module.BufferT(data=np.frombuffer(table, np.uint8)))
    entry = module.MetadataT(name=BUFFER_NAME, buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or ()), entry]
    return _with_file(pack(model), LABEL_FILE, label_text(LABELS[task](labels, outputs)))


def _one_name_a_score(labels: Labels, outputs: Sequence[TensorInfo], *, task: str) -> Labels:
    """One score is that of the second of two names: the first one's is what is left."""
    one = outputs[0].meaning != "class_map" and score_count(task, outputs[0]) == 1
    return labels.model_copy(update={"names": labels.names[-1:], "palette": None}) if one else labels


def _one_name_a_column(labels: Labels, outputs: Sequence[TensorInfo]) -> Labels:
    """Of four outputs the classes; of raw heads the columns of the scores, of which the first may be no class."""
    ahead = any(one.meaning in SCORES and one.shape[-1] == len(labels.names) + 1 for one in outputs)
    return labels.model_copy(update={"names": (BACKGROUND, *labels.names), "palette": None}) if ahead else labels


def label_text(labels: Labels) -> bytes:
    """The label file: UTF-8, one name a line, in index order. Refuses (UsageError) a name that is not one line."""
    if problem := name_problem(labels.names):
        raise UsageError(problem)
    return "".join(f"{name}\n" for name in labels.names).encode()


def _model(
    task: str,
    preprocess: Preprocess,
    given: TensorInfo,
    outputs: Sequence[TensorInfo],
    detection: Detection | None,
) -> dict[str, Any]:
    told, version = OUTPUTS[task](outputs, detection)
    title = TASKS[task].title
    types = sorted({output.dtype for output in outputs})
    return {
        "name": title,
        "description": f"{title[0].upper()}{title[1:]} by edge-deploy; input {given.dtype}, output {', '.join(types)}.",
        "subgraph_metadata": [{"input_tensor_metadata": [_image(preprocess)], **told}],
        "min_parser_version": version,
    }


def _classifier(outputs: Sequence[TensorInfo], _: Detection | None) -> tuple[dict[str, Any], str]:
    return {"output_tensor_metadata": [_labelled("score", outputs[0])]}, VERSION


def _segmenter(outputs: Sequence[TensorInfo], _: Detection | None) -> tuple[dict[str, Any], str]:
    (output,) = outputs
    by_value = output.meaning == "class_map"
    name = "class_map" if by_value else "segmentation_masks"
    told: dict[str, Any] = {"output_tensor_metadata": [_labelled(name, output, by_value=by_value)]}
    if by_value:
        return told, VERSION
    # Task libraries resize what the activation leaves, then decide: the largest wins, or a mask at 0.5.
    mask_of_logits = output.meaning == "logits" and output.scores == "independent"
    activation = ENUMERATIONS["Activation"]["SIGMOID" if mask_of_logits else "NONE"]
    options = {"activation": activation, "min_parser_version": VERSION}
    data = encode("ImageSegmenterOptions", options, SEGMENTER_IDENTIFIER)
    return {**told, "custom_metadata": [{"name": SEGMENTER_NAME, "data": data}]}, VERSION_WITH_CUSTOM


def _detector(outputs: Sequence[TensorInfo], detection: Detection | None) -> tuple[dict[str, Any], str]:
    """Raw heads are described; four outputs are what task libraries read, by their order and by their names."""
    if tuple(output.meaning for output in outputs) != FOUR_OUTPUTS:
        return {"output_tensor_metadata": [_raw_head(output) for output in outputs]}, VERSION
    tensors = [
        _tensor("location", "Boxes: top, left, bottom, right.", {"BoundingBoxProperties": CORNERS}),
        _labelled("category", outputs[1], by_value=True, text="Class of each box."),
        {**_tensor("score", "Probability of each box's class."), **_threshold(detection)},
        _tensor("number of detections", "How many boxes there are."),
    ]
    return {"output_tensor_metadata": tensors, "output_tensor_groups": [DETECTION_GROUP]}, VERSION_WITH_GROUPS


def _raw_head(output: TensorInfo) -> dict[str, Any]:
    if output.meaning in SCORES:
        return _labelled("score", output, text="Score of each box's classes.")
    return _tensor(output.meaning, RAW_HEADS[output.meaning])


def _threshold(detection: Detection | None) -> dict[str, Any]:
    """The least score that a task library shows if it is not asked for another."""
    if detection is None:
        return {}
    options = {"global_score_threshold": detection.threshold}
    return {"process_units": [{"options": {"ScoreThresholdingOptions": options}}]}


def _image(preprocess: Preprocess) -> dict[str, Any]:
    """The input: a colour image, normalized as the float model's; integer inputs are quantized after that."""
    order = preprocess.colour_order.upper()
    low = [(0 - mean) / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)]
    high = [(255 - mean) / std for mean, std in zip(preprocess.mean, preprocess.std, strict=True)]
    size = {"width": preprocess.width, "height": preprocess.height}
    return {
        "name": "image",
        "description": f"{order} image, {preprocess.width} x {preprocess.height}; fit: {preprocess.fit}"
        + (f" of {preprocess.crop_fraction:g}" if preprocess.fit == "crop" else ""),
        "content": {
            "content_properties": {
                "ImageProperties": {"color_space": COLOUR_SPACES[preprocess.colour_order], "default_size": size}
            }
        },
        "process_units": [
            {"options": {"NormalizationOptions": {"mean": list(preprocess.mean), "std": list(preprocess.std)}}}
        ],
        "stats": {"max": high, "min": low},
    }


def _tensor(name: str, text: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    properties = {"FeatureProperties": {}} if content is None else content
    return {"name": name, "description": text, "content": {"content_properties": properties}}


def _labelled(name: str, output: TensorInfo, *, by_value: bool = False, text: str = "") -> dict[str, Any]:
    """An output whose values, or whose last axis, the label file names."""
    file = {
        "name": LABEL_FILE,
        "description": "Class names in index order.",
        "type": FILE_TYPES["TENSOR_VALUE_LABELS" if by_value else "TENSOR_AXIS_LABELS"],
    }
    return {**_tensor(name, text or MEANINGS[output.meaning, output.scores]), "associated_files": [file]}


def _with_file(model: bytes, name: str, content: bytes) -> bytes:
    """The model with a zip of one stored file behind it; times and attributes are fixed."""
    whole = io.BytesIO()
    whole.write(model)
    with zipfile.ZipFile(whole, "a", zipfile.ZIP_STORED) as archive:
        info = zipfile.ZipInfo(name, ZIP_TIME)
        info.create_system = 3
        info.external_attr = 0o644 << 16
        archive.writestr(info, content)
    return whole.getvalue()


# How a task's outputs are described, and the lowest version of a reader; which names its label file holds.
OUTPUTS: Mapping[str, Callable[[Sequence[TensorInfo], Detection | None], tuple[dict[str, Any], str]]] = {
    "classify": _classifier,
    "segment": _segmenter,
    "detect": _detector,
}
LABELS: Mapping[str, Callable[[Labels, Sequence[TensorInfo]], Labels]] = {
    "classify": partial(_one_name_a_score, task="classify"),
    "segment": partial(_one_name_a_score, task="segment"),
    "detect": _one_name_a_column,
}
