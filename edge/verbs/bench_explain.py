"""edge bench --explain: the beginnings of a TFLite file timed in turn, here, and what follows from them."""

import tempfile
import time
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import click
import numpy as np
from click.core import ParameterSource
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from device_bench.explain_speed.prefix_times import step_times, time_in_turn
from device_bench.explain_speed.roofline import OperatorFacts, explain
from device_bench.explanation import Explanation, Peaks
from edge.artifact import Artifact
from edge.errors import UsageError
from edge.runtime.choice import file_for
from edge.runtime.kernel_sets import engine_spec
from edge.runtime.litert import LiteRtSession, open_litert
from edge.verbs.explain_onnx import explain_onnx

ROUNDS = 21
PEAK_SIDE, PEAK_CHANNELS = 28, 512
COPY_BYTES = 64 * 2**20


TAKEN = ("artifacts", "engines", "on", "explain", "as_json")


def refuse_beside_explain() -> None:
    """Refuse (UsageError) every option of the command line that --explain does not take, by its name."""
    context = click.get_current_context()
    given = [
        parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in TAKEN
        and context.get_parameter_source(parameter.name or "") is not ParameterSource.DEFAULT
    ]
    if given:
        raise UsageError(
            f"--explain measures one thread and writes no records: leave {', '.join(given)} away "
            "(kernels are named as in litert:builtin)"
        )


def explain_all(opened: Sequence[Artifact | Path], engines: Sequence[str], on: Sequence[str], *, as_json: bool) -> None:
    """Explain artifacts and bare files with one thread on this machine: TFLite with LiteRT, ONNX with ONNX Runtime.

    Raises:
        UsageError: another target or engine, or another kind of file.
    """
    if any(target != "local" for target in on):
        raise UsageError("--explain measures on this machine only; leave --on away")
    specs = [engine_spec(text) for text in engines] or [engine_spec("litert")]
    if any(spec.engine not in ("litert", "onnxruntime") for spec in specs):
        raise UsageError("--explain takes files apart and needs --engine litert or --engine onnxruntime")
    for entry in opened:
        for spec in specs:
            path = _file(entry, spec.engine)
            if spec.engine == "onnxruntime":
                found = explain_onnx(path, kernels=spec.kernels, rounds=ROUNDS)
            else:
                found = explain_file(path, measure_peaks(spec.kernels), kernels=spec.kernels)
            if as_json:
                click.echo(found.model_dump_json())
            else:
                _print(path, found)


def _file(entry: Artifact | Path, engine: str) -> Path:
    path = entry.file(file_for(entry, engine).path) if isinstance(entry, Artifact) else entry
    suffix = {"litert": ".tflite", "onnxruntime": ".onnx"}[engine]
    if path.suffix != suffix:
        raise UsageError(f"{path}: --explain with {engine} takes {suffix} files apart")
    return path


def explain_file(path: Path, peaks: Peaks, *, kernels: str | None = None, rounds: int = ROUNDS) -> Explanation:
    """Time a TFLite file's beginnings with LiteRT, one thread, in processor time of that thread.

    Raises:
        UsageError: its operators are not those of the graph that is read from it (float16 constants).
    """
    from edge.graph.tflite_prefix import tflite_prefixes  # brings the TFLite schema

    facts = operator_facts(path)
    with tempfile.TemporaryDirectory() as folder:
        sessions = []
        for place, data in enumerate(tflite_prefixes(path.read_bytes())):
            part = Path(folder) / f"{place}.tflite"
            part.write_bytes(data)
            sessions.append(_open(part, kernels))
        if len(sessions) != len(facts):
            raise UsageError(f"{path}: float16 constants; --explain knows int8 and float32 files")
        whole = _open(path, kernels)
        calls = [session.interpreter.invoke for session in (*sessions, whole)]
        times = time_in_turn(calls, rounds=rounds, clock=time.thread_time_ns)
    return explain(
        facts,
        step_times(times[:, :-1]),
        whole_ns=int(np.median(times[:, -1])),
        engine=f"litert:{whole.info.kernels}",
        peaks=peaks,
    )


def operator_facts(path: Path) -> list[OperatorFacts]:
    """What a TFLite file says of its operators, in order."""
    from edge.graph.counts import count_graph
    from edge.graph.tflite import read_tflite

    graph = read_tflite(path)
    found = []
    for operator, cost in zip(graph.operators, count_graph(graph).operators, strict=True):
        used = [graph.tensors[name] for name in dict.fromkeys((*operator.inputs, *operator.outputs)) if name]
        source, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        found.append(
            OperatorFacts(
                name=operator.name,
                kind=operator.kind,
                precision=output.dtype,
                multiply_adds=cost.multiply_adds,
                bytes_moved=sum(prod(tensor.shape) * np.dtype(tensor.dtype).itemsize for tensor in used),
                channels=output.shape[-1] if output.shape else 1,
                depthwise=operator.kind == "Conv" and operator.attributes.get("group", 1) == source.shape[-1] > 1,
                input_share=prod(source.shape) / max(prod(output.shape), 1),
            )
        )
    return found


