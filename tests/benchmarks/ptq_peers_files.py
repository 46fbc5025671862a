"""What quantized files answer, how near to the float network and to their own promise, and how long it takes."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from converters.tflite.writer import tflite_bytes
from device_bench.agent.loop import block
from edge.artifact.manifest import open_artifact
from edge.engines.engine import PreparedSession, Session, open_session
from edge.engines.onnx_session import OnnxSession, input_ports
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.engines.output_difference import largest_magnitude, values_apart
from edge.evaluation.fidelity import integer_difference
from edge.graph.importers.tflite.reader import read_tflite
from edge.percentile import nearest_rank
from edge.port import Port, dequantize, in_form_of
from edge.predictor.selftest import model_input
from edge.verification.checks.subject import open_subject
from edge.vision.pixels import normalize
from edge.vision.preprocess import Preprocess

Array = npt.NDArray[Any]
BATCH_IMAGES = 8
SAME = 1e-5
"""Two floats differ that are further apart than this share of the largest: sums of float32 are nearer."""
ROUNDS, ROUND_RUNS, WARMUP_RUNS = 20, 20, 10


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """What files are tested on: uint8 (n, height, width, 3), resized; their classes (n,); how they are prepared."""

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    preprocess: Preprocess


def open_file(path: Path) -> Session:
    """A TFLite file in LiteRT, or an ONNX file in ONNX Runtime with exact sums (EXACT_SUMS); one thread."""
    return open_session("litert" if path.suffix == ".tflite" else "onnxruntime", path, threads=1)


def open_literally(path: Path) -> Session:
    """A QDQ file in ONNX Runtime as its graph is written: nothing is fused, all between two quantizations is float."""
    runtime = onnxruntime_module()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return OnnxSession(runtime, session, path, "mlas", 1, input_ports(session.get_inputs(), path, None, {}))


def encoded(port: Port, normalized: npt.NDArray[np.float32]) -> Array:
    """Normalized images (n, height, width, 3) as an input takes them: its layout, and its integers where it has any."""
    images: Array = normalized.transpose(0, 3, 1, 2) if port.shape[1] == 3 else normalized
    if port.scale is not None:
        limits = np.iinfo(port.dtype)
        images = np.clip(np.rint(images / port.scale) + (port.zero_point or 0), limits.min, limits.max)
    return np.ascontiguousarray(images.astype(port.dtype))


def inputs_of(path: Path, port: Port, photographs: Photographs, artifact: Path | None) -> Iterator[Array]:
    """One photograph after the other as a file takes it.

    Args:
        artifact: of which the file is one: its manifest says how; else the file's own scale does.
    """
    preprocess = photographs.preprocess
    told = None if artifact is None else open_artifact(artifact).model_file(path.name)
    for image in photographs.pixels:
        one = image[None]
        yield encoded(port, normalize(one, preprocess)) if told is None else model_input(one, told, preprocess)


def answers(session: Session, inputs: Iterator[Array]) -> Array:
    """The first output of all images, (n, classes), as the file gives it."""
    return np.concatenate([session.run([one])[0].reshape(1, -1) for one in inputs])


def real(session: Session, found: Array) -> npt.NDArray[np.float32]:
    """Answers as the numbers that they stand for."""
    return dequantize(found, session.outputs[0].scale, session.outputs[0].zero_point)


def nearness(expected: Array, found: Array, labels: Array) -> dict[str, float]:
    """How near logits (n, classes) come to the float network's, and both to the truth.

    Returns:
        Shares `top1` and `agreement` (equal decisions), and `sqnr_db`, signal to quantization noise over all logits:
        infinite without noise.
    """
    wanted, decided = expected.argmax(axis=1), found.argmax(axis=1)
    noise = float(np.square(expected.astype(np.float64) - found).sum())
    signal = float(np.square(expected.astype(np.float64)).sum())
    return {
        "top1": float((decided == labels).mean()),
        "agreement": float((decided == wanted).mean()),
        "sqnr_db": 10 * math.log10(signal / noise) if noise else math.inf,
    }


def apart(expected: Array, found: Array) -> int:
    """How many values of two float answers differ, by more than what the order of a sum explains."""
    return int(np.count_nonzero(values_apart(expected, found) > SAME * largest_magnitude(expected)))


def simulated(artifact: Path, photographs: Photographs) -> Array:
    """The integer simulation's answers to all images, (n, classes), as the artifact's source gives them."""
    subject = open_subject(open_artifact(artifact))
    given = model_input(photographs.pixels, subject.source, photographs.preprocess)
    starts = range(0, len(given), BATCH_IMAGES)
    return np.concatenate([subject.answers(given[start : start + BATCH_IMAGES])[0] for start in starts])


def differs_from_simulation(path: Path, artifact: Path, expected: Array, found: Array) -> int:
    """How many integers of an artifact's file are not those of the integer simulation (`simulated`)."""
    opened = open_artifact(artifact)
    source, told = open_subject(opened).source.outputs[0].described, opened.model_file(path.name).outputs[0].described
    return integer_difference(in_form_of(expected, source, told), found).differing


