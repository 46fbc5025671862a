"""Rows behind `count` that TFLite_Detection_PostProcess did not write: its fast mode leaves an earlier call's."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

OPERATOR = "TFLite_Detection_PostProcess"
OUTPUTS = 4  # boxes, classes, scores, count


def selected_places(operators: Sequence[Mapping[str, Any]], outputs: Sequence[int]) -> "tuple[int, ...] | None":
    """Where boxes, classes, scores and count stand among a file's outputs; None where the operator does not make them.

    Args:
        operators: as an interpreter lists them. outputs: indices of the file's output tensors.
    """
    for operator in operators:
        made = [int(index) for index in operator["outputs"]]
        if operator["op_name"] == OPERATOR and len(made) == OUTPUTS and set(made) <= set(outputs):
            return tuple(outputs.index(index) for index in made)
    return None


def blank_unselected(arrays: Sequence[npt.NDArray[Any]], places: "tuple[int, ...] | None") -> None:
    """Set the rows behind `count` to 0, in place: one input gives one answer, whatever ran before."""
    if places is None:
        return
    *lists, count = (arrays[place] for place in places)
    for array in lists:
        array[:, round(float(count.reshape(-1)[0])) :] = 0