def measure_peaks(kernels: str | None = None, *, rounds: int = ROUNDS) -> Peaks:
    """The rate of a large 1x1 convolution in int8 and in float, and of a large copy, in processor time of a thread."""
    count = PEAK_SIDE * PEAK_SIDE * PEAK_CHANNELS * PEAK_CHANNELS
    with tempfile.TemporaryDirectory() as folder:
        calls: list[Callable[[], object]] = []
        for dtype in ("int8", "float32"):
            part = Path(folder) / f"{dtype}.tflite"
            part.write_bytes(_peak_file(dtype))
            calls.append(_open(part, kernels).interpreter.invoke)
        source = np.ones(COPY_BYTES, np.uint8)
        target = np.empty_like(source)
        calls.append(lambda: np.copyto(target, source))
        int8_ns, float_ns, copy_ns = np.median(time_in_turn(calls, rounds=rounds, clock=time.thread_time_ns), axis=0)
    layer = f"1x1 convolution, {PEAK_SIDE}x{PEAK_SIDE}x{PEAK_CHANNELS} to {PEAK_CHANNELS}, median of {rounds}"
    return Peaks(
        int8_multiply_adds_per_s=count * 1e9 / float(int8_ns),
        float_multiply_adds_per_s=count * 1e9 / float(float_ns),
        bandwidth_bytes_per_s=2 * COPY_BYTES * 1e9 / float(copy_ns),
        how={"int8": layer, "float": layer, "bandwidth": f"numpy copy of {COPY_BYTES} bytes, read and written"},
    )


def _peak_file(dtype: str) -> bytes:
    from converters.tflite.writer import tflite_bytes
    from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

    n, rng = PEAK_CHANNELS, np.random.default_rng(0)
    whole = dtype == "int8"
    values = rng.integers(-127, 128, (n, n, 1, 1))
    scale, zeros = np.full(n, 0.01, np.float32), np.zeros(n, np.int64)
    maps = {
        name: Tensor(
            name=name,
            shape=(1, PEAK_SIDE, PEAK_SIDE, n),
            dtype=dtype,
            quantization=per_tensor(0.05, 0) if whole else None,
        )
        for name in ("x", "y")
    }
    weight = Tensor(
        name="weight",
        shape=(n, n, 1, 1),
        dtype=dtype,
        data=values.astype(dtype),
        quantization=Quantization(scale=scale, zero_point=zeros, axis=0) if whole else None,
    )
    bias = Tensor(
        name="bias",
        shape=(n,),
        dtype="int32" if whole else "float32",
        data=np.zeros(n, np.int32 if whole else np.float32),
        quantization=Quantization(scale=np.float32(0.05) * scale, zero_point=zeros, axis=0) if whole else None,
    )
    attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    conv = Operator(kind="Conv", name="conv", inputs=("x", "weight", "bias"), outputs=("y",), attributes=attributes)
    graph = Graph(
        name="peak",
        layout="nhwc",
        operators=(conv,),
        tensors={**maps, "weight": weight, "bias": bias},
        inputs=("x",),
        outputs=("y",),
    )
    return tflite_bytes(graph)


def _open(path: Path, kernels: str | None) -> Any:
    session = open_litert(path, kernels=kernels)
    if not isinstance(session, LiteRtSession):
        raise UsageError(f"{path}: not a LiteRT session")
    for detail in session.interpreter.get_input_details():
        session.interpreter.set_tensor(detail["index"], np.zeros(detail["shape"], detail["dtype"]))
    return session


def _print(path: Path, found: Explanation) -> None:
    console = Console()
    table = Table(title=escape(f"{path}, {found.engine}"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("", "operator", "us", "95 %", "time", "MAdds", "MAdds/B", "bound", "attained"):
        table.add_column(name, justify="left" if name in ("operator", "bound") else "right", no_wrap=True)
    for place, operator in enumerate(found.operators):
        share, intensity = operator.share_multiply_adds, operator.intensity
        table.add_row(
            str(place),
            " + ".join((operator.kind, *operator.names[1:])),
            f"{operator.time_ns / 1e3:.0f}",
            f"{(operator.low_ns or 0) / 1e3:.0f}..{(operator.high_ns or 0) / 1e3:.0f}",
            f"{operator.share_time:.1%}",
            "" if share is None else f"{share:.1%}",
            "" if intensity is None else f"{intensity:.1f}",
            operator.bound or "",
            "" if operator.attainable is None else f"{operator.attainable:.0%}",
        )
    console.print(table)
    peaks = found.peaks
    console.print(
        f"whole {found.whole_ns / 1e3:.0f} us, unexplained {found.unexplained_ns / 1e3:.0f} us; peaks: "
        f"int8 {(peaks.int8_multiply_adds_per_s or 0) / 1e9:.1f}, "
        f"float {(peaks.float_multiply_adds_per_s or 0) / 1e9:.1f} G multiply-adds/s, "
        f"memory {peaks.bandwidth_bytes_per_s / 1e9:.1f} GB/s",
        highlight=False,
    )
    if found.profiled_whole_ns is not None:
        console.print(
            f"with the profile on {found.profiled_whole_ns / 1e3:.0f} us; what it costs is taken off every operator",
            highlight=False,
        )
    for reason in found.reasons:
        console.print(f"- {reason.name}: {reason.sentence}", highlight=False, markup=False)
    for change in found.changes:
        console.print(f"{change.gain:.1%}: {change.sentence} ({change.how})", highlight=False, markup=False)
