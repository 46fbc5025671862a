"""TFLite_Detection_PostProcess at the end of a TFLite file: box codes and probabilities become four outputs.

Options and tensors as the kernel reads them (tensorflow/lite/kernels/detection_postprocess.cc, `Init` and `Prepare`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import EngineError, UsageError
from edge.graph.importers.tflite.parsing.file import DAMAGE
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.installation import needs
from edge.vision.tflite_detections import PostProcess

CODE = "TFLite_Detection_PostProcess"
OUTPUTS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")
"""The signature's names of them. Tensors are CODE, CODE:1, ... as in the published files: hosts look for these."""
LARGEST_BYTE = 255
FLOAT_BYTES = 4


def with_detection_postprocess(tflite: bytes, anchors: NDArray[np.float32], options: PostProcess) -> bytes:
    """Put the operator behind a file's two outputs.

    Args:
        tflite: ends in box codes (1, anchors, 4) and probabilities (1, anchors, classes), with or without a
            background column; each float32 or uint8.
        anchors: float32 (anchors, 4), centre y, centre x, height, width. Behind uint8 codes they are stored as uint8,
            as the kernel wants them, off by up to half a step of the largest value / 255.

    Returns:
        The file with the same inputs, and outputs float32: boxes (1, most, 4) as y0, x0, y1, x1, classes (1, most),
        scores (1, most), and how many there are (1,).

    Raises:
        UsageError: other outputs, anchors of another number, or more classes than columns.
        EngineError: a package is missing.
    """
    module = schema()
    model = module.ModelT.InitFromPackedBuf(tflite)
    graph = model.subgraphs[0]
    heads = [int(index) for index in graph.outputs]
    ends = [graph.tensors[index] for index in heads]
    _check(module, ends, anchors, options)
    float32 = module.TensorType.FLOAT32
    model.buffers.append(_anchor_buffer(module, ends[0], anchors))
    stored = module.TensorT(
        shape=np.array(anchors.shape, np.int32),
        type=ends[0].type,
        buffer=len(model.buffers) - 1,
        name="anchors",
        quantization=_parameters(module, ends[0], anchors),
        hasRank=True,
    )
    shapes = ((1, options.most, 4), (1, options.most), (1, options.most), (1,))
    made = [
        module.TensorT(
            shape=np.array(shape, np.int32),
            type=float32,
            buffer=0,
            name=CODE if not place else f"{CODE}:{place}",
            quantization=module.QuantizationParametersT(),
            hasRank=True,
        )
        for place, shape in enumerate(shapes)
    ]
    first = len(graph.tensors)
    graph.tensors += [stored, *made]
    outputs = np.arange(first + 1, first + 1 + len(made), dtype=np.int32)
    custom = module.BuiltinOperator.CUSTOM
    model.operatorCodes.append(
        module.OperatorCodeT(deprecatedBuiltinCode=custom, builtinCode=custom, customCode=CODE, version=1)
    )
    operator = module.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1,
        inputs=np.array([*heads, first], np.int32),
        outputs=outputs,
        customOptions=np.frombuffer(_options(options), np.uint8),
        customOptionsFormat=module.CustomOptionsFormat.FLEXBUFFERS,
    )
    graph.operators = [*(graph.operators or []), operator]
    graph.outputs = outputs
    for signature in model.signatureDefs or []:
        signature.outputs = [
            module.TensorMapT(name=name, tensorIndex=int(index)) for name, index in zip(OUTPUTS, outputs, strict=True)
        ]
    return pack(model)


def post_process_classes(tflite: bytes) -> int | None:
    """How many classes the operator of a file knows, without the background; None where no operator says it."""
    from flatbuffers import flexbuffers

    try:
        model = schema().ModelT.InitFromPackedBuf(tflite)
        for operator in model.subgraphs[0].operators or []:
            code = model.operatorCodes[operator.opcodeIndex].customCode
            if code in (CODE, CODE.encode()) and operator.customOptions is not None:
                told = flexbuffers.Loads(bytes(bytearray(operator.customOptions)))
                count = told.get("num_classes") if isinstance(told, dict) else None
                return count if isinstance(count, int) else None
    except DAMAGE:
        return None
    return None


def _check(module: Any, ends: list[Any], anchors: NDArray[np.float32], options: PostProcess) -> None:
    types = (module.TensorType.FLOAT32, module.TensorType.UINT8)
    shapes = [tuple(int(size) for size in tensor.shape) for tensor in ends]
    count = len(anchors)
    if [shape[:2] for shape in shapes] != [(1, count)] * 2 or [len(shape) for shape in shapes] != [3, 3]:
        raise UsageError(
            f"outputs of shapes {shapes} for {count} anchors; expected (1, {count}, 4) and (1, {count}, n)"
        )
    if shapes[0][2] != 4 or anchors.shape != (count, 4):
        raise UsageError(f"box codes {shapes[0]} and anchors {anchors.shape}; both have four numbers each")
    if shapes[1][2] - options.classes not in (0, 1):
        raise UsageError(
            f"{shapes[1][2]} columns of probabilities for {options.classes} classes; as many, or one more for the "
            "background"
        )
    if any(tensor.type not in types for tensor in ends):
        raise UsageError("the operator reads float32 and uint8 alone: put a Dequantize or Quantize before it")


def _parameters(module: Any, codes: Any, anchors: NDArray[np.float32]) -> Any:
    if codes.type == module.TensorType.FLOAT32:
        return module.QuantizationParametersT()
    step = np.array([anchors.max() / LARGEST_BYTE], "<f4")  # anchors are above 0
    return module.QuantizationParametersT(scale=step, zeroPoint=np.array([0], "<i8"), quantizedDimension=0)


def _anchor_buffer(module: Any, codes: Any, anchors: NDArray[np.float32]) -> Any:
    if codes.type == module.TensorType.FLOAT32:
        values = np.ascontiguousarray(anchors, "<f4").reshape(-1).view(np.uint8)
    else:
        step = np.float32(anchors.max() / LARGEST_BYTE)
        values = np.rint(anchors / step).clip(0, LARGEST_BYTE).astype(np.uint8).reshape(-1)
    return module.BufferT(data=values)


def _options(options: PostProcess) -> bytes:
    """The kernel's options as a flexbuffer map."""
    try:
        from flatbuffers import flexbuffers
    except ImportError as error:
        raise EngineError(f"writing the operator's options {needs('flatbuffers')}") from error
    builder = flexbuffers.Builder()
    y_scale, x_scale, height_scale, width_scale = options.coder.scales
    with builder.Map():
        builder.Int("max_detections", options.most)
        builder.Int("max_classes_per_detection", 1)
        builder.Int("detections_per_class", options.per_class)
        builder.Bool("use_regular_nms", options.regular)
        builder.Float("nms_score_threshold", options.threshold, FLOAT_BYTES)
        builder.Float("nms_iou_threshold", options.overlap, FLOAT_BYTES)
        builder.Int("num_classes", options.classes)
        builder.Float("y_scale", y_scale, FLOAT_BYTES)
        builder.Float("x_scale", x_scale, FLOAT_BYTES)
        builder.Float("h_scale", height_scale, FLOAT_BYTES)
        builder.Float("w_scale", width_scale, FLOAT_BYTES)
    return bytes(builder.Finish())
