"""A graph becomes an artifact: files written, expected outputs simulated, this machine's runtimes compared."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.packaging.description import Description
from converters.packaging.package import Contents, ModelFiles, write_artifact, write_model_files
from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.artifact.point_head import PointHeadFiles
from edge.engines.engine import open_session
from edge.engines.output_difference import (
    ANY_KERNELS,
    CLASS_MAP_TOLERANCE,
    FLOAT_TOLERANCE,
    is_share,
    kernel_key,
    largest_magnitude,
)
from edge.engines.table import ENGINES, PREFERRED
from edge.errors import EngineError, UnsupportedError, UsageError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.files.leftovers import temporary_folder
from edge.graph.analyses.float_operators import computes_in_float
from edge.graph.graph import Graph
from edge.predictor.artifact_session import give_batch
from edge.predictor.point_selftest import head_inputs
from edge.predictor.selftest import held_to_sense, model_input, promised, told_difference, told_meanings
from edge.predictor.selftest_archive import selftest_bytes
from edge.vision.file_outputs import outputs_in_form

# As FLOAT_TOLERANCE where an INT8 file ends in float operators: what some quanta before them can make.
FLOAT_END = 0.05


def build_artifact(
    graph: Graph,
    description: Description,
    folder: Path,
    *,
    images: npt.NDArray[np.uint8],
    allow_float: frozenset[str] = frozenset(),
) -> Artifact:
    """Write a graph as an artifact folder.

    Args:
        graph: NCHW, batch 1; int8 or float32.
        images: uint8 (n, height, width, 3), what `resize` returns: the inputs of the self-test.
        allow_float: kinds of operators that may stay in float in an INT8 file.

    Raises:
        UnsupportedError: an operator that cannot be written, or would stay in float.
        UsageError: the images do not fit the preprocessing.
        FileError: the folder cannot be written.
    """
    size = (description.preprocess.height, description.preprocess.width, 3)
    if images.ndim != 4 or images.shape[1:] != size or images.dtype != np.uint8 or len(images) == 0:
        raise UsageError(f"self-test images are {images.dtype} {images.shape}, the model takes uint8 (n, {size})")
    written = write_model_files(graph, description, allow_float=allow_float)
    expected = expected_outputs(written, description, images)
    allowed = measured_bounds(written, description, images, expected, written.graph)
    if written.head is not None:
        given = _head_inputs(written, written.head, description, expected)
        source = source_of(written.head.files)
        of_head = _answers(written.head, given[source.path], description)
        allowed |= _bounds(written.head, lambda file: given[file.path], of_head, written.head.graph)
        expected |= of_head
    selftest = selftest_bytes(images, {name: outputs for name, outputs in expected.items() if name in allowed})
    return write_artifact(folder, written, description, selftest=selftest, allowed=allowed)


def _head_inputs(
    written: ModelFiles, head: ModelFiles, description: Description, expected: Mapping[str, list[npt.NDArray[Any]]]
) -> dict[str, npt.NDArray[Any]]:
    """What each file of a point head is given by the network's file beside it, on the self-test's images."""
    size_hw = (description.preprocess.height, description.preprocess.width)
    rule = PointHeadFiles(steps=1, files=head.files).rule(size_hw)
    given = {}
    for file in head.files:
        network = next(one for one in written.files if (one.format, one.role) == (file.format, file.role))
        given[file.path] = head_inputs(expected[network.path], network.outputs, file.inputs[0], rule)
    return given


def source_of(files: Sequence[ModelFile]) -> ModelFile:
    """The file that the others were written from: `source.onnx` where there is one, else `model.onnx`."""
    return min((file for file in files if file.format == "onnx"), key=lambda file: file.role != "source")


def expected_outputs(
    written: ModelFiles, description: Description, images: npt.NDArray[np.uint8]
) -> dict[str, list[npt.NDArray[Any]]]:
    """What each file must answer: the integer simulation of the source, in the file's own layout and integers."""
    source = source_of(written.files)
    raw = model_input(images, source, description.preprocess)
    return _answers(written, raw, description)


