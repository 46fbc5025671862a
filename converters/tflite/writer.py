"""Graph -> TFLite file, one operator after another; the scales and integers of the graph go into it bit for bit."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from converters.tflite.activation import write_activation, write_clip, write_softmax
from converters.tflite.boundary import write_dequantize, write_quantize
from converters.tflite.class_map import write_arg_max
from converters.tflite.convolution import write_conv
from converters.tflite.elementwise import write_elementwise
from converters.tflite.file_builder import FileBuilder
from converters.tflite.fully_connected import write_gemm
from converters.tflite.functions import (
    write_function,
    write_gelu,
    write_hard_sigmoid,
    write_l2_norm,
    write_leaky_relu,
    write_log_softmax,
    write_p_relu,
)
from converters.tflite.matmul import write_matmul
from converters.tflite.movement import write_concat, write_pad, write_reshape, write_slice, write_transpose
from converters.tflite.parameters import require_limits
from converters.tflite.pooling import write_average_pool, write_max_pool, write_mean
from converters.tflite.rearrange import (
    write_cast,
    write_depth_to_space,
    write_expand,
    write_gather,
    write_reflect_pad,
    write_space_to_depth,
    write_tile,
)
from converters.tflite.reduction import write_reduction
from converters.tflite.resize import write_resize
from converters.tflite.transpose_convolution import write_conv_transpose
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.parsing.importer import NOT_CANONICAL

WRITERS: Mapping[str, Callable[[FileBuilder, Operator], None]] = MappingProxyType(
    {
        "Conv": write_conv,
        "ConvTranspose": write_conv_transpose,
        "Gemm": write_gemm,
        "MatMul": write_matmul,
        "Add": write_elementwise,
        "Sub": write_elementwise,
        "Mul": write_elementwise,
        **dict.fromkeys(("Div", "Min", "Max", "Pow"), write_elementwise),
        "AveragePool": write_average_pool,
        "MaxPool": write_max_pool,
        "Mean": write_mean,
        "Resize": write_resize,
        "Concat": write_concat,
        "Pad": write_pad,
        "Reshape": write_reshape,
        "Transpose": write_transpose,
        "Slice": write_slice,
        "ReflectPad": write_reflect_pad,
        "Gather": write_gather,
        "DepthToSpace": write_depth_to_space,
        "SpaceToDepth": write_space_to_depth,
        "Tile": write_tile,
        "Expand": write_expand,
        "Cast": write_cast,
        "Softmax": write_softmax,
        "ArgMax": write_arg_max,
        "Relu": write_activation,
        "Relu6": write_activation,
        "Clip": write_clip,
        "Sigmoid": write_activation,
        "Tanh": write_activation,
        "HardSwish": write_activation,
        "HardSigmoid": write_hard_sigmoid,
        "LeakyRelu": write_leaky_relu,
        "PRelu": write_p_relu,
        "Gelu": write_gelu,
        **dict.fromkeys(("Abs", "Neg", "Sqrt", "Rsqrt", "Exp", "Log", "Elu"), write_function),
        **dict.fromkeys(("Floor", "Ceil", "Round", "Sin", "Cos"), write_function),
        **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMin"), write_reduction),
        "LogSoftmax": write_log_softmax,
        "L2Norm": write_l2_norm,
        "Quantize": write_quantize,
        "Dequantize": write_dequantize,
    }
)

HINTS = MappingProxyType(
    {
        "BatchNorm": "fold it into the convolution before it (converters.passes.fold_batch_norm)",
    }
)


def tflite_bytes(graph: Graph, *, description: str = "") -> bytes:
    """Write a graph as a TFLite file (schema 3), deterministically: the same graph gives the same bytes.

    Tensor names, shapes, scales and zero points are those of the graph. Nothing is added but: PAD in front of a
    window whose pads are neither SAME nor VALID, zeros for a missing bias, RESHAPE behind an ArgMax that keeps its
    axis.

    Args:
        graph: layout nhwc; int8 (symmetric weights, per channel or per tensor), uint8 (per tensor) or float32.
        description: free text for the file's description field.

    Raises:
        UnsupportedError: another layout, an operator without a rule, or parameters that no kernel computes.
        EngineError: the schema package is missing.
    """
    if graph.layout != "nhwc":
        raise UnsupportedError(
            f"graph '{graph.name}' is {graph.layout}; a TFLite file is nhwc, convert the layout first"
        )
    refuse_unknown(graph)
    builder = FileBuilder(graph)
    for name in graph.inputs:
        builder.tensor(name)
    for operator in graph.operators:
        require_limits(graph, operator)
        WRITERS[operator.kind](builder, operator)
    return builder.finish(description)


def refuse_unknown(graph: Graph) -> None:
    """Refuse (UnsupportedError) a graph with operators outside WRITERS, naming all of them at once."""
    unknown = [operator for operator in graph.operators if operator.kind not in WRITERS]
    if not unknown:
        return
    reasons = [operator.attributes.get(NOT_CANONICAL, "") for operator in unknown]
    said = ", ".join(
        f"{operator.kind} ({operator.name}{reason and ': '}{reason})"
        for operator, reason in zip(unknown, reasons, strict=True)
    )
    hints = sorted({HINTS[operator.kind] for operator in unknown if operator.kind in HINTS})
    hint = "; ".join(hints) or "`edge convert --via onnx2tf` may have a way for it, in float"
    raise UnsupportedError(f"no TFLite rule for {len(unknown)} of {len(graph.operators)} operators: {said}; {hint}")
