"""An average pool whose pads do not count and are not SAME, in parts whose windows all lie inside the image.

TFLite divides by the pixels inside, but knows SAME padding only. Where windows reach over an edge they are smaller ones
over what is there: each group of windows of one size is a SLICE and a pool without pads, joined by CONCATENATION. No
value is rounded more than once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version
from edge.errors import UnsupportedError
from edge.graph.graph import Operator

# Writes a pool from tensor x to tensor y with a (height, width) window and no pads.
Pool = Callable[[int, int, tuple[int, int]], None]


@dataclass(frozen=True, kw_only=True)
class Part:
    """Windows of one size along an axis: how many, and the pixels from `begin` on, `length` of them, that they read."""

    count: int
    begin: int
    length: int
    kernel: int


def parts(size: int, outputs: int, kernel: int, stride: int, before: int) -> list[Part]:
    """The windows of an axis by their size inside the image, in order. A window that lies outside has the size 0."""
    found: list[Part] = []
    for index in range(outputs):
        first = index * stride - before
        begin, end = max(0, first), min(size, first + kernel)
        last = found[-1] if found else None
        if last is not None and end - begin == last.kernel and begin == last.begin + last.count * stride:
            found[-1] = Part(count=last.count + 1, begin=last.begin, length=end - last.begin, kernel=last.kernel)
        else:
            found.append(Part(count=1, begin=begin, length=end - begin, kernel=end - begin))
    return found


def write_pool_in_parts(builder: FileBuilder, operator: Operator, pool: Pool) -> None:
    """Write the parts and join them. Refuses (UnsupportedError) a window that lies in the padding alone."""
    x, y = (builder.graph.tensors[name] for name in (operator.inputs[0], operator.outputs[0]))
    (top, left, _, _), strides = operator.attributes["pads"], operator.attributes["strides"]
    height, width = operator.attributes["kernel"]
    rows = parts(x.shape[1], y.shape[1], height, strides[0], top)
    columns = parts(x.shape[2], y.shape[2], width, strides[1], left)
    if any(part.kernel <= 0 for part in (*rows, *columns)):
        raise UnsupportedError(
            f"AveragePool '{operator.name}': pads {tuple(operator.attributes['pads'])} put a window outside the image"
        )
    batch, channels = x.shape[0], x.shape[3]
    bands = []
    for row in rows:
        pieces = []
        for column in columns:
            shape = (batch, row.length, column.length, channels)
            source = builder.activation(operator, "slice", x, shape)
            begin = builder.constant(operator, "begin", np.array([0, row.begin, column.begin, 0], np.int32))
            size = builder.constant(operator, "size", np.array(shape, np.int32))
            version = int8_version(builder.graph, operator, int8=2)
            builder.operator(
                "SLICE", [builder.tensor(x.name), begin, size], [source], version=version, options="SliceOptions"
            )
            piece = builder.activation(operator, "part", y, (batch, row.count, column.count, channels))
            pool(source, piece, (row.kernel, column.kernel))
            pieces.append(piece)
        bands.append(
            _joined(builder, operator, pieces, 2, (batch, row.count, y.shape[2], channels), last=len(rows) == 1)
        )
    if len(rows) > 1:
        _joined(builder, operator, bands, 1, y.shape, last=True)


def _joined(
    builder: FileBuilder, operator: Operator, pieces: Sequence[int], axis: int, shape: tuple[int, ...], *, last: bool
) -> int:
    """The index of the concatenation; `last` makes it the operator's output."""
    if len(pieces) == 1 and not last:
        return pieces[0]
    y = builder.graph.tensors[operator.outputs[0]]
    joined = builder.tensor(y.name) if last else builder.activation(operator, "band", y, shape)
    version = int8_version(builder.graph, operator, int8=2)
    builder.operator("CONCATENATION", pieces, [joined], version=version, options="ConcatenationOptions", axis=axis)
    return joined
