"""The manifest's section `point_head`: the second file of a segmenter that predicts uncertain points again.

The network's file gives coarse logits and fine features. A device without our code enlarges the logits twofold, takes
the `points` places where the two best classes are nearest, gathers features and coarse logits there, runs this file on
them, and puts its answer in their place, `steps` times; docs/pointrend.md has each step exactly.
"""

from typing import Annotated

from pydantic import Field

from edge.artifact.model_file import ModelFile, Part, TensorInfo
from edge.vision.point_rend import CODES, MAX_POINTS, MAX_STEPS, PointRule

NAME = "point_head"
GIVEN = "points"
FEATURES = "features"
ZERO_OF_CODES = {"int8": 0, "uint8": CODES, "float32": None}
"""What a head reads, and the zero point of it where it is integers: their scale is 1 / CODES."""


class PointHeadFiles(Part):
    """The head's files, as `files` of the manifest are, and how often they are asked.

    An INT8 head reads integers as they are: its input is int8 of scale 1/128, whatever the scales of the network's
    outputs. Its points are those of its shape.
    """

    steps: Annotated[int, Field(ge=0, le=MAX_STEPS)]
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1, max_length=8)]

    def rule(self, size_hw: tuple[int, int], steps: int | None = None) -> PointRule:
        """How points are chosen, for an input of this size; `steps` in place of the manifest's."""
        count = _points(self.files[0].inputs[0])
        return PointRule(steps=self.steps if steps is None else steps, points=count, size_hw=size_hw)


def point_head_problem(section: PointHeadFiles | None, task: str, files: tuple[ModelFile, ...]) -> str | None:
    """Why files of a network and of a head do not belong together, in words; None where they do, or nobody has one."""
    told = {tuple(file.outputs[place].meaning for place in file.told) for file in files}
    if section is None:
        return (
            "an output means 'features', and there is no section 'point_head'"
            if any(FEATURES in t for t in told)
            else None
        )
    if task != "segment" or told != {("logits", FEATURES)}:
        return "the section 'point_head' is for segmenters of logits and features"
    beside = {(file.format, file.role): file for file in files}
    heads = {(head.format, head.role): head for head in section.files}
    if heads.keys() != beside.keys() or len(heads) != len(section.files):
        return f"point_head: files {_kinds(section.files)}, and those of the network are {_kinds(files)}; one for each"
    for kind, head in heads.items():
        if len(head.inputs) != 1 or len(head.outputs) != 1:
            return f"{head.path}: {len(head.inputs)} inputs and {len(head.outputs)} outputs; a point head has one each"
        if problem := _problem(beside[kind], head):
            return f"{head.path}: {problem}"
    counts = {head.path: _points(head.inputs[0]) for head in section.files}
    if len(set(counts.values())) > 1:
        return f"point_head: one number of points for all files, found {counts}"
    return None


def _problem(network: ModelFile, head: ModelFile) -> str | None:
    coarse, features = (network.outputs[place] for place in network.told)
    given, answer = head.inputs[0], head.outputs[0]
    if (given.meaning, answer.meaning) != (GIVEN, "logits"):
        return f"from '{given.meaning}' to '{answer.meaning}'; a point head makes logits of points"
    for tensor in (features, given, answer):
        if tensor.layout not in ("nhwc", "nchw") or len(tensor.shape) != 4 or tensor.shape[0] != 1:
            return f"'{tensor.name}' is {tensor.shape} in layout '{tensor.layout}'; one map, nhwc or nchw"
    classes, count = _channels(coarse), _points(given)
    if classes < 2:
        return "one class; points are uncertain between two or more"
    if not 1 <= count <= MAX_POINTS:
        return f"{count} points; 1 to {MAX_POINTS} are possible"
    for tensor, channels in ((given, _channels(features) + classes), (answer, classes)):
        wanted = {"nhwc": (1, count, 1, channels), "nchw": (1, channels, count, 1)}[given.layout]
        if tensor.layout != given.layout or tensor.shape != wanted:
            return f"'{tensor.name}' is {tensor.shape} in {tensor.layout}; {count} points here are {wanted}"
    if {tensor.dtype for tensor in (coarse, features, given, answer)} != {given.dtype}:
        return f"{given.dtype} in and {answer.dtype} out, and the network gives {coarse.dtype} and {features.dtype}"
    if given.dtype not in ZERO_OF_CODES:
        return f"{given.dtype}; points are {', '.join(ZERO_OF_CODES)}"
    zero = ZERO_OF_CODES[given.dtype]
    if zero is not None and None in (coarse.scale, features.scale, answer.scale):
        return "integers without a scale"
    told = None if zero is None else (1 / CODES, zero)
    found = None if given.scale is None else (given.scale, given.zero_point)
    if found != told:
        return f"'{given.name}' has scale and zero point {found}; the integers of the maps as they are have {told}"
    return None


def _kinds(files: tuple[ModelFile, ...]) -> str:
    return ", ".join(sorted(f"{file.format} ({file.role})" for file in files))


def _channels(tensor: TensorInfo) -> int:
    return tensor.shape[3] if tensor.layout == "nhwc" else tensor.shape[1]


def _points(tensor: TensorInfo) -> int:
    return tensor.shape[1] if tensor.layout == "nhwc" else tensor.shape[2]
