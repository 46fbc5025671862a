"""Operators that rearrange or repeat values: Gather, DepthToSpace, SpaceToDepth, Tile, Expand, ReflectPad, and Cast."""

import numpy as np

from converters.tflite.file_builder import FileBuilder
from converters.tflite.parameters import int8_version, require_same_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import Operator
from edge.graph.importers.tflite.parsing.schema import DTYPES

LARGEST_BROADCAST_RANK = 8


def write_gather(builder: FileBuilder, operator: Operator) -> None:
    """Write a gather along one axis; the indices are int32 or int64. Parameters stay as they are."""
    data, indices = operator.inputs
    _require_kept(builder, operator)
    dtype = builder.graph.tensors[indices].dtype
    if dtype not in ("int32", "int64"):
        raise UnsupportedError(f"Gather '{operator.name}': indices of {dtype}; int32 and int64 are known")
    builder.operator(
        "GATHER",
        [builder.tensor(data), builder.tensor(indices)],
        [builder.tensor(operator.outputs[0])],
        version=int8_version(builder.graph, operator, int8=2),
        options="GatherOptions",
        axis=operator.attributes["axis"],
    )


def write_depth_to_space(builder: FileBuilder, operator: Operator) -> None:
    """Write a DCR depth-to-space; `converters.passes.legalize_depth_to_space` turns CRD into it."""
    if operator.attributes["mode"] != "DCR":
        raise UnsupportedError(
            f"DepthToSpace '{operator.name}': mode {operator.attributes['mode']}; TFLite knows DCR, "
            "legalize_depth_to_space makes it of CRD"
        )
    _write_blocks(builder, operator, "DEPTH_TO_SPACE", "DepthToSpaceOptions")


def write_space_to_depth(builder: FileBuilder, operator: Operator) -> None:
    """Write a space-to-depth."""
    _write_blocks(builder, operator, "SPACE_TO_DEPTH", "SpaceToDepthOptions")


def _write_blocks(builder: FileBuilder, operator: Operator, code: str, options: str) -> None:
    require_same_parameters(builder.graph, operator)
    builder.operator(
        code,
        [builder.tensor(operator.inputs[0])],
        [builder.tensor(operator.outputs[0])],
        options=options,
        blockSize=operator.attributes["block"],
    )


def write_tile(builder: FileBuilder, operator: Operator) -> None:
    """Write a tile."""
    require_same_parameters(builder.graph, operator)
    repeats = builder.constant(operator, "repeats", np.array(operator.attributes["repeats"], np.int32))
    inputs, outputs = [builder.tensor(operator.inputs[0]), repeats], [builder.tensor(operator.outputs[0])]
    builder.operator("TILE", inputs, outputs)


def write_expand(builder: FileBuilder, operator: Operator) -> None:
    """Write an expansion as BROADCAST_TO. Refuses (UnsupportedError) over 8 axes."""
    require_same_parameters(builder.graph, operator)
    shape = np.array(operator.attributes["shape"], np.int32)
    if shape.size > LARGEST_BROADCAST_RANK:
        raise UnsupportedError(f"Expand '{operator.name}': {shape.size} axes; BROADCAST_TO has at most 8")
    inputs = [builder.tensor(operator.inputs[0]), builder.constant(operator, "shape", shape)]
    version = int8_version(builder.graph, operator, int8=3, other=2)
    builder.operator("BROADCAST_TO", inputs, [builder.tensor(operator.outputs[0])], version=version)


def write_reflect_pad(builder: FileBuilder, operator: Operator) -> None:
    """Write a reflecting pad as MIRROR_PAD."""
    require_same_parameters(builder.graph, operator)
    pads = builder.constant(operator, "pads", np.array(operator.attributes["pads"], np.int32))
    inputs, outputs = [builder.tensor(operator.inputs[0]), pads], [builder.tensor(operator.outputs[0])]
    version = int8_version(builder.graph, operator, int8=2)
    reflect = int(builder.schema.MirrorPadMode.REFLECT)
    builder.operator("MIRROR_PAD", inputs, outputs, version=version, options="MirrorPadOptions", mode=reflect)


def write_cast(builder: FileBuilder, operator: Operator) -> None:
    """Write a cast between plain numbers. Refuses (UnsupportedError) quantized ones: they are changed by Quantize."""
    source, target = (builder.graph.tensors[name] for name in (operator.inputs[0], operator.outputs[0]))
    for tensor in (source, target):
        if tensor.quantization is not None:
            raise UnsupportedError(f"Cast '{operator.name}': '{tensor.name}' is quantized; Quantize changes parameters")
    types = [int(getattr(builder.schema.TensorType, DTYPES[tensor.dtype])) for tensor in (source, target)]
    inputs, outputs = [builder.tensor(source.name)], [builder.tensor(target.name)]
    builder.operator("CAST", inputs, outputs, options="CastOptions", inDataType=types[0], outDataType=types[1])


def _require_kept(builder: FileBuilder, operator: Operator) -> None:
    """Refuse (UnsupportedError) a data input and an output of different dtype or parameters."""
    source, target = (builder.graph.tensors[name] for name in (operator.inputs[0], operator.outputs[0]))
    same = source.quantization is target.quantization is None or (
        source.quantization is not None and source.quantization.same_as(target.quantization)
    )
    if source.dtype != target.dtype or not same:
        raise UnsupportedError(
            f"{operator.kind} '{operator.name}': input '{source.name}' and output have other parameters; tie them"
        )
