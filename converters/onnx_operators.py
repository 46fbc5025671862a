"""How each canonical operator is written as ONNX nodes (operator set 17)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from converters.onnx_emitter import Emitter
from edge.graph.graph import Operator
from edge.graph.onnx_file import ELEMENT_OF

Writer = Callable[[Emitter, Operator], None]

# canonical nearest rounding in ONNX's words (see edge.graph.onnx_operators.pooling.nearest_indices)
NEAREST = {"half_pixel": "round_prefer_ceil", "asymmetric": "floor", "align_corners": "round_prefer_ceil"}


def _computed(out: Emitter, operator: Operator, kind: str, inputs: tuple[str, ...], **attributes: Any) -> None:
    """One node over real values, with the rectifier and the QuantizeLinear that its output needs."""
    out.node(kind, inputs, (out.result(operator),), operator.name, **attributes)
    out.finish(operator)


def _reals(out: Emitter, operator: Operator) -> tuple[str, ...]:
    names = [out.real(name) for name in operator.inputs]
    while names and not names[-1]:
        names.pop()
    return tuple(names)


def _conv(out: Emitter, operator: Operator) -> None:
    given = operator.attributes
    kernel = out.graph.tensors[operator.inputs[1]].shape[2:]
    _computed(
        out,
        operator,
        "Conv",
        _reals(out, operator),
        kernel_shape=kernel,
        strides=given["strides"],
        pads=given["pads"],
        dilations=given["dilations"],
        group=given["group"],
    )


def _gemm(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, "Gemm", _reals(out, operator), transB=1)


def _same_name(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, operator.kind, _reals(out, operator))


def pool_attributes(operator: Operator) -> dict[str, Any]:
    """Attributes of the AveragePool or MaxPool node."""
    given = operator.attributes
    attributes = {"kernel_shape": given["kernel"], "strides": given["strides"], "pads": given["pads"]}
    if given.get("count_include_pad"):
        attributes["count_include_pad"] = 1
    return attributes


def _pool(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, operator.kind, _reals(out, operator), **pool_attributes(operator))


def _mean(out: Emitter, operator: Operator) -> None:
    given = operator.attributes
    rank = len(out.graph.tensors[operator.inputs[0]].shape)
    if rank > 2 and given["keepdims"] and given["axes"] == tuple(range(2, rank)):
        _computed(out, operator, "GlobalAveragePool", _reals(out, operator))
    else:
        keepdims = int(given["keepdims"])
        _computed(out, operator, "ReduceMean", _reals(out, operator), axes=given["axes"], keepdims=keepdims)


def resize_attributes(operator: Operator) -> dict[str, str]:
    """Attributes of the Resize node."""
    given = operator.attributes
    attributes = {"mode": given["mode"], "coordinate_transformation_mode": given["coordinates"]}
    if given["mode"] == "nearest":
        attributes["nearest_mode"] = NEAREST[given["coordinates"]]
    return attributes


def resize_sizes(out: Emitter, operator: Operator) -> str:
    """The Resize node's input of output sizes (n, c, h, w)."""
    name = operator.outputs[0]
    return out.constant(f"{name}/sizes", np.array(out.graph.tensors[name].shape, np.int64))


def _resize(out: Emitter, operator: Operator) -> None:
    inputs = (*_reals(out, operator), "", "", resize_sizes(out, operator))
    _computed(out, operator, "Resize", inputs, **resize_attributes(operator))


def _concat(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, "Concat", _reals(out, operator), axis=operator.attributes["axis"])


def _pad(out: Emitter, operator: Operator) -> None:
    before, after = zip(*operator.attributes["pads"], strict=True)
    pads = out.constant(f"{operator.outputs[0]}/pads", np.array([*before, *after], np.int64))
    value = out.scalar(operator.attributes["value"])
    _computed(out, operator, "Pad", (*_reals(out, operator), pads, value), mode="constant")


def _reshape(out: Emitter, operator: Operator) -> None:
    shape = out.constant(f"{operator.outputs[0]}/shape", np.array(operator.attributes["shape"], np.int64))
    _computed(out, operator, "Reshape", (*_reals(out, operator), shape))


def _transpose(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, "Transpose", _reals(out, operator), perm=operator.attributes["perm"])


def _slice(out: Emitter, operator: Operator) -> None:
    given, name = operator.attributes, operator.outputs[0]
    limits = [
        out.constant(f"{name}/begin", np.array(given["begin"], np.int64)),
        out.constant(f"{name}/end", np.array(given["end"], np.int64)),
        out.constant(f"{name}/axes", np.arange(len(given["begin"]), dtype=np.int64)),
        out.constant(f"{name}/strides", np.array(given["strides"], np.int64)),
    ]
    _computed(out, operator, "Slice", (*_reals(out, operator), *limits))


def _softmax(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, "Softmax", _reals(out, operator), axis=operator.attributes["axis"])


def _arg_max(out: Emitter, operator: Operator) -> None:
    """Over the integers themselves: they are in the order of the real values. ONNX gives int64, a Cast the rest."""
    name = operator.outputs[0]
    dtype = out.graph.tensors[name].dtype
    index = name if dtype == "int64" else f"{name}/int64"
    attributes = {"axis": operator.attributes["axis"], "keepdims": int(operator.attributes["keepdims"])}
    out.node("ArgMax", (out.raw(operator.inputs[0]),), (index,), operator.name, **attributes)
    if index != name:
        out.node("Cast", (index,), (name,), f"{operator.name}/cast", to=ELEMENT_OF[dtype])


def _clip(out: Emitter, operator: Operator) -> None:
    low, high = (0.0, 6.0) if operator.kind == "Relu6" else (operator.attributes["min"], operator.attributes["max"])
    limits = [out.scalar(value) if np.isfinite(value) else "" for value in (low, high)]
    while limits and not limits[-1]:
        limits.pop()
    _computed(out, operator, "Clip", (*_reals(out, operator), *limits))


def _hard_sigmoid(out: Emitter, operator: Operator) -> None:
    given = operator.attributes
    _computed(out, operator, "HardSigmoid", _reals(out, operator), alpha=given["alpha"], beta=given["beta"])


def _batch_norm(out: Emitter, operator: Operator) -> None:
    _computed(out, operator, "BatchNormalization", _reals(out, operator), epsilon=operator.attributes["epsilon"])


def _quantize(out: Emitter, operator: Operator) -> None:
    out.quantize(out.real(operator.inputs[0]), operator.outputs[0])


def _dequantize(out: Emitter, operator: Operator) -> None:
    out.dequantize(operator.inputs[0], operator.outputs[0])


WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "Add": _same_name,
        "ArgMax": _arg_max,
        "AveragePool": _pool,
        "BatchNorm": _batch_norm,
        "Clip": _clip,
        "Concat": _concat,
        "Conv": _conv,
        "Dequantize": _dequantize,
        "Gemm": _gemm,
        "HardSigmoid": _hard_sigmoid,
        "HardSwish": _same_name,
        "MaxPool": _pool,
        "Mean": _mean,
        "Mul": _same_name,
        "Pad": _pad,
        "Quantize": _quantize,
        "Relu": _same_name,
        "Relu6": _clip,
        "Reshape": _reshape,
        "Resize": _resize,
        "Sigmoid": _same_name,
        "Slice": _slice,
        "Softmax": _softmax,
        "Sub": _same_name,
        "Tanh": _same_name,
        "Transpose": _transpose,
    }
)
