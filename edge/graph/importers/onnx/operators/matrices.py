"""Gemm and MatMul: with a constant weight a Gemm, of two activations a MatMul."""

import numpy as np

from edge.graph.graph import Quantization, Tensor
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical

ADD = {"activation": "none"}


def gemm(importer: Importer, node: Node) -> None:
    """Gemm: transposed operands, alpha and beta are worked into constants; a C that is not one row is added after."""
    x, weight = importer.tensor(node.input(0)), importer.tensor(node.input(1))
    alpha, beta = (np.float32(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    if not np.isfinite(alpha) or not np.isfinite(beta) or len(x.shape) != 2 or len(weight.shape) != 2:
        raise NotCanonical("operands that are not matrices, or factors that are not finite")
    if x.data is not None:
        raise NotCanonical("a constant first operand; swap the operands, or use MatMul")
    if node.attributes.get("transA", 0):
        x = _transposed_activation(importer, node, x)
    columns = weight.shape[0] if node.attributes.get("transB", 0) else weight.shape[1]
    addend = importer.tensor(node.input(2)) if node.input(2) and beta != 0 else None
    row = _row(importer, addend, columns, beta) if addend is not None else ""
    after = addend is not None and not row
    inputs: tuple[str, ...]
    if weight.data is None:
        turned = _transposed_activation(importer, node, weight) if node.attributes.get("transB", 0) else weight
        kind, inputs, attributes = "MatMul", (x.name, turned.name), {}
        after, row = addend is not None, ""
        scale_after = alpha != 1
    else:
        stored = weight if node.attributes.get("transB", 0) else transposed(importer, weight)
        stored = scaled(importer, stored, alpha) if alpha != 1 else stored
        kind, inputs, attributes, scale_after = "Gemm", (x.name, stored.name, row), ADD, False
    if not after and not scale_after:
        importer.emit(kind, node, inputs, attributes)
        return
    shape = (x.shape[0], columns)
    made = importer.step(kind, node, inputs, attributes, shape, dtype=x.dtype)
    if scale_after:
        factor = importer.add_constant(f"{node.outputs[0]}/alpha", np.array(alpha, np.float32), fresh=True)
        if not after:
            importer.emit("Mul", node, (made, factor), ADD)
            return
        made = importer.step("Mul", node, (made, factor), ADD, shape, dtype=x.dtype)
    assert addend is not None
    importer.emit("Add", node, (made, _times(importer, node, addend, beta)), ADD)


def _times(importer: Importer, node: Node, addend: Tensor, beta: np.float32) -> str:
    """beta times C, which broadcasts to the product."""
    if beta == 1:
        return addend.name
    if addend.data is not None:
        return scaled(importer, addend, beta).name
    factor = importer.add_constant(f"{node.outputs[0]}/beta", np.array(beta, np.float32), fresh=True)
    return importer.step("Mul", node, (addend.name, factor), ADD, addend.shape, dtype=addend.dtype)


def matmul(importer: Importer, node: Node) -> None:
    """MatMul: with a constant matrix a Gemm over the last axis, else a MatMul; vectors become matrices by Reshapes."""
    first, second = importer.tensor(node.input(0)), importer.tensor(node.input(1))
    output = node.outputs[0]
    shape = importer.types[output][1] if output in importer.types else None
    if shape is None or not first.shape or not second.shape:
        raise NotCanonical("operands of unknown shape")
    vectors = (len(first.shape) == 1, len(second.shape) == 1)
    left = _matrix(importer, node, first, (1, *first.shape)) if vectors[0] else first
    right = _matrix(importer, node, second, (*second.shape, 1)) if vectors[1] else second
    if right.data is not None and len(right.shape) == 2 and left.data is None:
        kind, attributes = "Gemm", ADD
        inputs: tuple[str, ...] = (left.name, transposed(importer, right).name, "")
    else:
        kind, attributes, inputs = "MatMul", {}, (left.name, right.name)
    if not any(vectors):
        importer.emit(kind, node, inputs, attributes)
        return
    full = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    made = importer.step(kind, node, inputs, attributes, full, dtype=first.dtype)
    importer.emit("Reshape", node, (made,), {"shape": shape})


def _matrix(importer: Importer, node: Node, vector: Tensor, shape: tuple[int, ...]) -> Tensor:
    if vector.data is None:
        return importer.tensor(
            importer.step("Reshape", node, (vector.name,), {"shape": shape}, shape, dtype=vector.dtype)
        )
    if vector.quantization is not None and vector.quantization.axis is not None:
        raise NotCanonical("a vector quantized along its axis")
    name = importer.add_constant(f"{vector.name}/matrix", vector.data.reshape(shape), vector.quantization, fresh=True)
    return importer.tensors[name]


def _transposed_activation(importer: Importer, node: Node, x: Tensor) -> Tensor:
    return importer.tensor(importer.step("Transpose", node, (x.name,), {"perm": (1, 0)}, x.shape[::-1], dtype=x.dtype))


def transposed(importer: Importer, weight: Tensor) -> Tensor:
    """A rank-2 constant transposed, its quantization axis with it."""
    assert weight.data is not None
    if len(weight.shape) != 2:
        raise NotCanonical(f"weight of shape {weight.shape}")
    quantization = weight.quantization
    if quantization is not None and quantization.axis is not None:
        quantization = Quantization(
            scale=quantization.scale, zero_point=quantization.zero_point, axis=1 - quantization.axis
        )
    importer.reserve(weight.shape, weight.data.dtype.itemsize)
    name = weight.name.removesuffix("/transposed")
    name = name if name != weight.name else f"{weight.name}/transposed"
    return importer.tensors[importer.add_constant(name, weight.data.T.copy(), quantization, fresh=True)]


def scaled(importer: Importer, constant: Tensor, factor: np.float32) -> Tensor:
    """A constant times a factor; of integers the scale is multiplied. Refuses (NotCanonical) to turn their sign."""
    assert constant.data is not None
    quantization = constant.quantization
    name = f"{constant.name}/scaled"
    if quantization is None:
        if constant.dtype != "float32":
            raise NotCanonical(f"alpha or beta over {constant.dtype}")
        importer.reserve(constant.shape, 4)
        with np.errstate(over="ignore"):
            return importer.tensors[importer.add_constant(name, constant.data * factor, fresh=True)]
    if factor <= 0:
        raise NotCanonical("alpha or beta that is not positive over a quantized constant")
    scale = (quantization.scale * factor).astype(np.float32)
    stretched = Quantization(scale=scale, zero_point=quantization.zero_point, axis=quantization.axis)
    return importer.tensors[importer.add_constant(name, constant.data, stretched, fresh=True)]


def _row(importer: Importer, addend: Tensor, columns: int, beta: np.float32) -> str:
    """beta times a constant that is the same for every row, as (columns,); '' for any other."""
    if addend.data is None or addend.shape not in ((), (1,), (1, 1), (columns,), (1, columns)):
        return ""
    constant = scaled(importer, addend, beta) if beta != 1 else addend
    if constant.shape == (columns,):
        return constant.name
    assert constant.data is not None
    if constant.quantization is not None and constant.quantization.axis is not None:
        raise NotCanonical("a bias quantized along an axis that is broadcast")
    row = np.broadcast_to(constant.data.reshape(-1), (columns,)).copy()
    return importer.add_constant(f"{addend.name}/row", row, constant.quantization, fresh=True)
