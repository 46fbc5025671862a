"""Gemm and MatMul: with a constant weight a Gemm, of two activations a MatMul."""

import numpy as np

from edge.graph.graph import Quantization, Tensor
from edge.graph.importers.onnx.parsing.draft import Draft, Node, NotCanonical

ADD = {"activation": "none"}


def gemm(draft: Draft, node: Node) -> None:
    """Gemm: transposed operands, alpha and beta are worked into constants; a C that is not one row is added after."""
    x, weight = draft.tensor(node.input(0)), draft.tensor(node.input(1))
    alpha, beta = (np.float32(node.attributes.get(name, 1.0)) for name in ("alpha", "beta"))
    if not np.isfinite(alpha) or not np.isfinite(beta) or len(x.shape) != 2 or len(weight.shape) != 2:
        raise NotCanonical("operands that are not matrices, or factors that are not finite")
    if x.data is not None:
        raise NotCanonical("a constant first operand; swap the operands, or use MatMul")
    if node.attributes.get("transA", 0):
        x = _transposed_activation(draft, node, x)
    columns = weight.shape[0] if node.attributes.get("transB", 0) else weight.shape[1]
    addend = draft.tensor(node.input(2)) if node.input(2) and beta != 0 else None
    row = _row(draft, addend, columns, beta) if addend is not None else ""
    after = addend is not None and not row
    inputs: tuple[str, ...]
    if weight.data is None:
        turned = _transposed_activation(draft, node, weight) if node.attributes.get("transB", 0) else weight
        kind, inputs, attributes = "MatMul", (x.name, turned.name), {}
        after, row = addend is not None, ""
        scale_after = alpha != 1
    else:
        stored = weight if node.attributes.get("transB", 0) else transposed(draft, weight)
        stored = scaled(draft, stored, alpha) if alpha != 1 else stored
        kind, inputs, attributes, scale_after = "Gemm", (x.name, stored.name, row), ADD, False
    if not after and not scale_after:
        draft.emit(kind, node, inputs, attributes)
        return
    shape = (x.shape[0], columns)
    made = draft.step(kind, node, inputs, attributes, shape, dtype=x.dtype)
    if scale_after:
        factor = draft.add_constant(f"{node.outputs[0]}/alpha", np.array(alpha, np.float32), fresh=True)
        if not after:
            draft.emit("Mul", node, (made, factor), ADD)
            return
        made = draft.step("Mul", node, (made, factor), ADD, shape, dtype=x.dtype)
    assert addend is not None
    draft.emit("Add", node, (made, _times(draft, node, addend, beta)), ADD)


def _times(draft: Draft, node: Node, addend: Tensor, beta: np.float32) -> str:
    """beta times C, which broadcasts to the product."""
    if beta == 1:
        return addend.name
    if addend.data is not None:
        return scaled(draft, addend, beta).name
    factor = draft.add_constant(f"{node.outputs[0]}/beta", np.array(beta, np.float32), fresh=True)
    return draft.step("Mul", node, (addend.name, factor), ADD, addend.shape, dtype=addend.dtype)


def matmul(draft: Draft, node: Node) -> None:
    """MatMul: with a constant matrix a Gemm over the last axis, else a MatMul; vectors become matrices by Reshapes."""
    first, second = draft.tensor(node.input(0)), draft.tensor(node.input(1))
    output = node.outputs[0]
    shape = draft.types[output][1] if output in draft.types else None
    if shape is None or not first.shape or not second.shape:
        raise NotCanonical("operands of unknown shape")
    vectors = (len(first.shape) == 1, len(second.shape) == 1)
    left = _matrix(draft, node, first, (1, *first.shape)) if vectors[0] else first
    right = _matrix(draft, node, second, (*second.shape, 1)) if vectors[1] else second
    if right.data is not None and len(right.shape) == 2 and left.data is None:
        kind, attributes = "Gemm", ADD
        inputs: tuple[str, ...] = (left.name, transposed(draft, right).name, "")
    else:
        kind, attributes, inputs = "MatMul", {}, (left.name, right.name)
    if not any(vectors):
        draft.emit(kind, node, inputs, attributes)
        return
    full = (*np.broadcast_shapes(left.shape[:-2], right.shape[:-2]), left.shape[-2], right.shape[-1])
    made = draft.step(kind, node, inputs, attributes, full, dtype=first.dtype)
    draft.emit("Reshape", node, (made,), {"shape": shape})


def _matrix(draft: Draft, node: Node, vector: Tensor, shape: tuple[int, ...]) -> Tensor:
    if vector.data is None:
        return draft.tensor(draft.step("Reshape", node, (vector.name,), {"shape": shape}, shape, dtype=vector.dtype))
    if vector.quantization is not None and vector.quantization.axis is not None:
        raise NotCanonical("a vector quantized along its axis")
    name = draft.add_constant(f"{vector.name}/matrix", vector.data.reshape(shape), vector.quantization, fresh=True)
    return draft.tensors[name]


def _transposed_activation(draft: Draft, node: Node, x: Tensor) -> Tensor:
    return draft.tensor(draft.step("Transpose", node, (x.name,), {"perm": (1, 0)}, x.shape[::-1], dtype=x.dtype))


def transposed(draft: Draft, weight: Tensor) -> Tensor:
    """A rank-2 constant transposed, its quantization axis with it."""
    assert weight.data is not None
    if len(weight.shape) != 2:
        raise NotCanonical(f"weight of shape {weight.shape}")
    quantization = weight.quantization
    if quantization is not None and quantization.axis is not None:
        quantization = Quantization(
            scale=quantization.scale, zero_point=quantization.zero_point, axis=1 - quantization.axis
        )
    draft.reserve(weight.shape, weight.data.dtype.itemsize)
    name = weight.name.removesuffix("/transposed")
    name = name if name != weight.name else f"{weight.name}/transposed"
    return draft.tensors[draft.add_constant(name, weight.data.T.copy(), quantization, fresh=True)]


def scaled(draft: Draft, constant: Tensor, factor: np.float32) -> Tensor:
    """A constant times a factor; of integers the scale is multiplied. Refuses (NotCanonical) to turn their sign."""
    assert constant.data is not None
    quantization = constant.quantization
    name = f"{constant.name}/scaled"
    if quantization is None:
        if constant.dtype != "float32":
            raise NotCanonical(f"alpha or beta over {constant.dtype}")
        draft.reserve(constant.shape, 4)
        with np.errstate(over="ignore"):
            return draft.tensors[draft.add_constant(name, constant.data * factor, fresh=True)]
    if factor <= 0:
        raise NotCanonical("alpha or beta that is not positive over a quantized constant")
    scale = (quantization.scale * factor).astype(np.float32)
    stretched = Quantization(scale=scale, zero_point=quantization.zero_point, axis=quantization.axis)
    return draft.tensors[draft.add_constant(name, constant.data, stretched, fresh=True)]


def _row(draft: Draft, addend: Tensor, columns: int, beta: np.float32) -> str:
    """beta times a constant that is the same for every row, as (columns,); '' for any other."""
    if addend.data is None or addend.shape not in ((), (1,), (1, 1), (columns,), (1, columns)):
        return ""
    constant = scaled(draft, addend, beta) if beta != 1 else addend
    if constant.shape == (columns,):
        return constant.name
    assert constant.data is not None
    if constant.quantization is not None and constant.quantization.axis is not None:
        raise NotCanonical("a bias quantized along an axis that is broadcast")
    row = np.broadcast_to(constant.data.reshape(-1), (columns,)).copy()
    return draft.add_constant(f"{addend.name}/row", row, constant.quantization, fresh=True)
