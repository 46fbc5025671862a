"""What a predictor demands of a model file's description: checked when a manifest is made, and when it is opened.

An output is one of these:

- scores of classes that exclude each other: softmax of the logits, or probabilities as they are; the largest wins;
- scores of labels that are independent: sigmoid of each logit, or probabilities; every label at 0.5 or above holds;
- one score, of yes against no: two names, the second of which holds at 0.5 or above;
- the same per cell for a segmenter, where labels cannot be independent: a cell of a class map has one class;
- a class map, integers.

A detector has several; see `edge.artifact.detection`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.artifact.detection import Detection, detection_problem
from edge.artifact.model_file import Labels, ModelFile, TensorInfo
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class OutputForm:
    """What a task's one output may mean, and whether its scores are of every cell of a map or of the image."""

    meanings: tuple[str, ...]
    per_cell: bool


OUTPUT_FORMS: Mapping[str, OutputForm] = MappingProxyType(
    {
        "classify": OutputForm(meanings=("logits", "probabilities"), per_cell=False),
        "segment": OutputForm(meanings=("logits", "probabilities", "class_map"), per_cell=True),
    }
)
"""Of the tasks whose one output is scores."""
INPUT_DTYPES = ("float32", "int8", "uint8", "int16")
CLASS_MAP_DTYPES = ("uint8", "int32", "int64")
MAX_MAP_CLASSES = 255  # a class map is uint8, and 255 is no class


def form_problem(
    task: str, labels: Labels, preprocess: Preprocess, file: ModelFile, detection: Detection | None = None
) -> str | None:
    """Why a predictor could not predict with this file, in words; None where it can, and for a task without one."""
    problem = PROBLEMS.get(task)
    return None if problem is None else problem(task, labels, preprocess, file, detection)


def _problem_of_scores(
    task: str, labels: Labels, preprocess: Preprocess, file: ModelFile, detection: Detection | None
) -> str | None:
    if detection is not None:
        return f"the section 'detection' is a detector's, and the task is '{task}'"
    told = [place for place in file.told if file.outputs[place].meaning != "features"]  # a point head's business
    if len(file.inputs) != 1 or len(told) != 1:
        return f"{len(file.inputs)} inputs and {len(told)} outputs; a predictor takes one each"
    given, output = file.inputs[0], file.outputs[file.answer]
    return _input_problem(given, preprocess) or _output_problem(task, output, len(labels.names))


def _problem_of_boxes(
    task: str, labels: Labels, preprocess: Preprocess, file: ModelFile, detection: Detection | None
) -> str | None:
    if len(file.inputs) != 1:
        return f"{len(file.inputs)} inputs; a predictor takes one"
    told = tuple(file.outputs[place] for place in file.told)
    return _input_problem(file.inputs[0], preprocess) or detection_problem(detection, len(labels.names), told)


def score_count(task: str, output: TensorInfo) -> int:
    """How many scores an output of logits or probabilities holds, per image or per cell of a segmenter."""
    if not OUTPUT_FORMS[task].per_cell:
        return math.prod(output.shape)
    return output.shape[1] if output.layout == "nchw" else output.shape[-1]


def _input_problem(given: TensorInfo, preprocess: Preprocess) -> str | None:
    height, width = preprocess.height, preprocess.width
    shapes = {"nhwc": (1, height, width, 3), "nchw": (1, 3, height, width)}
    if given.layout not in shapes:
        return f"input '{given.name}' in layout '{given.layout}'; a frame goes in as nhwc or nchw"
    if given.shape != shapes[given.layout]:
        return f"input '{given.name}' is {given.shape}; by the preprocessing it is {shapes[given.layout]}"
    if given.dtype not in INPUT_DTYPES:
        return f"input '{given.name}' is {given.dtype}; frames go in as float32, int8, uint8 or int16"
    if given.dtype.startswith("int") and given.scale is None:
        return f"input '{given.name}' is {given.dtype} without a scale"
    return None


def _output_problem(task: str, output: TensorInfo, names: int) -> str | None:
    meanings = OUTPUT_FORMS[task].meanings
    if output.meaning not in meanings:
        return f"output means '{output.meaning}'; a task '{task}' ends in {' or '.join(meanings)}"
    if output.meaning == "class_map":
        if output.dtype not in CLASS_MAP_DTYPES:
            return f"output '{output.name}' is {output.dtype}; a class map is {' or '.join(CLASS_MAP_DTYPES)}"
        return class_map_problem(output)
    if output.dtype != "float32" and output.scale is None:
        return f"output '{output.name}' is {output.dtype} without a scale"
    return shape_problem(task, output) or _scores_problem(task, output, names)


def shape_problem(task: str, output: TensorInfo) -> str | None:
    """Why an output's shape is not that of one image's scores, or of one map of them."""
    shape = output.shape
    if not OUTPUT_FORMS[task].per_cell:
        if shape[:1] != (1,) or sum(size > 1 for size in shape) > 1:
            return f"output '{output.name}' is {shape}; a classifier ends in (1, classes)"
        return None
    if len(shape) == 2:
        return f"task '{task}' for a model whose output is {shape}, the scores of a classifier"
    if output.layout not in ("nhwc", "nchw") or len(shape) != 4 or shape[0] != 1:
        return f"output '{output.name}' is {shape}; a segmenter ends in one map, (1, classes, height, width) or NHWC"
    return None


def class_map_problem(output: TensorInfo) -> str | None:
    """Why an output's shape is not that of one class map."""
    shape = output.shape
    cells = shape[1:3] if output.layout == "nhwc" else shape[-2:]
    if len(shape) not in (2, 3, 4) or math.prod(cells) != math.prod(shape):
        return f"output '{output.name}' is {shape} in layout '{output.layout}'; a class map is (1, height, width)"
    return None


def _scores_problem(task: str, output: TensorInfo, names: int) -> str | None:
    count, per_cell = score_count(task, output), OUTPUT_FORMS[task].per_cell
    if per_cell and count > MAX_MAP_CLASSES:
        return f"{count} classes in the output; a class map holds at most {MAX_MAP_CLASSES}"
    if output.scores is None:
        return f"output '{output.name}' does not say whether its scores are exclusive or independent"
    if count == 1:
        if output.scores != "independent":
            return "one score in the output, said to be exclusive: there is nothing that it could exclude"
        return None if names == 2 else f"one score in the output, {names} names; it takes two, of no and of yes"
    if per_cell and output.scores == "independent":
        return f"{count} independent scores per cell: masks that overlap make no class map"
    return None if count == names else f"{count} classes in the output, {names} names in the labels"


Problem = Callable[[str, Labels, Preprocess, ModelFile, Detection | None], str | None]
PROBLEMS: Mapping[str, Problem] = MappingProxyType(
    {"classify": _problem_of_scores, "segment": _problem_of_scores, "detect": _problem_of_boxes}
)
