"""Writing an average pool's padding out: TFLite's pool pads by the SAME rule alone and never counts what it padded."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.padding import same_pads
from edge.graph.rewrite import fresh_name, rebuild

NO_PADS = (0, 0, 0, 0)


def lower_average_pool(graph: Graph) -> Graph:
    """Pads that count become a Pad of zeros in front. Pads that do not, and that SAME does not say, a Pad and a Mul.

    The Mul by (cells of the window / cells inside the image) is for float graphs; over integers, where it would
    round once more than the source does, such a pool stays, and the TFLite writer refuses it by name.

    Requires: an NCHW graph.
    Ensures: the same values; over integers the same integers.
    """
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    for operator in graph.operators:
        if operator.kind != "AveragePool" or tuple(operator.attributes["pads"]) == NO_PADS:
            operators.append(operator)
            continue
        source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
        given = operator.attributes
        same = same_pads(source.shape[2:], given["kernel"], given["strides"], (1, 1)) == tuple(given["pads"])
        if given["count_include_pad"]:
            operators += _padded(tensors, operator)
        elif same or target.quantization is not None:
            operators.append(operator)
        else:
            operators += _padded_and_scaled(tensors, operator)
    return rebuild(graph, operators, tensors)


def _padded(tensors: dict[str, Tensor], operator: Operator) -> tuple[Operator, Operator]:
    """A Pad of zeros and the pool without pads."""
    source = tensors[operator.inputs[0]]
    top, left, bottom, right = operator.attributes["pads"]
    pads = ((0, 0), (0, 0), (top, bottom), (left, right))
    shape = tuple(size + before + after for size, (before, after) in zip(source.shape, pads, strict=True))
    made = fresh_name(f"{operator.outputs[0]}/padded", tensors)
    tensors[made] = replace(source, name=made, shape=shape)
    pad = Operator(
        kind="Pad",
        name=f"{operator.name}/pad",
        inputs=(source.name,),
        outputs=(made,),
        attributes={"pads": pads, "value": 0.0},
    )
    attributes = {**operator.attributes, "pads": NO_PADS, "count_include_pad": False}
    return pad, replace(operator, inputs=(made,), attributes=attributes)


def _padded_and_scaled(tensors: dict[str, Tensor], operator: Operator) -> list[Operator]:
    """The sums over the windows divided by the cells inside the image instead of by all."""
    source, target = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    pad, pool = _padded(tensors, operator)
    inner = fresh_name(f"{target.name}/all_cells", tensors)
    tensors[inner] = replace(target, name=inner)
    factor = fresh_name(f"{target.name}/share", tensors)
    values = inside_share(source.shape[2:], target.shape[2:], operator)
    tensors[factor] = Tensor(name=factor, shape=values.shape, dtype="float32", data=values)
    scale = Operator(
        kind="Mul",
        name=f"{operator.name}/share",
        inputs=(inner, factor),
        outputs=operator.outputs,
        attributes={"activation": operator.attributes["activation"]},
    )
    plain = replace(pool, outputs=(inner,), attributes={**pool.attributes, "activation": "none"})
    return [pad, plain, scale]


def inside_share(size_hw: tuple[int, ...], output_hw: tuple[int, ...], operator: Operator) -> npt.NDArray[np.float32]:
    """Cells of each window over those inside the image, float32 (1, 1, h, w)."""
    given = operator.attributes
    counts = []
    for axis in range(2):
        first = np.arange(output_hw[axis]) * given["strides"][axis] - given["pads"][axis]
        last = np.minimum(first + given["kernel"][axis], size_hw[axis])
        counts.append(last - np.maximum(first, 0))
    inside = np.outer(counts[0], counts[1]).astype(np.float32)
    cells = np.float32(given["kernel"][0] * given["kernel"][1])
    return np.asarray(cells / inside, np.float32)[None, None]
