"""Conv, ConvTranspose and BatchNormalization."""

from dataclasses import replace

import numpy as np

from edge.graph.graph import Quantization, Tensor
from edge.graph.importers.onnx.operators.windows import Window, finish, raised, raised_weight, window
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical
from edge.graph.ops.padding import transposed_full_size


def conv(importer: Importer, node: Node) -> None:
    """Conv over one or two axes with a constant weight; `auto_pad` becomes explicit pads.

    Over one axis it stands between two Reshapes: (n, c, length) is (n, c, 1, length).
    """
    x, weight = importer.tensor(node.input(0)), importer.required_constant(node.input(1))
    _check(node, x, weight)
    bias = _bias(importer, node.input(2), weight.shape[0])
    seen = window(node, x.shape[2:], weight.shape[2:])
    inputs = (raised(importer, node, x).name, raised_weight(importer, weight).name, bias)
    finish(importer, node, "Conv", inputs, _attributes(node, seen), x.dtype)


def _check(node: Node, x: Tensor, weight: Tensor) -> None:
    if len(x.shape) not in (3, 4) or len(weight.shape) != len(x.shape):
        raise NotCanonical(f"a convolution over {len(x.shape) - 2} axes; one and two are known")
    if tuple(node.attributes.get("kernel_shape", weight.shape[2:])) != weight.shape[2:]:
        raise NotCanonical("kernel_shape is not the weight's")
    first, second, group = weight.shape[0], weight.shape[1], int(node.attributes.get("group", 1))
    channels = first if node.kind == "ConvTranspose" else second * group
    if group < 1 or first % group or x.shape[1] != channels:
        raise NotCanonical(f"{x.shape[1]} channels, {group} groups and a weight of shape {weight.shape}")


def _attributes(node: Node, seen: Window) -> dict[str, object]:
    return {
        "strides": seen.strides,
        "pads": seen.pads,
        "dilations": seen.dilations,
        "group": int(node.attributes.get("group", 1)),
        "activation": "none",
    }


def _bias(importer: Importer, name: str, channels: int) -> str:
    if not name:
        return ""
    bias = importer.required_constant(name)
    if bias.shape != (channels,):
        raise NotCanonical(f"bias of shape {bias.shape}")
    return bias.name


def conv_transpose(importer: Importer, node: Node) -> None:
    """ConvTranspose over one or two axes with a constant weight (I, O / group, ...), which becomes (O, I / group, ...).

    `auto_pad`, `output_shape` and `output_padding` become pads and the output's shape.
    """
    x, given = importer.tensor(node.input(0)), importer.required_constant(node.input(1))
    _check(node, x, given)
    group = int(node.attributes.get("group", 1))
    weight = raised_weight(importer, _turned(importer, given, group))
    bias = _bias(importer, node.input(2), weight.shape[0])
    known = ("strides", "dilations", "pads")
    plain = replace(node, attributes={key: node.attributes[key] for key in known if key in node.attributes})
    seen = window(plain, x.shape[2:], given.shape[2:])
    size_hw = (1, *x.shape[2:])[-2:]
    full = transposed_full_size(size_hw, seen.kernel, seen.strides, seen.dilations)
    out_hw, starts = _placed(node, seen, size_hw, full)
    importer.types[node.outputs[0]] = (x.dtype, (x.shape[0], weight.shape[0], *out_hw[2 - len(x.shape[2:]) :]))
    ends = [max(0, whole - start - kept) for whole, start, kept in zip(full, starts, out_hw, strict=True)]
    attributes = _attributes(node, seen) | {"pads": (*starts, *ends)}
    finish(importer, node, "ConvTranspose", (raised(importer, node, x).name, weight.name, bias), attributes, x.dtype)


def _placed(
    node: Node, seen: Window, size_hw: tuple[int, ...], full: tuple[int, int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The output's size, and what is cut off its top and left (ONNX operator set, ConvTranspose).

    A stated or SAME size cuts evenly; an odd pixel goes off the top unless SAME_UPPER.
    """
    extra = (0, *(int(value) for value in node.attributes.get("output_padding", (0, 0))))[-2:]
    stated = tuple(int(value) for value in node.attributes.get("output_shape", ()))
    mode = node.attributes.get("auto_pad", "NOTSET")
    if not stated and not mode.startswith("SAME"):
        sides = zip(full, seen.pads[:2], seen.pads[2:], extra, strict=True)
        return tuple(whole - before - after + more for whole, before, after, more in sides), seen.pads[:2]
    out_hw = tuple(size * step for size, step in zip(size_hw, seen.strides, strict=True))
    if stated:
        out_hw = (1, *stated)[-2:]
    totals = [max(0, whole + more - kept) for whole, more, kept in zip(full, extra, out_hw, strict=True)]
    return out_hw, tuple(total // 2 if mode == "SAME_UPPER" else total - total // 2 for total in totals)


def _turned(importer: Importer, weight: Tensor, group: int) -> Tensor:
    """A weight (I, O / group, ...) as (O, I / group, ...), parameters along its outputs with it."""
    assert weight.data is not None
    inputs, outputs, *rest = weight.shape
    if group < 1 or inputs % group:
        raise NotCanonical(f"{inputs} input channels in {group} groups")
    quantization = weight.quantization
    if quantization is not None and quantization.axis is not None:
        if quantization.axis != 1:
            raise NotCanonical(
                f"the scales of weight '{weight.name}' run along its axis {quantization.axis}, kernels take them along "
                "the outputs (axis 1); quantize it per output channel or per tensor"
            )
        scale, zero_point = np.tile(quantization.scale, group), np.tile(quantization.zero_point, group)
        quantization = Quantization(
            scale=np.asarray(scale, np.float32), zero_point=np.asarray(zero_point, np.int64), axis=0
        )
    importer.reserve(weight.shape, weight.data.dtype.itemsize)
    data = weight.data.reshape(group, inputs // group, outputs, *rest).swapaxes(1, 2)
    data = np.ascontiguousarray(data.reshape(group * outputs, inputs // group, *rest))
    name = weight.name.removesuffix("/transposed") if weight.name.endswith("/transposed") else f"{weight.name}/turned"
    return importer.tensors[importer.add_constant(name, data, quantization, fresh=True)]


def batch_normalization(importer: Importer, node: Node) -> None:
    """Inference batch normalization with constant statistics."""
    if node.attributes.get("training_mode", 0) or len(node.outputs) > 1:
        raise NotCanonical("training mode")
    x = importer.tensor(node.input(0))
    channels = x.shape[1] if len(x.shape) > 1 else 0
    names = [importer.required_constant(node.input(index)) for index in range(1, 5)]
    if any(constant.shape != (channels,) for constant in names):
        raise NotCanonical("statistics of another size than the channels")
    attributes = {"epsilon": float(node.attributes.get("epsilon", 1e-5))}
    importer.emit("BatchNorm", node, (x.name, *(constant.name for constant in names)), attributes)
