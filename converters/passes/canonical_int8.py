"""Shifting integers between signed and unsigned types without changing what they stand for."""

from dataclasses import replace

import numpy as np

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Quantization, Tensor

SHIFT = 128
INT16_SHIFT = 32768


def canonical_int8(graph: Graph) -> Graph:
    """Make every quantized uint8 tensor int8: value and zero point less 128, the same real numbers; uint16 so int16.

    Requires: nothing.
    Ensures: no quantized tensor is unsigned; names, scales and real values are unchanged.

    Raises:
        UnsupportedError: a 16-bit activation with a zero point, which TFLite's 16x8 kernels do not have.
    """
    graph = graph.with_tensors(_signed_16(tensor) for tensor in graph.tensors.values() if _is(tensor, "uint16"))
    for tensor in graph.tensors.values():
        if _is(tensor, "int16") and tensor.quantization is not None and tensor.quantization.zero_point.any():
            raise UnsupportedError(
                f"'{tensor.name}' is int16 with zero point {tensor.quantization.zero_point[0]}; TFLite's 16-bit "
                "activations are symmetric: quantize with ActivationSymmetric"
            )
    return graph.with_tensors(_shifted(tensor, "int8") for tensor in graph.tensors.values() if _is(tensor, "uint8"))


def _signed_16(tensor: Tensor) -> Tensor:
    assert tensor.quantization is not None
    zero_point = tensor.quantization.zero_point - INT16_SHIFT
    quantization = Quantization(scale=tensor.quantization.scale, zero_point=zero_point, axis=tensor.quantization.axis)
    data = None if tensor.data is None else (tensor.data.astype(np.int32) - INT16_SHIFT).astype(np.int16)
    return replace(tensor, dtype="int16", data=data, quantization=quantization)


def uint8_activations(graph: Graph) -> Graph:
    """Make every quantized int8 activation uint8: zero point plus 128, the same real numbers. Constants stay.

    Requires: nothing.
    Ensures: names, scales and real values are unchanged; weights stay int8 and biases int32.
    """
    chosen = (tensor for tensor in graph.tensors.values() if _is(tensor, "int8") and tensor.data is None)
    return graph.with_tensors(_shifted(tensor, "uint8") for tensor in chosen)


def _is(tensor: Tensor, dtype: str) -> bool:
    return tensor.dtype == dtype and tensor.quantization is not None


def _shifted(tensor: Tensor, dtype: str) -> Tensor:
    assert tensor.quantization is not None
    shift = SHIFT if dtype == "uint8" else -SHIFT
    quantization = Quantization(
        scale=tensor.quantization.scale,
        zero_point=tensor.quantization.zero_point + shift,
        axis=tensor.quantization.axis,
    )
    data = None if tensor.data is None else (tensor.data.astype(np.int16) + shift).astype(dtype)
    return replace(tensor, dtype=dtype, data=data, quantization=quantization)
