"""Running a written TFLite file on generated inputs, and holding it against the graph that it was written from."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.packaging.package import precision_of
from converters.passes.layout.axis_order import TO_NHWC
from edge.engines.engine import EngineInfo
from edge.engines.litert import open_litert
from edge.engines.output_difference import FLOAT_TOLERANCE, largest_magnitude, values_apart
from edge.errors import EngineError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.files.leftovers import temporary_folder
from edge.graph.graph import Graph, Tensor

Array = npt.NDArray[Any]
SAMPLES = 3


@dataclass(frozen=True, kw_only=True)
class OutputCheck:
    """One output of the file against its reference on generated inputs.

    Attributes:
        values, differing: how many were compared, and how many of an integer output differ (of a float one: by more
            than FLOAT_TOLERANCE of its largest magnitude).
        largest: the largest difference, in quanta or absolute.
    """

    name: str
    values: int
    differing: int
    largest: float


@dataclass(frozen=True, kw_only=True)
class FileCheck:
    """What the check of a written file found: the runtime that ran it, and each output."""

    info: EngineInfo
    reference: str
    samples: int
    outputs: tuple[OutputCheck, ...]


def check_file(source: Graph, data: bytes, *, keep_nchw_io: bool = False, seed: int = 0) -> FileCheck:
    """Run a TFLite file on generated inputs and compare it with the graph (NCHW) that it was written from.

    Raises:
        EngineError: LiteRT is not installed or refuses the file.
        UnsupportedError: an operator without a formula to compare with, by name.
    """
    random = np.random.default_rng(seed)
    integer = precision_of(source) != "float32"
    reference = IntegerSimulation(source) if integer else FloatRun(source)
    found: list[list[Array]] = []
    expected: list[list[Array]] = []
    with temporary_folder() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        session = open_litert(path)
        for _ in range(SAMPLES):
            inputs = [generated_input(random, source.tensors[name]) for name in source.inputs]
            fed = [array if keep_nchw_io else _channels_last(array) for array in inputs]
            found.append(session.run(fed))
            given = reference.run(inputs)
            expected.append([array if keep_nchw_io else _channels_last(array) for array in given])
    outputs = tuple(
        _compared(name, [sample[k] for sample in expected], [sample[k] for sample in found])
        for k, name in enumerate(source.outputs)
    )
    name = "integer simulation" if integer else "float32 execution"
    return FileCheck(info=session.info, reference=name, samples=SAMPLES, outputs=outputs)


def generated_input(random: np.random.Generator, tensor: Tensor) -> Array:
    """Values of an input: normal for floats, the whole range for quantized integers, 0 and 1 for plain ones."""
    if tensor.dtype.startswith("float"):
        return random.normal(size=tensor.shape).astype(tensor.dtype)
    if tensor.quantization is None:
        return random.integers(0, 2, tensor.shape).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    return random.integers(limits.min, limits.max, tensor.shape, endpoint=True).astype(tensor.dtype)


def _channels_last(array: Array) -> Array:
    return np.ascontiguousarray(array.transpose(TO_NHWC)) if array.ndim == 4 else array


def _compared(name: str, expected: Sequence[Array], found: Sequence[Array]) -> OutputCheck:
    first, second = np.stack(expected), np.stack(found)
    if first.shape != second.shape:
        raise EngineError(f"output '{name}' has shape {second.shape[1:]}, expected {first.shape[1:]}")
    apart = values_apart(first, second)
    allowed = 0.0
    if np.issubdtype(first.dtype, np.floating):
        allowed = FLOAT_TOLERANCE * max(largest_magnitude(first), 1e-6)
    differing = int(np.count_nonzero(~(apart <= allowed)))
    return OutputCheck(name=name, values=apart.size, differing=differing, largest=float(apart.max(initial=0.0)))


def refuse_wrong(source: Path, check: FileCheck, *, integer: bool) -> None:
    """Refuse (EngineError) a file whose answers differ.

    Args:
        integer: every operator computes on integers: then not one value may differ, where the kernels are those of
            XNNPACK on x86-64; other kernels are not judged. Of a float model's values 1 in 100 may differ, as an
            arg-max flips between equal values.
    """
    if integer and (check.info.kernels, check.info.machine) != ("xnnpack", "x86_64"):
        return
    for output in check.outputs:
        allowed = 0 if integer else output.values // 100
        if output.differing > allowed:
            raise EngineError(
                f"{source}: output '{output.name}' of the TFLite file differs from the {check.reference} in "
                f"{output.differing} of {output.values} values, by up to {output.largest:g}; nothing was written"
            )
