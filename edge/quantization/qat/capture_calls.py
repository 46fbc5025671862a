"""How each traced call becomes an operator: one table for modules, one for functions, one for tensor methods."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.models.blocks import SamePadConv2d
from edge.models.computed_convolution import ComputedConvolution
from edge.models.gct import Embedding, Gate
from edge.quantization.qat.graph_capture import GraphCapture, Ref
from edge.quantization.qat.layers import conv_pads

Rule = Callable[..., None]
LARGEST_NORM_EPS = 1e-6
"""Of `functional.normalize`: TFLite's kernel adds 1e-12 to the sum of squares at most."""


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple | list) else (int(value), int(value))


def _refuse(into: GraphCapture, node: fx.Node, why: str) -> UnsupportedError:
    return UnsupportedError(f"{into.name_of(node)}: {why}")


def _image(into: GraphCapture, node: fx.Node, input: Ref) -> tuple[int, ...]:
    """The shape of an input that must be (1, channels, height, width)."""
    shape = into.shape_of(input)
    if len(shape) != 4:
        raise _refuse(into, node, f"an input of shape {shape} has no operator here; (1, channels, h, w) is needed")
    return shape


def _layer(into: GraphCapture, node: fx.Node, module: nn.Conv2d | nn.Linear, input: Ref) -> None:
    users = list(node.users)
    norm_node = users[0] if len(users) == 1 and users[0].op == "call_module" else None
    norm = None if norm_node is None else into.module(norm_node)
    attributes: dict[str, Any] = {"activation": "none"}
    if isinstance(module, nn.Conv2d):
        if module.padding_mode != "zeros":
            raise _refuse(into, node, f"padding mode '{module.padding_mode}' has no operator; use zeros")
        shape = _image(into, node, input)
        attributes |= {
            "strides": _pair(module.stride),
            "pads": conv_pads(module, (shape[2], shape[3])),
            "dilations": _pair(module.dilation),
            "group": module.groups,
        }
    layer = (str(node.target), module)
    expected = nn.BatchNorm2d if isinstance(module, nn.Conv2d) else nn.BatchNorm1d
    folds = not isinstance(module, ComputedConvolution) and len(into.shape(node)) in (2, 4)
    if folds and norm_node is not None and type(norm) is expected:
        _require_statistics(into, norm_node, norm)
        into.emit_layer(norm_node, input, layer, (str(norm_node.target), norm), attributes)
    else:
        into.emit_layer(node, input, layer, None, attributes)


def _require_statistics(into: GraphCapture, node: fx.Node, norm: nn.BatchNorm1d | nn.BatchNorm2d) -> None:
    if norm.running_mean is None or norm.running_var is None:
        raise _refuse(into, node, "batch norm without running statistics cannot be folded")


def _norm(into: GraphCapture, node: fx.Node, module: nn.BatchNorm1d | nn.BatchNorm2d, input: Ref) -> None:
    """A norm with no layer before it: a depthwise 1x1 convolution; (1, c) and (1, c, length) as images on the way."""
    if into.is_activation(node):
        return  # folded when its layer was captured
    _require_statistics(into, node, module)
    channels = module.num_features
    identity = nn.Conv2d(channels, channels, 1, groups=channels, bias=False)
    nn.init.ones_(identity.weight)
    identity.weight.requires_grad_(False)
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": channels, "activation": "none"}
    path, shape = str(node.target), into.shape_of(input)
    layer, norm = (f"{path}.scale", identity), (path, module)
    if len(shape) == 4:
        into.emit_layer(node, input, layer, norm, attributes)
        return
    image = (1, channels, shape[2] if len(shape) == 3 else 1, 1)
    before = into.emit_inner(node, "Reshape", (input,), {"shape": image}, image, "image")
    after = into.emit_layer(node, before, layer, norm, attributes, inner_shape=image)
    assert after is not None  # an inner layer gives its result
    into.emit(node, "Reshape", (after,), {"shape": shape})


