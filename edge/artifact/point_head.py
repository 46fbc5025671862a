"""The manifest's section `point_head`: the second file of a segmenter that predicts uncertain points again.

The network's file gives coarse logits and fine features. A device without our code enlarges the logits twofold, takes
the `points` places where the two best classes are nearest, gathers features and coarse logits there, runs this file on
them, and puts its answer in their place, `steps` times; docs/pointrend.md has each step exactly.
"""

from typing import Annotated

from pydantic import Field

from edge.artifact.model_file import ModelFile, Part, TensorInfo
from edge.vision.point_rend import MAX_STEPS, PointRule

NAME = "point_head"
GIVEN = "points"
FEATURES = "features"


class PointHeadFiles(Part):
    """The head's files, as `files` of the manifest are, and how often they are asked.

    An INT8 head reads integers as they are: its input is int8 of scale 1/128, whatever the scales of the network's
    outputs. Its points are those of its shape.
    """

    steps: Annotated[int, Field(ge=0, le=MAX_STEPS)]
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1, max_length=8)]

    def rule(self, size_hw: tuple[int, int], steps: int | None = None) -> PointRule:
        """How points are chosen, for an input of this size; `steps` in place of the manifest's."""
        given = self.files[0].inputs[0]
        count = given.shape[1] if given.layout == "nhwc" else given.shape[2]
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
    for head in section.files:
        if len(head.inputs) != 1 or len(head.outputs) != 1:
            return f"{head.path}: {len(head.inputs)} inputs and {len(head.outputs)} outputs; a point head has one each"
        network = next((file for file in files if (file.format, file.role) == (head.format, head.role)), None)
        if network is None:
            return f"{head.path}: no file of the network of its format"
        if problem := _problem(network, head):
            return f"{head.path}: {problem}"
    return None


def _problem(network: ModelFile, head: ModelFile) -> str | None:
    coarse, features = (network.outputs[place] for place in network.told)
    given, answer = head.inputs[0], head.outputs[0]
    if (given.meaning, answer.meaning) != (GIVEN, "logits"):
        return f"from '{given.meaning}' to '{answer.meaning}'; a point head makes logits of points"
    if given.layout not in ("nhwc", "nchw") or answer.layout != given.layout or len(given.shape) != 4:
        return f"input in layout '{given.layout}', output in '{answer.layout}'; both are nhwc, or both nchw"
    classes = _channels(coarse)
    if _channels(given) != _channels(features) + classes or _channels(answer) != classes:
        return f"{_channels(given)} channels in and {_channels(answer)} out of {_channels(features)} + {classes}"
    if _points(given) != _points(answer):
        return f"{_points(given)} points in and {_points(answer)} out"
    if coarse.dtype != given.dtype or features.dtype != given.dtype or answer.dtype != given.dtype:
        return f"{given.dtype} in and {answer.dtype} out, and the network gives {coarse.dtype} and {features.dtype}"
    if given.dtype not in ("int8", "uint8", "float32"):
        return f"{given.dtype}; points are int8, uint8 or float32"
    if given.dtype != "float32" and (given.scale is None or answer.scale is None or coarse.scale is None):
        return "integers without a scale"
    return None


def _channels(tensor: TensorInfo) -> int:
    return tensor.shape[3] if tensor.layout == "nhwc" else tensor.shape[1]


def _points(tensor: TensorInfo) -> tuple[int, ...]:
    return (tensor.shape[0], *(tensor.shape[1:3] if tensor.layout == "nhwc" else tensor.shape[2:]))
