"""Shifting 8-bit integers between int8 and uint8 without changing what they stand for."""

from dataclasses import replace

import numpy as np

from edge.graph.graph import Graph, Quantization, Tensor

SHIFT = 128


def canonical_int8(graph: Graph) -> Graph:
    """Make every quantized uint8 tensor int8: value and zero point less 128, the same real numbers.

    Requires: nothing.
    Ensures: no quantized tensor is uint8; names, scales and real values are unchanged.
    """
    return graph.with_tensors(_shifted(tensor, "int8") for tensor in graph.tensors.values() if _is(tensor, "uint8"))


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
