"""TFLite metadata in a TFLite file: normalization, labels and what the scores mean, by the published schema.

Standard Android task libraries and mediapipe's tasks read it. The flatbuffer goes into a buffer of the model named
TFLITE_METADATA; the label file is appended to the file as a stored zip, which readers of the model do not see.
"""

import io
import zipfile
from typing import Any

import numpy as np

from edge.artifact.model_file import Labels, TensorInfo
from edge.artifact.output_form import OUTPUT_FORMS, score_count
from edge.errors import UsageError
from edge.graph.importers.tflite.metadata import BUFFER_NAME, FILE_TYPES, LABEL_FILE, SEGMENTER_NAME
from edge.graph.importers.tflite.metadata_flatbuffer import encode
from edge.graph.importers.tflite.metadata_schema import ENUMERATIONS, MODEL_IDENTIFIER, SEGMENTER_IDENTIFIER
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.tasks.table import TASKS
from edge.vision.preprocess import Preprocess

# The schema knows RGB and grayscale; BGR is UNKNOWN, which task libraries refuse.
COLOUR_SPACES = {"rgb": ENUMERATIONS["ColorSpaceType"]["RGB"], "bgr": ENUMERATIONS["ColorSpaceType"]["UNKNOWN"]}

# Lowest version of a reader that understands the fields: 1.5.0 brought custom metadata.
VERSION, VERSION_WITH_CUSTOM = "1.0.0", "1.5.0"
ZIP_TIME = (1980, 1, 1, 0, 0, 0)

SCORES_NAMES = {"classify": "score", "segment": "segmentation_masks"}
MEANINGS = {
    ("logits", "exclusive"): "Score of each class before softmax; the largest wins.",
    ("probabilities", "exclusive"): "Probability of each class; the largest wins.",
    ("logits", "independent"): "Score of each label before a sigmoid; a label holds where it is at least 0.",
    ("probabilities", "independent"): "Probability of each label; a label holds where it is at least 0.5.",
    ("class_map", None): "Class of each cell.",
}


def with_metadata(
    tflite: bytes, *, task: str, preprocess: Preprocess, labels: Labels, given: TensorInfo, output: TensorInfo
) -> bytes:
    """Add metadata and label file to a TFLite file of one input and one output; same arguments, same bytes.

    Args:
        tflite: a whole file without metadata; its tensors, operators and values stay as they are.
        task: classify or segment.
        given, output: the file's input and output.

    Raises:
        UsageError: a class name that a label file of one name a line cannot hold.
    """
    module = schema()
    model = module.ModelT.InitFromPackedBuf(tflite, 0)
    table = encode("ModelMetadata", _model(task, preprocess, given, output), MODEL_IDENTIFIER)
    model.buffers.append(module.BufferT(data=np.frombuffer(table, np.uint8)))
    entry = module.MetadataT(name=BUFFER_NAME, buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or ()), entry]
    # One score is that of the second of two names: the first one's is what is left.
    one = output.meaning != "class_map" and score_count(task, output) == 1
    scored = labels.model_copy(update={"names": labels.names[-1:], "palette": None}) if one else labels
    return _with_file(pack(model), LABEL_FILE, label_text(scored))


def label_text(labels: Labels) -> bytes:
    """The label file: UTF-8, one name a line, in index order. Refuses (UsageError) a name that is not one line."""
    for index, name in enumerate(labels.names):
        if name != name.strip() or not name or not name.isprintable():
            raise UsageError(
                f"class name {index} is {name!r}; the label file in a TFLite file holds one name a line: "
                "take out line breaks, other control characters and blanks around it"
            )
    return "".join(f"{name}\n" for name in labels.names).encode()


def _model(task: str, preprocess: Preprocess, given: TensorInfo, output: TensorInfo) -> dict[str, Any]:
    subgraph: dict[str, Any] = {
        "input_tensor_metadata": [_image(preprocess)],
        "output_tensor_metadata": [_scores(task, output)],
    }
    version = VERSION
    if OUTPUT_FORMS[task].per_cell and output.meaning != "class_map":
        # Task libraries resize what the activation leaves, then decide: the largest wins, or a mask at 0.5.
        mask_of_logits = output.meaning == "logits" and output.scores == "independent"
        activation = ENUMERATIONS["Activation"]["SIGMOID" if mask_of_logits else "NONE"]
        options = {"activation": activation, "min_parser_version": VERSION}
        data = encode("ImageSegmenterOptions", options, SEGMENTER_IDENTIFIER)
        subgraph["custom_metadata"] = [{"name": SEGMENTER_NAME, "data": data}]
        version = VERSION_WITH_CUSTOM
    title = TASKS[task].title
    return {
        "name": title,
        "description": f"{title[0].upper()}{title[1:]} by edge-deploy; input {given.dtype}, output {output.dtype}.",
        "subgraph_metadata": [subgraph],
        "min_parser_version": version,
    }


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


def _scores(task: str, output: TensorInfo) -> dict[str, Any]:
    by_value = output.meaning == "class_map"
    file = {
        "name": LABEL_FILE,
        "description": "Class names in index order.",
        "type": FILE_TYPES["TENSOR_VALUE_LABELS" if by_value else "TENSOR_AXIS_LABELS"],
    }
    name = "class_map" if by_value else SCORES_NAMES[task]
    return {
        "name": name,
        "description": MEANINGS[output.meaning, output.scores],
        "content": {"content_properties": {"FeatureProperties": {}}},
        "associated_files": [file],
    }


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
