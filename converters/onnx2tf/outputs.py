"""Which output of onnx2tf's file is which of the source's: by its signature's names, else by what both answer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.onnx2tf.check import noise_and_signal
from edge.errors import UnsupportedError
from edge.graph.importers.tflite.parsing.file import DAMAGE
from edge.graph.importers.tflite.parsing.schema import pack, schema

Array = npt.NDArray[Any]
CLEARER = 4.0
"""By what factor the noise to any other output of the same shape is larger: 6 dB."""


def output_places(tflite: bytes, names: Sequence[str], expected: Sequence[Array], found: Sequence[Array]) -> list[int]:
    """Where each output of the source stands in the file: its INT8 files have them in any order, without their names.

    Args:
        names: of the source's outputs. expected: what they answer, channels last, float.
        found: what the file's answer to the same images, as real numbers, in its order.

    Raises:
        UnsupportedError: an output of the source that no output of the file has the shape of, or none clearly is.
    """
    named = _signature_names(tflite)
    if sorted(named) == sorted(names) and len(set(names)) == len(names):
        places = [named.index(name) for name in names]
    else:
        places = [_nearest(name, wanted, found) for name, wanted in zip(names, expected, strict=True)]
    for name, wanted, place in zip(names, expected, places, strict=True):
        if found[place].shape != wanted.shape:
            raise UnsupportedError(
                f"onnx2tf's output {place} is {found[place].shape[1:]}; '{name}' should become {wanted.shape[1:]}"
            )
    if len(set(places)) < len(places):
        raise UnsupportedError(
            f"onnx2tf's file does not keep the names of its outputs, and what they answer does not tell "
            f"{', '.join(names)} from each other"
        )
    return places


def _nearest(name: str, wanted: Array, found: Sequence[Array]) -> int:
    """The place of the output that answers what is wanted, with the least noise by far."""
    alike = [place for place, array in enumerate(found) if array.shape == wanted.shape]
    if not alike:
        shapes = ", ".join(str(array.shape[1:]) for array in found)
        raise UnsupportedError(f"onnx2tf's outputs are {shapes}; '{name}' should become {wanted.shape[1:]}")
    noise = {place: noise_and_signal(wanted, found[place])[0] for place in alike}
    first, *others = sorted(alike, key=noise.__getitem__)
    if others and noise[first] * CLEARER >= noise[others[0]]:
        raise UnsupportedError(
            f"onnx2tf's file does not keep the names of its outputs, and outputs {first} and {others[0]} answer what "
            f"'{name}' answers about as well"
        )
    return first


def in_order(tflite: bytes, places: Sequence[int]) -> bytes:
    """The file with its outputs in this order; the same bytes where they are."""
    if list(places) == sorted(places):
        return tflite
    model = schema().ModelT.InitFromPackedBuf(tflite, 0)
    graph = model.subgraphs[0]
    graph.outputs = np.asarray(graph.outputs, np.int32)[list(places)]
    return pack(model)


def _signature_names(tflite: bytes) -> list[str]:
    """What the file's signature calls its outputs, in their order; nothing where it has none, or not of all."""
    try:
        model = schema().ModelT.InitFromPackedBuf(tflite, 0)
        for signature in model.signatureDefs or []:
            if signature.subgraphIndex == 0:
                names = {int(entry.tensorIndex): bytes(entry.name).decode() for entry in signature.outputs}
                return [names[int(index)] for index in model.subgraphs[0].outputs]
    except DAMAGE:
        return []
    return []
