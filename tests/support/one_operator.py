"""One-operator integer graphs with random parameters, and their answer from LiteRT: what a formula is held against."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.writer import tflite_bytes
from edge.engines.engine import EngineInfo
from edge.engines.litert import open_litert
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Scale and zero point of an int8 activation."""

    scale: float
    zero_point: int


def activation(name: str, shape: Sequence[int], parameters: Parameters, dtype: str = "int8") -> Tensor:
    """An 8-bit activation."""
    quantization = per_tensor(np.float32(parameters.scale), parameters.zero_point)
    return Tensor(name=name, shape=tuple(shape), dtype=dtype, quantization=quantization)


def graph_of(
    kind: str, inputs: Sequence[Tensor], output: Tensor, attributes: Mapping[str, Any], constants: Sequence[Tensor] = ()
) -> Graph:
    """A graph (nhwc) of one operator over activations and constants."""
    operator = Operator(
        kind=kind,
        name=kind.lower(),
        inputs=tuple(tensor.name for tensor in (*inputs, *constants)),
        outputs=(output.name,),
        attributes=attributes,
    )
    tensors = {tensor.name: tensor for tensor in (*inputs, *constants, output)}
    return Graph(
        name=kind.lower(),
        layout="nhwc",
        operators=(operator,),
        tensors=tensors,
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=(output.name,),
    )


def weight_and_bias(
    weight: Array, weight_scale: npt.NDArray[np.float32], bias: Array, scale_in: np.float32
) -> tuple[Tensor, Tensor]:
    """Constants of a convolution or fully connected layer: int8 (O, ...) and int32 (O,)."""
    zeros = np.zeros(weight_scale.size, np.int64)
    axis = 0 if weight_scale.size > 1 else None
    return (
        Tensor(
            name="weight",
            shape=weight.shape,
            dtype="int8",
            data=weight.astype(np.int8),
            quantization=Quantization(scale=weight_scale, zero_point=zeros, axis=axis),
        ),
        Tensor(
            name="bias",
            shape=bias.shape,
            dtype="int32",
            data=bias.astype(np.int32),
            quantization=Quantization(scale=np.float32(scale_in) * weight_scale, zero_point=zeros, axis=axis),
        ),
    )


def conv_graph(
    source: Tensor,
    target: Tensor,
    weight: Array,
    weight_scale: npt.NDArray[np.float32],
    bias: Array,
    **changed: Any,
) -> Graph:
    """A Conv; strides, pads, dilations 1, group 1 and no activation unless changed."""
    assert source.quantization is not None
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    constants = weight_and_bias(weight, weight_scale, bias, source.quantization.scale[0])
    return graph_of("Conv", (source,), target, {**attributes, **changed}, constants)


def litert_outputs(graph: Graph, inputs: Sequence[Array], kernels: str | None = None) -> tuple[list[Array], EngineInfo]:
    """Write the graph as TFLite and run it in LiteRT; the outputs and what really ran."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite_bytes(graph))
        session = open_litert(path, kernels=kernels)
        return session.run(inputs), session.info


RANGES: Mapping[str, tuple[int, int]] = MappingProxyType(
    {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
)


def random_input(random: np.random.Generator, tensor: Tensor) -> Array:
    """Uniform integers over the whole type."""
    low, high = RANGES[tensor.dtype]
    return random.integers(low, high + 1, tensor.shape).astype(tensor.dtype)
