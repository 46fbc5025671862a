"""Pixels in, uint8 out: the form of an integer model that Android's task libraries and mediapipe's tasks load.

They hand the 8-bit pixels over as they are and know no int8 inputs or outputs. The product's own input is a look-up of
each pixel (normalize, then quantize, folded into 256 integers per channel), and a look-up can stand in the file, so the
integers inside stay exactly the same.
"""

from dataclasses import dataclass, field

import numpy as np

from edge.errors import UnsupportedError, UsageError
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild
from edge.vision.pixels import Quantized, quantize_table
from edge.vision.preprocess import Preprocess

SHIFT = 128


@dataclass(kw_only=True)
class _Builder:
    """Operators and tensors that are put around a graph."""

    taken: set[str]
    tensors: dict[str, Tensor]
    operators: list[Operator] = field(default_factory=list)

    def tensor(self, name: str, shape: tuple[int, ...], dtype: str, quantization: Quantization | None = None) -> str:
        chosen = fresh_name(name, self.taken)
        self.taken.add(chosen)
        self.tensors[chosen] = Tensor(name=chosen, shape=shape, dtype=dtype, quantization=quantization)
        return chosen

    def constant(self, name: str, data: Quantized, quantization: Quantization) -> str:
        chosen = fresh_name(name, self.taken)
        self.taken.add(chosen)
        self.tensors[chosen] = Tensor(
            name=chosen, shape=data.shape, dtype=data.dtype.name, quantization=quantization, data=data
        )
        return chosen

    def operator(self, kind: str, inputs: tuple[str, ...], output: str, **attributes: object) -> None:
        self.operators.append(
            Operator(kind=kind, name=f"boundary.{output}", inputs=inputs, outputs=(output,), attributes=attributes)
        )


def uint8_boundaries(graph: Graph, preprocess: Preprocess, *, input_alone: bool = False) -> Graph:
    """Put pixels in front of an integer model's input, and uint8 behind its int8 outputs.

    Args:
        input_alone: leave the outputs as they are, for a post-process head that follows.

    Requires: nhwc, one int8 or uint8 input (1, height, width, 3), 8-bit or integer outputs.
    Ensures: the same integers inside. The input `pixels` is uint8 (1, height, width, 3) in the model's colour order.
    It becomes the old input by one Quantize where the look-up only subtracts 128 (by nothing where a uint8 input takes
    pixels already), else by a Gather out of a table of 256 integers, one for all channels where they share it. An int8
    output becomes uint8, its zero point 128 higher: the same real values. Class maps stay as they are.

    Raises:
        UsageError: a float model, another input, or channels in BGR order, which task libraries do not deliver.
    """
    given = graph.tensors[graph.inputs[0]]
    if given.dtype not in ("int8", "uint8") or given.quantization is None:
        raise UsageError(f"--io uint8 is for INT8 models; input '{given.name}' is {given.dtype}")
    if graph.layout != "nhwc" or len(graph.inputs) != 1 or given.shape[0] != 1 or given.shape[3:] != (3,):
        raise UsageError(f"--io uint8: input '{given.name}' is {given.shape}; expected one (1, height, width, 3)")
    if preprocess.colour_order != "rgb":
        raise UsageError("--io uint8: task libraries deliver RGB, and this model takes BGR")
    builder = _Builder(taken=set(graph.tensors), tensors=dict(graph.tensors))
    pixels = _input(builder, given, given.quantization, preprocess)
    builder.operators += graph.operators
    outputs = graph.outputs
    if not input_alone:
        outputs = tuple(_output(builder, graph.tensors[name]) for name in graph.outputs)
    return rebuild(graph, builder.operators, builder.tensors, inputs=(pixels,), outputs=outputs)


def _input(builder: _Builder, given: Tensor, parameters: Quantization, preprocess: Preprocess) -> str:
    scale, zero_point = float(parameters.scale[0]), int(parameters.zero_point[0])
    if given.dtype == "uint8":
        table = quantize_table(preprocess, scale, zero_point, "uint8")  # (3, 256)
        if (table == np.arange(256)).all():
            return given.name
    else:
        table = quantize_table(preprocess, scale, zero_point, "int8")
    if given.dtype == "int8" and (table == np.arange(-SHIFT, SHIFT)).all():
        pixels = builder.tensor("pixels", given.shape, "uint8", _shifted(parameters))
        builder.operator("Quantize", (pixels,), given.name)
        return pixels
    pixels = builder.tensor("pixels", given.shape, "uint8")
    if (table == table[0]).all():
        _look_up(builder, pixels, given.shape, table[0], parameters, given.name)
        return pixels
    n, height, width, _ = given.shape
    planes = []
    for channel in range(3):
        plane = builder.tensor(f"pixels_{channel}", (n, height, width, 1), "uint8")
        begin, end = (0, 0, 0, channel), (n, height, width, channel + 1)
        builder.operator("Slice", (pixels,), plane, begin=begin, end=end, strides=(1, 1, 1, 1))
        looked_up = builder.tensor(f"{given.name}_{channel}", (n, height, width, 1), given.dtype, parameters)
        _look_up(builder, plane, (n, height, width, 1), table[channel], parameters, looked_up)
        planes.append(looked_up)
    builder.operator("Concat", tuple(planes), given.name, axis=3)
    return pixels


def _look_up(
    builder: _Builder,
    pixels: str,
    shape: tuple[int, ...],
    table: Quantized,
    parameters: Quantization,
    result: str,
) -> None:
    indices = builder.tensor(f"{pixels}_as_indices", shape, "int32")
    builder.operator("Cast", (pixels,), indices)
    builder.operator("Gather", (builder.constant(f"{result}_table", table, parameters), indices), result, axis=0)


def _output(builder: _Builder, output: Tensor) -> str:
    if output.dtype == "uint8" or (output.quantization is None and output.dtype in ("int32", "int64")):
        return output.name
    if output.dtype != "int8" or output.quantization is None:
        raise UnsupportedError(f"--io uint8: output '{output.name}' is {output.dtype}; expected int8 or a class map")
    name = builder.tensor(f"{output.name}_uint8", output.shape, "uint8", _shifted(output.quantization))
    builder.operator("Quantize", (output.name,), name)
    return name


def _shifted(parameters: Quantization) -> Quantization:
    """The parameters of the same real values in uint8."""
    return Quantization(scale=parameters.scale, zero_point=parameters.zero_point + SHIFT)
