"""Weights of a float model stored as int8 or float16: the files shrink, the arithmetic stays float32.

Every runtime multiplies by exactly the same float32 weights: an int8 scale has 16 significant bits, so that integer *
scale needs no rounding, and a float16 number is a float32 number. Convolutions and fully connected layers; biases and
other constants stay float32.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto

from edge.artifact.scheme import WEIGHT_MAX
from edge.errors import UsageError
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.graph.passes.rewrite import fresh_name

Form = Literal["int8", "float16"]
Array = npt.NDArray[Any]

SCALE_BITS = 16
LARGEST_FLOAT16 = 65504.0
# TFLite operator -> the axis of its weights that the output channels run along.
TFLITE_LAYERS: Mapping[str, int] = MappingProxyType({"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0})
PER_CHANNEL_DEQUANTIZE = 5
FLOAT16_DEQUANTIZE = 3


def stored(weight: npt.NDArray[np.float32], form: Form, axis: int) -> tuple[Array, npt.NDArray[np.float32] | None]:
    """The stored weights, of the same shape, and the scale per output channel (None for float16).

    int8: symmetric in [-127, 127], the largest magnitude of a channel / 127, rounded up to 16 significant bits. Weights
    that were stored so already come back as the same integers and scales.

    Raises:
        UsageError: a weight that float16 cannot hold, or that is not finite.
    """
    if not np.isfinite(weight).all():
        raise UsageError("a weight is not a finite number")
    if form == "float16":
        if np.abs(weight).max(initial=0.0) > LARGEST_FLOAT16:
            raise UsageError(f"a weight of {np.abs(weight).max():g} is beyond float16; store the weights as int8")
        return weight.astype(np.float16), None
    rows = np.moveaxis(weight, axis, 0).reshape(weight.shape[axis], -1)
    largest = np.maximum(np.abs(rows).max(axis=1, initial=0.0).astype(np.float64), 2.0**-100)
    fraction, exponent = np.frexp(largest / WEIGHT_MAX)
    scale = np.ldexp(np.ceil(fraction * 2.0**SCALE_BITS), exponent - SCALE_BITS).astype(np.float32)
    form_of_scale = [1] * weight.ndim
    form_of_scale[axis] = -1
    integers = np.rint(weight.astype(np.float64) / scale.astype(np.float64).reshape(form_of_scale))
    return integers.astype(np.int8), scale


def onnx_with_stored_weights(data: bytes, form: Form) -> bytes:
    """A float ONNX file whose Conv and Gemm weights are stored smaller, behind DequantizeLinear or Cast.

    Args:
        data: of our own writing: every weight is an initializer with the output channels on axis 0.
    """
    model = onnx.load_from_string(data)
    graph = model.graph
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken.update(value.name for value in (*graph.input, *graph.initializer))
    places = {constant.name: index for index, constant in enumerate(graph.initializer)}
    names = [node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm") and node.input[1] in places]
    nodes: list[NodeProto] = []
    for name in dict.fromkeys(names):
        values, scale = stored(onnx.numpy_helper.to_array(graph.initializer[places[name]]), form, 0)
        kept = fresh_name(f"{name}/{form}", taken)
        scale_name, zeros_name = (fresh_name(f"{kept}/{role}", taken) for role in ("scale", "zero_point"))
        taken.update((kept, scale_name, zeros_name))
        graph.initializer[places[name]].CopyFrom(onnx.numpy_helper.from_array(values, kept))
        if scale is None:
            nodes.append(onnx.helper.make_node("Cast", [kept], [name], name=f"{name}/cast", to=TensorProto.FLOAT))
            continue
        graph.initializer.append(onnx.numpy_helper.from_array(scale, scale_name))
        zeros = np.zeros(scale.size, np.int8)
        graph.initializer.append(onnx.numpy_helper.from_array(zeros, zeros_name))
        inputs = [kept, scale_name, zeros_name]
        nodes.append(onnx.helper.make_node("DequantizeLinear", inputs, [name], name=f"{name}/dequantize", axis=0))
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])
    return bytes(model.SerializeToString(deterministic=True))


def tflite_with_stored_weights(data: bytes, form: Form) -> bytes:
    """A float TFLite file whose layers' weights are stored smaller, each behind a DEQUANTIZE.

    That is how TensorFlow's float16 files are made; LiteRT unpacks the constants once, when the model is loaded. (Its
    hybrid kernels, int8 weights without a DEQUANTIZE, round the activations at run time: another model than this one.)
    """
    module = schema()
    model = module.ModelT.InitFromPackedBuf(data, 0)
    subgraph = model.subgraphs[0]
    codes = {getattr(module.BuiltinOperator, name): axis for name, axis in TFLITE_LAYERS.items()}
    version = FLOAT16_DEQUANTIZE if form == "float16" else PER_CHANNEL_DEQUANTIZE
    number = module.BuiltinOperator.DEQUANTIZE
    code = len(model.operatorCodes)
    unpacking: dict[int, Any] = {}
    for operator in subgraph.operators:
        axis = codes.get(model.operatorCodes[operator.opcodeIndex].builtinCode)
        if axis is None or int(operator.inputs[1]) in unpacking:
            continue
        index = int(operator.inputs[1])
        tensor = subgraph.tensors[index]
        raw = model.buffers[tensor.buffer].data
        if tensor.type != module.TensorType.FLOAT32 or raw is None or len(raw) == 0:
            continue
        weight = np.frombuffer(bytes(raw), "<f4").reshape(tuple(int(size) for size in tensor.shape))
        values, scale = stored(weight, form, axis)
        unpacking[index] = _unpack(module, model, index, values, scale, axis, code)
    model.operatorCodes.append(module.OperatorCodeT(deprecatedBuiltinCode=number, builtinCode=number, version=version))
    subgraph.operators = [*unpacking.values(), *subgraph.operators]
    _drop_unused_buffers(module, model)
    return pack(model)


def _unpack(module: Any, model: Any, index: int, values: Array, scale: Array | None, axis: int, code: int) -> Any:
    """Store a weight as a new constant, and make the DEQUANTIZE that gives the old tensor its values."""
    subgraph = model.subgraphs[0]
    tensor = subgraph.tensors[index]
    names = [_text(entry.name) for entry in subgraph.tensors]
    quantization = module.QuantizationParametersT()
    if scale is not None:
        zeros = np.zeros(scale.size, np.int64)
        quantization = module.QuantizationParametersT(scale=scale, zeroPoint=zeros, quantizedDimension=axis)
    model.buffers.append(module.BufferT(data=np.ascontiguousarray(values).reshape(-1).view(np.uint8)))
    subgraph.tensors.append(
        module.TensorT(
            shape=tensor.shape,
            type=module.TensorType.INT8 if values.dtype == np.int8 else module.TensorType.FLOAT16,
            buffer=len(model.buffers) - 1,
            name=fresh_name(f"{names[index]}/{values.dtype.name}", names),
            quantization=quantization,
            hasRank=True,
        )
    )
    tensor.buffer = 0
    return module.OperatorT(
        opcodeIndex=code,
        inputs=np.array([len(subgraph.tensors) - 1], np.int32),
        outputs=np.array([index], np.int32),
        builtinOptionsType=module.BuiltinOptions.DequantizeOptions,
        builtinOptions=module.DequantizeOptionsT(),
    )


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name


def _drop_unused_buffers(module: Any, model: Any) -> None:
    """Empty the buffers that no tensor and no metadata reads any more; their numbers stay."""
    used = {tensor.buffer for subgraph in model.subgraphs for tensor in subgraph.tensors}
    used |= {entry.buffer for entry in model.metadata or []}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