def _answers(written: ModelFiles, raw: npt.NDArray[Any], description: Description) -> dict[str, list[npt.NDArray[Any]]]:
    source = source_of(written.files)
    reference = (IntegerSimulation if written.precision != "float32" else FloatRun)(written.graph)
    outputs = reference.run([raw])
    for name, array in zip(written.graph.outputs, outputs, strict=True):
        if np.isnan(array).any() or (array.size and not np.isfinite(array).any()):
            raise UnsupportedError(f"output '{name}' is not a number on the self-test's images: the weights overflow")
    before = [output.described for output in source.outputs]
    detector = None if description.detection is None else description.detection.detector
    return {
        file.path: outputs_in_form(outputs, before, [output.described for output in file.outputs], detector)
        for file in written.files
    }


def measured_bounds(
    written: Contents,
    description: Description,
    images: npt.NDArray[np.uint8],
    expected: Mapping[str, list[npt.NDArray[Any]]],
    graph: Graph | None,
) -> dict[str, dict[str, float]]:
    """The largest difference allowed per file and kernel set: what this machine's runtimes show on the self-test.

    Args:
        expected: per file the outputs that are told (`ModelFile.told`).
        graph: what the files compute; None where that is not read.

    XNNPACK on x86-64 is held to 0 quanta for a file that computes in integers alone: see `promised`. A kernel set
    that is not measured here is held to the largest difference that any measured one showed, at least 1 quantum
    (FLOAT_END of the largest value, where an INT8 file ends in float). Float files: FLOAT_TOLERANCE. No bound is so
    large that it would prove nothing.
    """
    return _bounds(written, lambda file: model_input(images, file, description.preprocess), expected, graph)


def _bounds(
    written: Contents,
    raw_of: Callable[[ModelFile], npt.NDArray[Any]],
    expected: Mapping[str, list[npt.NDArray[Any]]],
    graph: Graph | None,
) -> dict[str, dict[str, float]]:
    in_float = graph is None or computes_in_float(graph)
    bounds: dict[str, dict[str, float]] = {}
    for file in written.files:
        if file.role != "run":
            continue
        if written.precision == "float32":
            magnitude = max(largest_magnitude(output) for output in expected[file.path])
            share = is_share(file.outputs[file.answer].meaning, told_meanings(file))
            bound = CLASS_MAP_TOLERANCE if share else FLOAT_TOLERANCE * max(magnitude, 1e-6)
            bounds[file.path] = held_to_sense({ANY_KERNELS: bound}, file, expected[file.path])
            continue
        measured = {
            kernels: promised(kernels, largest, file, in_float=in_float)
            for kernels, largest in _measured(
                file, written.contents[file.path], raw_of(file), expected[file.path]
            ).items()
        }
        any_kernels = max([_least_bound(file, expected[file.path][0]), *measured.values()])
        bounds[file.path] = held_to_sense({**measured, ANY_KERNELS: any_kernels}, file, expected[file.path])
    return bounds


def _least_bound(file: ModelFile, expected: npt.NDArray[Any]) -> float:
    output = file.outputs[file.answer]
    if is_share(output.meaning, told_meanings(file)):
        return CLASS_MAP_TOLERANCE
    return 1.0 if output.dtype != "float32" else FLOAT_END * float(np.abs(expected).max(initial=0.0))


def _measured(
    file: ModelFile,
    data: bytes,
    raw: npt.NDArray[Any],
    expected: list[npt.NDArray[Any]],
) -> dict[str, float]:
    measured: dict[str, float] = {}
    with temporary_folder() as folder:
        path = Path(folder) / file.path
        path.write_bytes(data)
        engine = PREFERRED[file.format]
        for kernels in ENGINES[engine].compared_kernels:
            try:
                session = open_session(engine, path, threads=1, kernels=kernels)
            except EngineError:
                continue  # a runtime that is not installed measures nothing; ANY_KERNELS covers it
            give_batch(session, file)
            largest = 0.0
            for index in range(len(raw)):
                outputs = session.run([raw[index : index + 1]])
                one = [array[index : index + 1] for array in expected]
                largest = max(largest, told_difference(one, outputs, file))
            measured[kernel_key(session.info)] = largest
    return measured