def differs_from_graph(path: Path, found: npt.NDArray[np.float32], photographs: Photographs) -> int:
    """How many logits of a QDQ file, its operators fused, are not those of its graph executed literally in float."""
    literal = open_literally(path)
    expected = answers(literal, inputs_of(path, literal.inputs[0], photographs, None))
    return apart(real(literal, expected), found)


def medians_ns(files: Mapping[str, tuple[Path, Path | None]], photographs: Photographs) -> dict[str, int]:
    """The median processor time of every file, run in turn in this thread; what they answer is one photograph.

    Another process that takes the processor in the midst of a run is not counted, which the clock on the wall would.

    Args:
        files: name -> the file, and the artifact that it belongs to or None.
    """
    queries: dict[str, Callable[[], object]] = {}
    samples_ns: dict[str, list[int]] = {name: [] for name in files}
    for name, (path, artifact) in files.items():
        session = open_file(path)
        queries[name] = cast(PreparedSession, session).prepared(
            [next(inputs_of(path, session.inputs[0], photographs, artifact))]
        )
        block(queries[name], time.thread_time_ns, WARMUP_RUNS, 0, WARMUP_RUNS)
    for _ in range(ROUNDS):
        for name, query in queries.items():
            query()
            samples_ns[name] += block(query, time.thread_time_ns, ROUND_RUNS, 0, ROUND_RUNS)
    return {name: nearest_rank(sorted(samples), 50) for name, samples in samples_ns.items()}


def measured_file(
    path: Path,
    expected: Array,
    photographs: Photographs,
    *,
    literally: bool = False,
    artifact: Path | None = None,
    promised: Array | None = None,
) -> dict[str, Any]:
    """Size, nearness to the float network's logits, and how many values differ from what was promised.

    `metadata_bytes` of an artifact's TFLite file are its labels and what else it tells of its images.

    Args:
        literally: it is held to its own graph. artifact, promised: to its artifact's simulation.
    """
    session = open_file(path)
    found = answers(session, inputs_of(path, session.inputs[0], photographs, artifact))
    logits = real(session, found)
    differing = differs_from_graph(path, logits, photographs) if literally else None
    if artifact is not None and promised is not None:
        differing = differs_from_simulation(path, artifact, promised, found)
    near = nearness(expected, logits, photographs.labels)
    size_bytes, metadata_bytes = path.stat().st_size, 0
    if artifact is not None and path.suffix == ".tflite":
        metadata_bytes = size_bytes - len(tflite_bytes(read_tflite(path.read_bytes())))
    sizes = {"size_bytes": size_bytes, "metadata_bytes": metadata_bytes}
    return {**sizes, **near, "differing": differing, "values": found.size}