def _simple(kind: str) -> Rule:
    def rule(into: GraphCapture, node: fx.Node, input: Ref, inplace: bool = False) -> None:
        into.emit(node, kind, (input,), {})

    return rule


def _clip(into: GraphCapture, node: fx.Node, input: Ref, min_val: float, max_val: float, inplace: bool = False) -> None:
    if (min_val, max_val) != (0.0, 6.0):
        raise _refuse(into, node, f"a clip to [{min_val}, {max_val}] has no operator; use ReLU or ReLU6")
    into.emit(node, "Relu6", (input,), {})


def _binary(kind: str) -> Rule:
    def rule(into: GraphCapture, node: fx.Node, input: Any, other: Any, alpha: float = 1) -> None:
        if alpha != 1:
            raise _refuse(into, node, f"alpha {alpha} in an addition has no operator")
        into.emit(node, kind, (input, other), {"activation": "none"})

    return rule


def _average_pool(
    into: GraphCapture,
    node: fx.Node,
    input: Ref,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> None:
    """An average pool; padding that counts becomes a Pad of zeros in front.

    What `ceil_mode` adds at the bottom and right is never counted.
    """
    top, left = _pair(padding)
    batch, channels, height, width = _image(into, node, input)
    if divisor_override is not None:
        raise _refuse(into, node, "average pooling with a divisor of its own has no operator; omit divisor_override")
    kernel = _pair(kernel_size)
    strides = kernel if stride is None or stride == [] else _pair(stride)
    reach = [(out - 1) * step + size for out, step, size in zip(into.shape(node)[2:], strides, kernel, strict=True)]
    below, right = max(reach[0] - height - 2 * top, 0), max(reach[1] - width - 2 * left, 0)
    if count_include_pad and (top or left):
        pads = {"pads": ((0, 0), (0, 0), (top, top), (left, left)), "value": 0.0}
        shape = (batch, channels, height + 2 * top, width + 2 * left)
        input, top, left = into.emit_inner(node, "Pad", (input,), pads, shape, "pad"), 0, 0
    attributes = {
        "kernel": kernel,
        "strides": strides,
        "pads": (top, left, top + below, left + right),
        "count_include_pad": False,
        "activation": "none",
    }
    into.emit(node, "AveragePool", (input,), attributes)


def _max_pool(
    into: GraphCapture,
    node: fx.Node,
    input: Ref,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> None:
    _image(into, node, input)
    if _pair(dilation) != (1, 1) or return_indices:
        raise _refuse(into, node, "max pooling with dilation or indices has no operator")
    _refuse_ceil(into, node, ceil_mode)
    kernel, (top, left) = _pair(kernel_size), _pair(padding)
    attributes = {
        "kernel": kernel,
        "strides": kernel if stride is None or stride == [] else _pair(stride),
        "pads": (top, left, top, left),
        "activation": "none",
    }
    into.emit(node, "MaxPool", (input,), attributes)


def _refuse_ceil(into: GraphCapture, node: fx.Node, ceil_mode: bool) -> None:
    if ceil_mode:
        raise _refuse(into, node, "pooling with ceil_mode has no operator; pad the input instead")


def _adaptive_pool(into: GraphCapture, node: fx.Node, input: Ref, output_size: Any) -> None:
    shape, result = _image(into, node, input), into.shape(node)
    if result[2:] == (1, 1):
        into.emit(node, "Mean", (input,), {"axes": (2, 3), "keepdims": True})
        return
    if shape[2] % result[2] or shape[3] % result[3]:
        raise _refuse(into, node, f"{shape[2]}x{shape[3]} does not divide into {result[2]}x{result[3]} equal windows")
    _average_pool(into, node, input, (shape[2] // result[2], shape[3] // result[3]))


def _reduction(kind: str) -> Rule:
    """A sum, mean, largest or smallest value over any axes but the batch."""

    def rule(
        into: GraphCapture, node: fx.Node, input: Ref, dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> None:
        rank = len(into.shape_of(input))
        named = () if dim is None else dim if isinstance(dim, tuple | list) else (dim,)
        axes = tuple(sorted(int(axis) % rank for axis in named))
        if dtype is not None:
            raise _refuse(into, node, f"a sum or mean in {dtype} has no operator; omit dtype")
        if not axes or axes[0] == 0:
            raise _refuse(into, node, "a sum, mean or extreme over the batch has no operator; name the other axes")
        into.emit(node, kind, (input,), {"axes": axes, "keepdims": bool(keepdim)})

    return rule


def _extreme(kind: str, name: str) -> Rule:
    """`max` or `min` along one axis gives values and indices: the values, wherever they are taken, are a reduction."""

    def rule(into: GraphCapture, node: fx.Node, input: Ref, dim: Any = None, keepdim: bool = False) -> None:
        if not isinstance(dim, int):
            raise _refuse(into, node, f"{name} over everything, or of two tensors, has no operator; name the axis")
        for user in [user for user in node.users if user.users]:  # `values, _ = x.max(1)` takes what it never reads
            if user.args[1:] not in ((0,), ("values",)):
                raise _refuse(into, user, f"the indices of {name} have no operator; use argmax")
            _reduction(kind)(into, user, input, dim, keepdim)

    return rule


def _power(into: GraphCapture, node: fx.Node, input: Ref, exponent: Any = 2) -> None:
    if exponent == 2:
        into.emit(node, "Mul", (input, input), {"activation": "none"})
    elif exponent == 0.5:
        into.emit(node, "Sqrt", (input,), {})
    else:
        raise _refuse(into, node, f"the power {exponent} has no operator; 2 and 0.5 have")


def _normalize(into: GraphCapture, node: fx.Node, input: Ref, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> None:
    rank = len(into.shape_of(input))
    if p != 2 or not isinstance(dim, int) or dim % rank == 0 or eps > LARGEST_NORM_EPS:
        raise _refuse(
            into,
            node,
            f"normalize with p {p:g}, dim {dim}, eps {eps:g} has no operator; it has p 2, one axis that is not the "
            f"batch, and an eps of at most {LARGEST_NORM_EPS:g}",
        )
    into.emit(node, "L2Norm", (input,), {"axis": dim % rank, "epsilon": eps**2})


COORDINATES = {("bilinear", False): "half_pixel", ("bilinear", True): "align_corners", ("nearest", False): "asymmetric"}
COORDINATES[("nearest-exact", False)] = "half_pixel"


def _interpolate(
    into: GraphCapture,
    node: fx.Node,
    input: Ref,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> None:
    coordinates = COORDINATES.get((mode, bool(align_corners)))
    if coordinates is None or antialias:
        raise _refuse(into, node, f"interpolation '{mode}' (antialias {antialias}) has no operator; use bilinear")
    before, after = _image(into, node, input)[2:], into.shape(node)[2:]
    if scale_factor is not None and not recompute_scale_factor:
        factors = scale_factor if isinstance(scale_factor, tuple | list) else (scale_factor, scale_factor)
        if any(old * factor != new for old, new, factor in zip(before, after, factors, strict=True)):
            raise _refuse(into, node, f"scale factor {scale_factor} does not give whole pixels; name the size instead")
    if before == after:
        into.alias(node, input)
        return
    kind = "linear" if mode == "bilinear" else "nearest"
    into.emit(node, "Resize", (input,), {"mode": kind, "coordinates": coordinates, "size_hw": after})


def _concat(into: GraphCapture, node: fx.Node, tensors: Any, dim: int = 0, axis: int | None = None) -> None:
    rank = len(into.shape(node))
    into.emit(node, "Concat", tuple(tensors), {"axis": int(dim if axis is None else axis) % rank})


def _reshape(into: GraphCapture, node: fx.Node, input: Ref, *shape: Any, **keywords: Any) -> None:
    if into.shape(node) == into.shape_of(input):
        into.alias(node, input)
        return
    into.emit(node, "Reshape", (into.parted.get(input, input),), {"shape": into.shape(node)})


def _transpose(into: GraphCapture, node: fx.Node, input: Ref, dim0: int, dim1: int) -> None:
    order = list(range(len(into.shape_of(input))))
    order[dim0], order[dim1] = order[dim1], order[dim0]
    _permute(into, node, input, order)


def _permute(into: GraphCapture, node: fx.Node, input: Ref, *dims: Any) -> None:
    order = dims[0] if len(dims) == 1 and isinstance(dims[0], tuple | list) else dims
    rank = len(into.shape_of(input))
    perm = tuple(int(axis) % rank for axis in order)
    if perm[0] != 0:
        raise _refuse(into, node, f"a permutation to {perm} has no operator; the first axis must stay the batch")
    into.emit(node, "Transpose", (input,), {"perm": perm})


def _pad(
    into: GraphCapture, node: fx.Node, input: Ref, pad: Any, mode: str = "constant", value: float | None = None
) -> None:
    if mode != "constant" or value not in (None, 0, 0.0) or any(int(size) < 0 for size in pad):
        raise _refuse(into, node, f"padding '{mode}' with {value} has no operator; pad with zeros")
    rank = len(into.shape_of(input))
    sizes = [(0, 0)] * rank
    for index in range(len(pad) // 2):
        sizes[rank - 1 - index] = (int(pad[2 * index]), int(pad[2 * index + 1]))
    into.emit(node, "Pad", (input,), {"pads": tuple(sizes), "value": 0.0})


def _unfold(
    into: GraphCapture,
    node: fx.Node,
    input: Ref,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> None:
    """Windows as columns: the map padded, shifted to each of their positions and joined."""
    batch, channels, height, width = _image(into, node, input)
    kernel, dilations, strides, (top, left) = _pair(kernel_size), _pair(dilation), _pair(stride), _pair(padding)
    if top or left:
        pads = {"pads": ((0, 0), (0, 0), (top, top), (left, left)), "value": 0.0}
        height, width = height + 2 * top, width + 2 * left
        input = into.emit_inner(node, "Pad", (input,), pads, (batch, channels, height, width), "pad")
    sizes = zip((height, width), kernel, dilations, strides, strict=True)
    rows, columns = ((size - step * (extent - 1) - 1) // stride + 1 for size, extent, step, stride in sizes)
    shifts = []
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            begin = (0, 0, row * dilations[0], column * dilations[1])
            end = (begin[2] + strides[0] * (rows - 1) + 1, begin[3] + strides[1] * (columns - 1) + 1)
            span = {"begin": begin, "end": (batch, channels, *end), "strides": (1, 1, *strides)}
            shape = (batch, channels, rows, columns)
            shifts.append(into.emit_inner(node, "Slice", (input,), span, shape, f"shift_{row}_{column}"))
    count, positions = len(shifts), rows * columns
    joined = into.emit_inner(node, "Concat", shifts, {"axis": 1}, (batch, count * channels, rows, columns), "joined")
    by_shift = (batch, count, channels, positions)
    joined = into.emit_inner(node, "Reshape", (joined,), {"shape": by_shift}, by_shift, "by_shift")
    by_channel = (batch, channels, count, positions)
    parted = into.emit_inner(node, "Transpose", (joined,), {"perm": (0, 2, 1, 3)}, by_channel, "by_channel")
    name = into.emit(node, "Reshape", (parted,), {"shape": into.shape(node)})
    into.parted[Ref(name)] = parted


LARGEST_PRODUCT_RANK = 5
"""Axes of what BATCH_MATMUL multiplies."""


def _matmul(into: GraphCapture, node: fx.Node, input: Any, other: Any) -> None:
    ranks = {len(into.shape_of(operand)) for operand in (input, other) if isinstance(operand, Ref)}
    if len(ranks) != 1 or not 3 <= max(ranks) <= LARGEST_PRODUCT_RANK:
        raise _refuse(
            into,
            node,
            f"a product of matrices over {' and '.join(map(str, sorted(ranks)))} axes has no operator; give both "
            f"operands the same 3 to {LARGEST_PRODUCT_RANK}, the batch first",
        )
    into.emit(node, "MatMul", (input, other), {})


def _getitem(into: GraphCapture, node: fx.Node, input: Any, index: Any) -> None:
    items = index if isinstance(index, tuple) else (index,)
    if not isinstance(input, Ref) or not all(isinstance(item, slice) for item in items):
        raise _refuse(into, node, "indexing with anything but slices has no operator")
    if items[0] != slice(None):
        raise _refuse(into, node, "slicing the first axis, the batch, has no operator; leave it whole")
    shape = into.shape_of(input)
    spans = [item.indices(size) for item, size in zip(items, shape, strict=False)]
    spans += [(0, size, 1) for size in shape[len(spans) :]]
    begin, end, strides = zip(*spans, strict=True)
    into.emit(node, "Slice", (input,), {"begin": begin, "end": end, "strides": strides})


def _argmax(into: GraphCapture, node: fx.Node, input: Ref, dim: int | None = None, keepdim: bool = False) -> None:
    if dim is None:
        raise _refuse(into, node, "argmax over all axes has no operator; name the axis")
    into.emit(node, "ArgMax", (input,), {"axis": dim % len(into.shape_of(input)), "keepdims": keepdim})


def _softmax(into: GraphCapture, node: fx.Node, input: Ref, dim: int | None = None, **rest: Any) -> None:
    rank = len(into.shape_of(input))
    if dim is None and rank == 3:
        raise _refuse(into, node, "softmax over three axes takes the first, the batch, if none is named; give it dim")
    into.emit(node, "Softmax", (input,), {"axis": (1 if dim is None else dim) % rank})


def _skip(into: GraphCapture, node: fx.Node, input: Ref, *rest: Any, **keywords: Any) -> None:
    into.alias(node, input)


def _dropout(
    into: GraphCapture, node: fx.Node, input: Ref, p: float = 0.5, training: bool = True, inplace: Any = None
) -> None:
    if training:
        raise _refuse(into, node, "dropout is active in evaluation mode too; give it training=self.training")
    into.alias(node, input)


def _of_module(rule: Rule, *names: str) -> Rule:
    """The rule of a function, given its arguments by a module's attributes."""

    def capture_module(into: GraphCapture, node: fx.Node, module: nn.Module, input: Ref) -> None:
        rule(into, node, input, **{name: getattr(module, name) for name in names})

    return capture_module


def _flatten_module(into: GraphCapture, node: fx.Node, module: nn.Module, input: Ref) -> None:
    _reshape(into, node, input)


_POOL = ("kernel_size", "stride", "padding", "ceil_mode")
_UPSAMPLE = ("size", "scale_factor", "mode", "align_corners")

MODULES: Mapping[type[nn.Module], Rule] = {
    nn.Conv2d: _layer,
    SamePadConv2d: _layer,
    Embedding: _layer,
    Gate: _layer,
    nn.Linear: _layer,
    nn.BatchNorm2d: _norm,
    nn.BatchNorm1d: _norm,
    nn.ReLU: _of_module(_simple("Relu")),
    nn.ReLU6: _of_module(_simple("Relu6")),
    nn.Hardtanh: _of_module(_clip, "min_val", "max_val"),
    nn.Sigmoid: _of_module(_simple("Sigmoid")),
    nn.Tanh: _of_module(_simple("Tanh")),
    nn.Softmax: _of_module(_softmax, "dim"),
    nn.Dropout: _of_module(_dropout, "training"),
    nn.Dropout2d: _of_module(_dropout, "training"),
    nn.Identity: _of_module(_skip),
    nn.AvgPool2d: _of_module(_average_pool, *_POOL, "count_include_pad", "divisor_override"),
    nn.MaxPool2d: _of_module(_max_pool, *_POOL, "dilation", "return_indices"),
    nn.AdaptiveAvgPool2d: _of_module(_adaptive_pool, "output_size"),
    nn.Upsample: _of_module(_interpolate, *_UPSAMPLE, "recompute_scale_factor"),
    nn.UpsamplingBilinear2d: _of_module(_interpolate, *_UPSAMPLE),
    nn.UpsamplingNearest2d: _of_module(_interpolate, *_UPSAMPLE),
    nn.Flatten: _flatten_module,
    nn.Unfold: _of_module(_unfold, "kernel_size", "dilation", "padding", "stride"),
    nn.ZeroPad2d: _of_module(lambda into, node, input, padding: _pad(into, node, input, padding), "padding"),
}

FUNCTIONS: Mapping[Any, Rule] = {
    operator.add: _binary("Add"),
    operator.iadd: _binary("Add"),
    torch.add: _binary("Add"),
    operator.sub: _binary("Sub"),
    operator.isub: _binary("Sub"),
    torch.sub: _binary("Sub"),
    operator.mul: _binary("Mul"),
    operator.imul: _binary("Mul"),
    torch.mul: _binary("Mul"),
    operator.getitem: _getitem,
    torch.cat: _concat,
    torch.concat: _concat,
    torch.flatten: _reshape,
    torch.reshape: _reshape,
    torch.squeeze: _reshape,
    torch.unsqueeze: _reshape,
    torch.permute: _permute,
    torch.transpose: _transpose,
    torch.swapaxes: _transpose,
    torch.matmul: _matmul,
    torch.bmm: _matmul,
    operator.matmul: _matmul,
    torch.mean: _reduction("Mean"),
    torch.sum: _reduction("ReduceSum"),
    torch.amax: _reduction("ReduceMax"),
    torch.amin: _reduction("ReduceMin"),
    torch.max: _extreme("ReduceMax", "max"),
    torch.min: _extreme("ReduceMin", "min"),
    torch.square: _power,
    torch.pow: _power,
    operator.pow: _power,
    torch.relu: _simple("Relu"),
    torch.relu_: _simple("Relu"),
    torch.sqrt: _simple("Sqrt"),
    torch.tanh: _simple("Tanh"),
    torch.sigmoid: _simple("Sigmoid"),
    torch.sigmoid_: _simple("Sigmoid"),
    torch.softmax: _softmax,
    torch.argmax: _argmax,
    torch.dropout: lambda into, node, input, p, train: _dropout(into, node, input, p, train),
    functional.relu: _simple("Relu"),
    functional.relu6: _simple("Relu6"),
    functional.hardtanh: _clip,
    functional.hardtanh_: _clip,
    functional.sigmoid: _simple("Sigmoid"),
    functional.tanh: _simple("Tanh"),
    functional.normalize: _normalize,
    functional.softmax: _softmax,
    functional.dropout: _dropout,
    functional.dropout2d: _dropout,
    functional.avg_pool2d: _average_pool,
    functional.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    functional.adaptive_avg_pool2d: _adaptive_pool,
    functional.interpolate: _interpolate,
    functional.pad: _pad,
    functional.unfold: _unfold,
}

METHODS: Mapping[str, Rule] = {
    "add": _binary("Add"),
    "add_": _binary("Add"),
    "sub": _binary("Sub"),
    "sub_": _binary("Sub"),
    "mul": _binary("Mul"),
    "mul_": _binary("Mul"),
    "mean": _reduction("Mean"),
    "sum": _reduction("ReduceSum"),
    "amax": _reduction("ReduceMax"),
    "amin": _reduction("ReduceMin"),
    "max": _extreme("ReduceMax", "max"),
    "min": _extreme("ReduceMin", "min"),
    "square": _power,
    "pow": _power,
    "view": _reshape,
    "reshape": _reshape,
    "flatten": _reshape,
    "squeeze": _reshape,
    "unsqueeze": _reshape,
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "matmul": _matmul,
    "bmm": _matmul,
    "contiguous": _skip,
    "clone": _skip,
    "relu": _simple("Relu"),
    "relu_": _simple("Relu"),
    "sqrt": _simple("Sqrt"),
    "tanh": _simple("Tanh"),
    "sigmoid": _simple("Sigmoid"),
    "sigmoid_": _simple("Sigmoid"),
    "softmax": _softmax,
    "argmax": _argmax,
}
