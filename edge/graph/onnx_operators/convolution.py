"""Conv, Gemm, MatMul and BatchNormalization."""

import numpy as np

from edge.graph.graph import Quantization, Tensor
from edge.graph.onnx_draft import Draft, Node, NotCanonical


def conv(draft: Draft, node: Node) -> None:
    """2-D Conv with a constant weight; `auto_pad` becomes explicit pads."""
    x = draft.tensor(node.input(0))
    weight = draft.required_constant(node.input(1))
    if len(x.shape) != 4 or len(weight.shape) != 4:
        raise NotCanonical("not a 2-D convolution")
    bias = _bias(draft, node.input(2), weight.shape[0])
    kernel = (weight.shape[2], weight.shape[3])
    if tuple(node.attributes.get("kernel_shape", kernel)) != kernel:
        raise NotCanonical("kernel_shape is not the weight's")
    strides = pair(node, "strides")
    dilations = pair(node, "dilations")
    attributes = {
        "strides": strides,
        "pads": explicit_pads(node, (x.shape[2], x.shape[3]), kernel, strides, dilations),
        "dilations": dilations,
        "group": int(node.attributes.get("group", 1)),
        "activation": "none",
    }
    draft.emit("Conv", node, (x.name, weight.name, bias), attributes)


def pair(node: Node, name: str) -> tuple[int, int]:
    """A two-value attribute, (1, 1) where absent."""
    values = tuple(int(value) for value in node.attributes.get(name, (1, 1)))
    if len(values) != 2 or min(values) < 1:
        raise NotCanonical(f"{name} {values}")
    return values[0], values[1]


def explicit_pads(
    node: Node, size_hw: tuple[int, int], kernel: tuple[int, int], strides: tuple[int, int], dilations: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Padding (top, left, bottom, right) from `pads` or `auto_pad` (ONNX operator set, Conv)."""
    mode = node.attributes.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = tuple(int(value) for value in node.attributes.get("pads", (0, 0, 0, 0)))
        if len(pads) != 4 or min(pads) < 0:
            raise NotCanonical(f"pads {pads}")
        return pads[0], pads[1], pads[2], pads[3]
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise NotCanonical(f"auto_pad {mode}")
    sides = []
    for size, window, stride, dilation in zip(size_hw, kernel, strides, dilations, strict=True):
        total = max(0, (-(-size // stride) - 1) * stride + (window - 1) * dilation + 1 - size)
        smaller = total // 2
        sides.append((smaller, total - smaller) if mode == "SAME_UPPER" else (total - smaller, smaller))
    return sides[0][0], sides[1][0], sides[0][1], sides[1][1]


def _bias(draft: Draft, name: str, channels: int) -> str:
    if not name:
        return ""
    bias = draft.required_constant(name)
    if bias.shape != (channels,):
        raise NotCanonical(f"bias of shape {bias.shape}")
    return bias.name


def gemm(draft: Draft, node: Node) -> None:
    """Gemm of an activation with a constant: transB, alpha and beta are worked into the constants."""
    x = draft.tensor(node.input(0))
    if node.attributes.get("transA", 0) or len(x.shape) != 2:
        raise NotCanonical("transposed input")
    weight = draft.required_constant(node.input(1))
    alpha = np.float32(node.attributes.get("alpha", 1.0))
    beta = np.float32(node.attributes.get("beta", 1.0))
    if not np.isfinite(alpha) or not np.isfinite(beta):
        raise NotCanonical("alpha or beta is not finite")
    if not node.attributes.get("transB", 0):
        weight = transposed(draft, weight)
    if alpha != 1:
        weight = _scaled(draft, weight, alpha)
    bias = ""
    if node.input(2):
        given = draft.required_constant(node.input(2))
        bias = _row(draft, given, weight.shape[0])
        if beta != 1:
            bias = _scaled(draft, draft.tensor(bias), beta).name
    draft.emit("Gemm", node, (x.name, weight.name, bias), {"activation": "none"})


def matmul(draft: Draft, node: Node) -> None:
    """MatMul of a rank-2 activation with a rank-2 constant is a Gemm without bias."""
    x = draft.tensor(node.input(0))
    weight = draft.required_constant(node.input(1))
    if len(x.shape) != 2 or len(weight.shape) != 2:
        raise NotCanonical("not of rank 2")
    draft.emit("Gemm", node, (x.name, transposed(draft, weight).name, ""), {"activation": "none"})


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
    name = draft.add_constant(f"{weight.name}/transposed", weight.data.T.copy(), quantization, fresh=True)
    return draft.tensors[name]


def _scaled(draft: Draft, constant: Tensor, factor: np.float32) -> Tensor:
    """A float constant times a factor. Refuses (NotCanonical) integers, whose scale the trained model fixed."""
    assert constant.data is not None
    if constant.dtype != "float32":
        raise NotCanonical("alpha or beta over a quantized constant")
    draft.reserve(constant.shape, 4)
    with np.errstate(over="ignore"):
        scaled = constant.data * factor
    return draft.tensors[draft.add_constant(f"{constant.name}/scaled", scaled, fresh=True)]


def _row(draft: Draft, constant: Tensor, columns: int) -> str:
    """A constant that broadcasts to (rows, columns) identically for every row, as (columns,)."""
    assert constant.data is not None
    if constant.shape == (columns,):
        return constant.name
    if constant.shape not in ((), (1,), (1, 1), (1, columns)):
        raise NotCanonical(f"bias of shape {constant.shape}")
    if constant.quantization is not None and constant.quantization.axis is not None:
        raise NotCanonical("a bias quantized along an axis that is broadcast")
    row = np.broadcast_to(constant.data.reshape(-1), (columns,)).copy()
    return draft.add_constant(f"{constant.name}/row", row, constant.quantization, fresh=True)


def batch_normalization(draft: Draft, node: Node) -> None:
    """Inference batch normalization with constant statistics."""
    if node.attributes.get("training_mode", 0) or len(node.outputs) > 1:
        raise NotCanonical("training mode")
    x = draft.tensor(node.input(0))
    channels = x.shape[1] if len(x.shape) > 1 else 0
    names = [draft.required_constant(node.input(index)) for index in range(1, 5)]
    if any(constant.shape != (channels,) for constant in names):
        raise NotCanonical("statistics of another size than the channels")
    attributes = {"epsilon": float(node.attributes.get("epsilon", 1e-5))}
    draft.emit("BatchNorm", node, (x.name, *(constant.name for constant in names)), attributes)
