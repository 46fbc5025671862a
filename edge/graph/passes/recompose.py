"""Sums and resizes of integers that an ONNX file spells out in float64, put back as the one operator they compute.

`converters.onnxruntime.sum` and `converters.onnxruntime.resize` write them so, because ONNX Runtime's own integer
kernels round otherwise than the devices do. Nothing is believed: a group of nodes is put back only if its constants are
the ones that the operator's parameters give.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper

from edge.errors import EdgeError
from edge.graph.graph import Quantization
from edge.graph.ops.fixed_point_sum import sum_multipliers
from edge.graph.passes.rewrite import fresh_name
from edge.vision.bilinear import bilinear_matrix

HALF = 0.5
LIMITS = (0.0, 255.0)
COORDINATES = ("half_pixel", "asymmetric", "align_corners")
MAX_MATRIX_SIZE = 1 << 14
Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class SumConstants:
    """q = floor(clamp(weights[0] * a + weights[1] * b + offset, 0, 255)) over uint8 a and b; exact in float64."""

    weights: tuple[float, float]
    offset: float


def sum_constants(kind: str, first: Quantization, second: Quantization, output: Quantization) -> SumConstants | None:
    """The constants of an Add or Sub of uint8 tensors; None where XNNPACK does not take it (see `sum_multipliers`)."""
    found = sum_multipliers([first.scale[0], second.scale[0]], output.scale[0])
    if found is None:
        return None
    (one, two), shift = found
    weights = (one * 2.0**-shift, (-two if kind == "Sub" else two) * 2.0**-shift)
    zeros = weights[0] * int(first.zero_point[0]) + weights[1] * int(second.zero_point[0])
    return SumConstants(weights=weights, offset=HALF + int(output.zero_point[0]) - zeros)


@dataclass(frozen=True, kw_only=True)
class _File:
    """Lookups in one file."""

    makers: Mapping[str, NodeProto]
    constants: Mapping[str, TensorProto]
    parameters: Mapping[str, tuple[str, str]]

    def fresh(self, base: str) -> str:
        """A name that the file does not have."""
        return fresh_name(base, {*self.makers, *self.constants})

    def maker(self, name: str, kind: str) -> NodeProto | None:
        """The node of this kind that makes a tensor."""
        node = self.makers.get(name)
        return node if node is not None and node.op_type == kind and node.domain in ("", "ai.onnx") else None

    def values(self, name: str, data_type: int, rank: int) -> npt.NDArray[np.float64] | None:
        """A small constant of this type and rank, as float64."""
        constant = self.constants.get(name)
        if constant is None or constant.data_type != data_type or len(constant.dims) != rank:
            return None
        if any(not 0 < size <= MAX_MATRIX_SIZE for size in constant.dims):
            return None
        try:
            return np.asarray(onnx.numpy_helper.to_array(constant), np.float64)
        except (ValueError, TypeError):
            return None

    def quantization(self, name: str) -> Quantization | None:
        """Per-tensor uint8 parameters, where a QuantizeLinear or DequantizeLinear of the tensor says them."""
        scale, zero_point = self.parameters.get(name, ("", ""))
        steps = self.values(scale, TensorProto.FLOAT, 0)
        zeros = self.values(zero_point, TensorProto.UINT8, 0)
        if steps is None or zeros is None:
            return None
        try:
            return Quantization(scale=steps.astype(np.float32), zero_point=zeros.astype(np.int64))
        except EdgeError:
            return None


def recompose(model: ModelProto) -> list[NodeProto]:
    """The model's nodes with every spelled-out sum and resize as Dequantize, operator, Quantize or as a Resize.

    Nodes that served only those are dropped. The model itself is left as it is.
    """
    nodes = list(model.graph.node)
    file = _File(
        makers={name: node for node in nodes for name in node.output},
        constants={constant.name: constant for constant in model.graph.initializer},
        parameters=dict(_said_parameters(nodes)),
    )
    replaced: dict[int, list[NodeProto]] = {}
    for index, node in enumerate(nodes):
        for restore in RESTORERS.get(node.op_type, ()):
            found = restore(file, node)
            if found:
                replaced[index] = found
                break
    if not replaced:
        return nodes
    result = [entry for index, node in enumerate(nodes) for entry in replaced.get(index, [node])]
    return _needed(result, [output.name for output in model.graph.output])


def _said_parameters(nodes: Sequence[NodeProto]) -> Iterator[tuple[str, tuple[str, str]]]:
    for node in nodes:
        if node.op_type == "DequantizeLinear" and len(node.input) == 3:
            yield node.input[0], (node.input[1], node.input[2])
        elif node.op_type == "QuantizeLinear" and len(node.input) == 3 and node.output:
            yield node.output[0], (node.input[1], node.input[2])


def _needed(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> list[NodeProto]:
    needed = set(outputs)
    kept = []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    return kept[::-1]


def _is_cast(node: NodeProto | None, to: int) -> bool:
    return node is not None and len(node.input) == 1 and any(a.name == "to" and a.i == to for a in node.attribute)


def _weighted(file: _File, name: str) -> tuple[str, float] | None:
    """Tensor and weight of Mul(Cast(tensor), weight)."""
    product = file.maker(name, "Mul")
    weight = (
        None if product is None or len(product.input) != 2 else file.values(product.input[1], TensorProto.DOUBLE, 0)
    )
    cast = None if product is None else file.maker(product.input[0], "Cast")
    if weight is None or cast is None or not _is_cast(cast, TensorProto.DOUBLE):
        return None
    return cast.input[0], float(weight)


def _sum(file: _File, last: NodeProto) -> list[NodeProto]:
    """Cast(Clip(Add(Add(Mul(Cast(a), m), Mul(Cast(b), n)), offset), 0, 255)) with the constants of an Add or Sub."""
    clamp = file.maker(last.input[0], "Clip") if _is_cast(last, TensorProto.UINT8) else None
    if clamp is None or len(clamp.input) != 3:
        return []
    low, high = (file.values(name, TensorProto.DOUBLE, 0) for name in clamp.input[1:])
    half_up = file.maker(clamp.input[0], "Add")
    total = None if half_up is None or len(half_up.input) != 2 else file.maker(half_up.input[0], "Add")
    if low is None or high is None or (float(low), float(high)) != LIMITS:
        return []
    if half_up is None or total is None or len(total.input) != 2:
        return []
    offset = file.values(half_up.input[1], TensorProto.DOUBLE, 0)
    parts = [_weighted(file, name) for name in total.input]
    first, second = parts
    if first is None or second is None or offset is None:
        return []
    names = (first[0], second[0], last.output[0])
    quantizations = [file.quantization(name) for name in names]
    one, two, output = quantizations
    if one is None or two is None or output is None:
        return []
    found = SumConstants(weights=(first[1], second[1]), offset=float(offset))
    kind = next((kind for kind in ("Add", "Sub") if sum_constants(kind, one, two, output) == found), None)
    return [] if kind is None else _quantized_node(file, kind, total.name, names)


def _quantized_node(file: _File, kind: str, node_name: str, names: tuple[str, str, str]) -> list[NodeProto]:
    *sources, target = names
    nodes = []
    reals = []
    for index, name in enumerate(sources):
        real = file.fresh(f"{target}/restored_{index}")
        nodes.append(helper.make_node("DequantizeLinear", [name, *file.parameters[name]], [real], f"{real}/dequantize"))
        reals.append(real)
    made = file.fresh(f"{target}/restored")
    nodes.append(helper.make_node(kind, reals, [made], node_name))
    quantize = [made, *file.parameters[target]]
    return [*nodes, helper.make_node("QuantizeLinear", quantize, [target], f"{target}/quantize")]


def _resize(file: _File, last: NodeProto) -> list[NodeProto]:
    """Reshape(Cast(Gemm(Reshape(Cast(MatMul(height, Cast(x)))), width, 0.5))) with a bilinear resize's matrices."""
    truncate = file.maker(last.input[0], "Cast") if len(last.input) == 2 else None
    gemm = file.maker(truncate.input[0], "Gemm") if truncate and _is_cast(truncate, TensorProto.UINT8) else None
    if gemm is None or len(gemm.input) != 3 or gemm.attribute:
        return []
    flat = file.maker(gemm.input[0], "Reshape")
    widen = file.maker(flat.input[0], "Cast") if flat and len(flat.input) == 2 else None
    tall = file.maker(widen.input[0], "MatMul") if widen and _is_cast(widen, TensorProto.DOUBLE) else None
    cast = file.maker(tall.input[1], "Cast") if tall and len(tall.input) == 2 else None
    half = file.values(gemm.input[2], TensorProto.DOUBLE, 1)
    if tall is None or cast is None or not _is_cast(cast, TensorProto.FLOAT) or half is None or half.tolist() != [HALF]:
        return []
    height = file.values(tall.input[0], TensorProto.FLOAT, 2)
    width = file.values(gemm.input[1], TensorProto.DOUBLE, 2)
    if height is None or width is None:
        return []
    for coordinates in COORDINATES:
        rows = bilinear_matrix(height.shape[1], height.shape[0], coordinates)
        columns = bilinear_matrix(width.shape[0], width.shape[1], coordinates)
        if np.array_equal(rows, height) and np.array_equal(columns.T, width):
            inputs = [cast.input[0], "", "", last.input[1]]
            attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
            return [helper.make_node("Resize", inputs, list(last.output), tall.name, **attributes)]
    return []


# type of a group's last node -> what recognizes the group
RESTORERS: Mapping[str, tuple[Callable[[_File, NodeProto], list[NodeProto]], ...]] = {
    "Cast": (_sum,),
    "Reshape": (_resize,),
}
