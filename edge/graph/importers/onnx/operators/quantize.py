"""QuantizeLinear and DequantizeLinear: parameters become part of the tensors."""

import numpy as np

from edge.errors import EdgeError, ModelFileError
from edge.graph.graph import Quantization, Tensor
from edge.graph.importers.onnx.operators.elementwise import axis_of
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.passes.rewrite import broadcast_parameters, real_values

INTEGER_TYPES = frozenset({"int8", "uint8", "int16", "uint16", "int32"})


def quantize(importer: Importer, node: Node) -> None:
    """QuantizeLinear: its output tensor carries the parameters; over a constant it is computed here."""
    x = importer.tensor(node.input(0))
    zero_point = importer.required_constant(node.input(2)) if node.input(2) else None
    dtype = zero_point.dtype if zero_point is not None else "uint8"
    quantization = parameters(importer, node, x, zero_point)
    if dtype not in INTEGER_TYPES:
        raise ModelFileError(importer.label, f"node '{node.name}' quantizes to {dtype}, not supported")
    if x.data is not None:
        importer.reserve(x.shape, 8)
        scale, offset = broadcast_parameters(quantization, x.shape)
        limits = np.iinfo(dtype)
        integers = np.clip(np.rint(real_values(x) / scale) + offset, limits.min, limits.max).astype(dtype)
        importer.add_constant(node.outputs[0], integers, quantization)
        return
    importer.emit("Quantize", node, (x.name,), {})
    importer.set_quantization(node.outputs[0], quantization)


def dequantize(importer: Importer, node: Node) -> None:
    """DequantizeLinear: over a constant it vanishes and the constant carries the parameters."""
    x = importer.tensor(node.input(0))
    if x.dtype not in INTEGER_TYPES:
        raise ModelFileError(importer.label, f"node '{node.name}' dequantizes {x.dtype}, not supported")
    zero_point = importer.required_constant(node.input(2)) if node.input(2) else None
    quantization = parameters(importer, node, x, zero_point)
    if x.data is None:
        importer.set_quantization(x.name, quantization)
        importer.emit("Dequantize", node, (x.name,), {})
        return
    if x.quantization is None:
        importer.tensors[x.name] = Tensor(
            name=x.name, shape=x.shape, dtype=x.dtype, data=x.data, quantization=quantization
        )
        importer.alias(node.outputs[0], x.name)
    elif x.quantization.same_as(quantization):
        importer.alias(node.outputs[0], x.name)
    else:
        importer.add_constant(node.outputs[0], x.data, quantization)


def parameters(importer: Importer, node: Node, x: Tensor, zero_point: Tensor | None) -> Quantization:
    """The node's scale and zero point. Refuses (NotCanonical) computed or blocked ones."""
    scale = importer.required_constant(node.input(1)).data
    assert scale is not None
    if node.attributes.get("block_size", 0) or scale.ndim > 1 or scale.dtype.kind != "f":
        raise NotCanonical("blocked quantization")
    axis: int | None = None
    if scale.ndim == 1:
        given = int(node.attributes.get("axis", 1))
        place = axis_of(given, len(x.shape)) if scale.size > 1 or given < len(x.shape) else -1
        if place >= 0 and x.shape[place] == scale.size and (scale.size > 1 or x.data is not None):
            axis = place
        elif scale.size != 1:
            raise ModelFileError(importer.label, f"node '{node.name}' has {scale.size} scales for shape {x.shape}")
    offsets = np.zeros(scale.size, np.int64)
    if zero_point is not None and zero_point.data is not None:
        if zero_point.data.size != scale.size:
            raise ModelFileError(importer.label, f"node '{node.name}' has a zero point of another size than its scale")
        offsets = zero_point.data.astype(np.int64).reshape(-1)
    try:
        return Quantization(scale=scale.astype(np.float32), zero_point=offsets, axis=axis)
    except EdgeError as error:
        raise ModelFileError(importer.label, f"node '{node.name}': {error}") from error
