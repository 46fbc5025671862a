"""One-node ONNX models with random shapes and attributes, one maker per operator, for the road's property tests."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Random = np.random.Generator
OPSET = 18
Made = tuple[str, list[tuple[int, ...]], list[np.ndarray | None], dict[str, Any]]


def model(kind: str, inputs: list[tuple[int, ...]], constants: list[np.ndarray | None], **attributes: Any) -> bytes:
    """A model of one node: its activations first, then its constants (None: absent)."""
    names = [f"x{index}" for index in range(len(inputs))]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(names, inputs, strict=True)
    ]
    stored = []
    for index, constant in enumerate(constants):
        names.append("" if constant is None else f"c{index}")
        if constant is not None:
            stored.append(numpy_helper.from_array(constant, f"c{index}"))
    while names and not names[-1]:
        names.pop()
    node = helper.make_node(kind, names, ["y"], name="node", **attributes)
    output = helper.make_value_info("y", helper.make_tensor_type_proto(TensorProto.FLOAT, None))
    graph = helper.make_graph([node], "one", values, [output], initializer=stored)
    opsets = [helper.make_opsetid("", OPSET)]
    made = onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=8))
    return bytes(made.SerializeToString())


def _int(random: Random, low: int, high: int) -> int:
    return int(random.integers(low, high + 1))


def _ints(random: Random, count: int, low: int, high: int) -> list[int]:
    return [_int(random, low, high) for _ in range(count)]


def _weight(random: Random, *shape: int) -> np.ndarray:
    return np.asarray(random.normal(size=shape), np.float32)


def _window(random: Random, axes: int) -> tuple[list[int], dict[str, Any]]:
    kernel, strides, dilations = (_ints(random, axes, 1, top) for top in (4, 3, 2))
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations}
    auto = str(random.choice(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto.startswith("SAME"):
        attributes["dilations"] = [1] * axes  # ONNX Runtime has no others with it
    if auto == "NOTSET":
        attributes["pads"] = _ints(random, 2 * axes, 0, 2)
    else:
        attributes["auto_pad"] = auto
    return kernel, attributes


def conv(random: Random) -> bytes:
    axes, group = _int(random, 1, 2), int(random.choice([1, 1, 2, 3]))
    kernel, attributes = _window(random, axes)
    per_group, made = _int(random, 1, 4), group * _int(random, 1, 3)
    size = [1, group * per_group, *_ints(random, axes, 8, 11)]
    bias = _weight(random, made) if random.integers(2) else None
    return model("Conv", [tuple(size)], [_weight(random, made, per_group, *kernel), bias], group=group, **attributes)


def conv_transpose(random: Random) -> bytes:
    axes, group = _int(random, 1, 2), int(random.choice([1, 1, 2]))
    kernel, strides, dilations = (_ints(random, axes, low, top) for low, top in ((2, 4), (1, 3), (1, 2)))
    given, made = _int(random, 1, 4), _int(random, 1, 4)
    size = [1, group * given, *_ints(random, axes, 3, 6)]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations, "group": group}
    form = str(random.choice(["pads", "pads", "SAME_UPPER", "SAME_LOWER", "output_shape"]))
    if form == "pads":
        attributes["pads"] = _ints(random, 2 * axes, 0, 1)
        attributes["output_padding"] = [_int(random, 0, step - 1) for step in strides]
    elif form == "output_shape":
        full = [s * (n - 1) + d * (k - 1) + 1 for s, n, d, k in zip(strides, size[2:], dilations, kernel, strict=True)]
        attributes["output_shape"] = [max(1, whole - _int(random, 0, 3)) for whole in full]
    else:
        attributes |= {"auto_pad": form, "dilations": [1] * axes}
        kernel = [max(k, s) for k, s in zip(kernel, strides, strict=True)]
    bias = _weight(random, group * made) if random.integers(2) else None
    return model("ConvTranspose", [tuple(size)], [_weight(random, group * given, made, *kernel), bias], **attributes)


def gemm(random: Random) -> bytes:
    m, k, n = _ints(random, 3, 1, 7)
    turned, column = _int(random, 0, 1), _int(random, 0, 1)
    addend = [None, _weight(random, n), _weight(random, 1, n), _weight(random, m, n), _weight(random, m, 1)]
    weight = _weight(random, *((n, k) if turned else (k, n)))
    x = (k, m) if column else (m, k)
    chosen = addend[_int(random, 0, 4)]
    return model("Gemm", [x], [weight, chosen], transA=column, transB=turned, alpha=0.75, beta=1.5)


def matmul(random: Random) -> bytes:
    m, k, n = _ints(random, 3, 1, 7)
    lead = tuple(_ints(random, _int(random, 0, 2), 1, 3))
    if random.integers(2):
        return model("MatMul", [(*lead, m, k)], [_weight(random, k, n)])
    second = (k, n) if random.integers(2) else (*lead, k, n)
    return model("MatMul", [(*lead, m, k), second], [])


def pool(kind: str) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        axes = _int(random, 1, 2)
        kernel, attributes = _window(random, axes)
        del attributes["dilations"]
        kernel = [size + 1 for size in kernel]
        if "pads" in attributes:
            sides = zip(attributes["pads"], [*kernel, *kernel], strict=True)
            attributes["pads"] = [min(pad, size - 1) for pad, size in sides]
            attributes["ceil_mode"] = _int(random, 0, 1)
        if kind == "AveragePool":
            attributes["count_include_pad"] = _int(random, 0, 1)
        size = (1, _int(random, 1, 5), *_ints(random, axes, 6, 10))
        return model(kind, [size], [], kernel_shape=kernel, **attributes)

    return make


def gather(random: Random) -> bytes:
    shape = (1, *_ints(random, 3, 2, 6))
    axis = _int(random, 1, 3)
    form = [(), (1,), (4,), (2, 2)][_int(random, 0, 3)]
    indices = np.asarray(random.integers(-shape[axis], shape[axis], form), np.int64)
    return model("Gather", [shape], [indices], axis=axis - 4 if random.integers(2) else axis)


def depth_to_space(random: Random) -> bytes:
    block, channels, height, width = _ints(random, 4, 2, 4)
    mode = str(random.choice(["DCR", "CRD"]))
    return model("DepthToSpace", [(1, channels * block * block, height, width)], [], blocksize=block, mode=mode)


def space_to_depth(random: Random) -> bytes:
    block, channels, height, width = _ints(random, 4, 2, 4)
    return model("SpaceToDepth", [(1, channels, height * block, width * block)], [], blocksize=block)


def tile(random: Random) -> bytes:
    shape = (1, *_ints(random, 3, 1, 4))
    return model("Tile", [shape], [np.array([1, *_ints(random, 3, 1, 3)], np.int64)])


def expand(random: Random) -> bytes:
    target = [1, *_ints(random, 3, 2, 4)]
    shape = tuple(size if random.integers(2) else 1 for size in target)
    return model("Expand", [shape], [np.array(target, np.int64)])


def pad(random: Random) -> bytes:
    shape = (1, *_ints(random, 3, 4, 7))
    mode = str(random.choice(["constant", "reflect", "edge", "wrap"]))
    low = -1 if mode in ("constant", "edge") else 0
    axes = [2, 3] if random.integers(2) else [3, -3]
    pads = np.array(_ints(random, 4, low, 2), np.int64)
    value = np.array(0.5, np.float32) if mode == "constant" and random.integers(2) else None
    return model("Pad", [shape], [pads, value, np.array(axes, np.int64)], mode=mode)


def slice_(random: Random) -> bytes:
    shape = (1, *_ints(random, 3, 4, 7))
    axis = _int(random, 1, 3)
    step = int(random.choice([-2, -1, 1, 2]))
    first, last = sorted(_ints(random, 2, 0, shape[axis] - 1))
    limits = (first, last + 1) if step > 0 else (last, first - 1 if first else -(2**31))
    arrays = [np.array([value], np.int64) for value in (*limits, axis, step)]
    return model("Slice", [shape], arrays)


def resize(random: Random) -> bytes:
    shape = (1, *_ints(random, 3, 2, 7))
    mode = str(random.choice(["nearest", "linear"]))
    coordinates = str(random.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]))
    sizes = np.array([*shape[:2], *_ints(random, 2, 2, 14)], np.int64)
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        roundings = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
        attributes["nearest_mode"] = str(random.choice(roundings))
    return model("Resize", [shape], [None, None, sizes], **attributes)


MAKERS: Mapping[str, Callable[[Random], bytes]] = {
    "Conv": conv,
    "ConvTranspose": conv_transpose,
    "Gemm": gemm,
    "MatMul": matmul,
    "AveragePool": pool("AveragePool"),
    "MaxPool": pool("MaxPool"),
    "Gather": gather,
    "DepthToSpace": depth_to_space,
    "SpaceToDepth": space_to_depth,
    "Tile": tile,
    "Expand": expand,
    "Pad": pad,
    "Slice": slice_,
    "Resize": resize,
}
