"""What onnx2tf wrote is checked before it is believed: a sound file, the same signature, builtin operators, values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.engine import Session
from edge.engines.output_difference import FLOAT_TOLERANCE, largest_magnitude, values_apart
from edge.errors import UnsupportedError
from edge.graph.graph import Graph
from edge.graph.importers.tflite.parsing.file import load_bytes, parse
from edge.graph.importers.tflite.parsing.schema import names_of, schema
from edge.graph.importers.tflite.reader import read_tflite
from edge.port import Port

Array = npt.NDArray[Any]
# A quantized file must at least be recognizable as the same network.
LEAST_SQNR_DB = 6.0
SPARE_BYTES = 16 * 1024 * 1024


def check_file(tflite: bytes, source_bytes: int) -> Graph:
    """Open the file with this product's reader, which believes no size. Gives its graph.

    Raises:
        ModelFileError: damaged. UnsupportedError: operators that only TensorFlow has, or far too many bytes.
    """
    if len(tflite) > 4 * source_bytes + SPARE_BYTES:
        raise UnsupportedError(f"onnx2tf wrote {len(tflite)} bytes from a source of {source_bytes}")
    data, where = load_bytes(tflite)
    builtin = set(names_of(schema().BuiltinOperator).values()) - {"CUSTOM"}
    strange = sorted({operator.code for operator in parse(data, where).operators} - builtin)
    if strange:
        raise UnsupportedError(
            f"onnx2tf's file holds operators that are no TFLite builtin: {', '.join(strange)}; no runtime here has them"
        )
    return read_tflite(tflite)


def check_signature(source: Session, graph: Graph) -> None:
    """As many inputs and outputs as the source has, and its inputs: rank 4 with its channels last, others as they were.

    Raises:
        UnsupportedError: otherwise, naming the first.
    """
    for side, ports, names in (("input", source.inputs, graph.inputs), ("output", source.outputs, graph.outputs)):
        if len(ports) != len(names):
            raise UnsupportedError(f"onnx2tf's file has {len(names)} {side}s, the source {len(ports)}")
    for port, name in zip(source.inputs, graph.inputs, strict=True):
        expected, found = nhwc_shape(port), graph.tensors[name].shape
        if expected != found:
            raise UnsupportedError(f"onnx2tf's input '{name}' is {found}; '{port.name}' should become {expected}")


def nhwc_shape(port: Port) -> tuple[int, ...]:
    """The shape of a source's input or output in the TFLite file."""
    shape = tuple(port.shape)
    return (shape[0], *shape[2:], shape[1]) if len(shape) == 4 else shape


def as_nhwc(array: Array) -> Array:
    """A source's array as the TFLite file has it."""
    return np.ascontiguousarray(np.moveaxis(array, 1, -1)) if array.ndim == 4 else array


def check_values(expected: Sequence[Array], found: Sequence[Array], *, quantized: bool) -> str:
    """Compare outputs, all as real numbers in one layout; say in words how far they are apart.

    Args:
        expected: ONNX Runtime's answers to the source. found: LiteRT's to the file, dequantized.
        quantized: the file's integers are onnx2tf's own choice, so only its signal-to-noise ratio is looked at.

    Raises:
        UnsupportedError: further apart than FLOAT_TOLERANCE, or LEAST_SQNR_DB.
    """
    apart = [values_apart(first, second) for first, second in zip(expected, found, strict=True)]
    largest = max(float(one.max(initial=0.0)) for one in apart)
    magnitude = max(largest_magnitude(first) for first in expected)
    if not np.isfinite(largest):
        raise UnsupportedError("onnx2tf's file gives numbers that are not finite where the source gives others")
    if not quantized:
        if largest > FLOAT_TOLERANCE * magnitude:
            raise UnsupportedError(
                f"onnx2tf's file differs from the source by {largest:.2e}; {FLOAT_TOLERANCE * magnitude:.2e} is allowed"
            )
        return f"largest difference from the source {largest:.1e}, its largest value {magnitude:.3g}"
    each = [noise_and_signal(first, second) for first, second in zip(expected, found, strict=True)]
    noise, signal = sum(one for one, _ in each), sum(one for _, one in each)
    ratio_db = float("inf") if noise == 0 else 10 * float(np.log10(max(signal, 1e-30) / noise))
    if ratio_db < LEAST_SQNR_DB:
        raise UnsupportedError(
            f"onnx2tf's quantized file has {ratio_db:.1f} dB of signal to noise; {LEAST_SQNR_DB:g} are the least"
        )
    return f"signal to quantization noise {ratio_db:.1f} dB against the float source"


def noise_and_signal(expected: Array, found: Array) -> tuple[float, float]:
    """The energy of what two arrays of one shape are apart by, and that of the expected one's finite numbers."""
    finite = expected[np.isfinite(expected)].astype(np.float64)
    return float(np.square(values_apart(expected, found)).sum()), float(np.square(finite).sum())


def written(folder: Path, name: str, data: bytes) -> Path:
    """The bytes as a file, for an engine to open."""
    path = folder / name
    path.write_bytes(data)
    return path
