"""edge bench --explain for ONNX files: ONNX Runtime's own profile, and what the file says of its operators."""

import json
import tempfile
from collections.abc import Callable
from functools import partial
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from device_bench.agent.onnx_profile import profile_onnx
from device_bench.explain_speed.onnx_mapping import FileNode
from device_bench.explain_speed.onnx_nodes import OnnxPlan, OperatorTensors, timed_groups
from device_bench.explain_speed.prefix_times import time_in_turn
from device_bench.explain_speed.roofline import OperatorFacts, explain
from device_bench.explanation import Explanation, Peaks
from edge.runtime.onnx_session import open_onnxruntime

if TYPE_CHECKING:
    from edge.graph.graph import Tensor

COPY_BYTES = 64 * 2**20


def explain_onnx(path: Path, *, kernels: str | None = None, rounds: int) -> Explanation:
    """Profile an ONNX file with ONNX Runtime and one thread on this machine, and map the profile to its operators.

    Raises:
        EngineError: onnxruntime is missing, refuses the file, or tells a profile that does not hold.
        ModelFileError: as of `onnx_facts`.
    """
    from converters.onnx_measuring import PEAK_MULTIPLY_ADDS, peak_file

    session = open_onnxruntime(path, kernels=kernels)
    facts, plan = onnx_facts(path)
    rng = np.random.default_rng(0)
    inputs = [_drawn(port.shape, port.dtype, rng) for port in session.inputs]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chains = [_written(folder / f"chain{place}.onnx", data) for place, data in enumerate(plan.chains)]
        profiled = path if plan.named is None else _written(folder / "named.onnx", plan.named)
        answer = profile_onnx(profiled, inputs, chains, threads=1, kernels=kernels, rounds=rounds, folder=folder)
        calls: list[Callable[[], object]] = []
        for precision in ("int8", "float32"):
            large = open_onnxruntime(_written(folder / f"{precision}.onnx", peak_file(precision)), kernels=kernels)
            port = large.inputs[0]
            calls.append(partial(large.run, [np.zeros(port.shape, port.dtype)]))
        source = np.ones(COPY_BYTES, np.uint8)
        calls.append(partial(np.copyto, np.empty_like(source), source))
        int8_ns, float_ns, copy_ns = np.median(time_in_turn(calls, rounds=rounds), axis=0)
    found = timed_groups(facts, plan, json.loads(json.dumps(answer)))
    layers = f"1x1 convolutions of 28x28x512 to 512 in a row, median of {rounds}"
    peaks = Peaks(
        int8_multiply_adds_per_s=PEAK_MULTIPLY_ADDS * 1e9 / float(int8_ns),
        float_multiply_adds_per_s=PEAK_MULTIPLY_ADDS * 1e9 / float(float_ns),
        bandwidth_bytes_per_s=2 * COPY_BYTES * 1e9 / float(copy_ns),
        how={"int8": layers, "float": layers, "bandwidth": f"numpy copy of {COPY_BYTES} bytes, read and written"},
    )
    return explain(
        found.facts,
        found.times,
        whole_ns=found.whole_ns,
        profiled_whole_ns=found.profiled_whole_ns,
        engine=f"onnxruntime:{session.info.kernels}",
        peaks=peaks,
    )


def onnx_facts(path: Path) -> tuple[tuple[OperatorFacts, ...], OnnxPlan]:
    """Facts of every operator of an ONNX file, and what maps ONNX Runtime's nodes back to them.

    Raises:
        ModelFileError: as of `edge.graph.onnx.read_onnx`.
    """
    from converters.onnx_measuring import overhead_chains  # brings onnx
    from edge.graph.counts import count_graph
    from edge.graph.onnx import read_onnx
    from edge.graph.onnx_owners import owned_nodes, with_node_names

    named = with_node_names(path.read_bytes()) if path.is_file() else None
    readable = path if named is None else named
    graph = read_onnx(readable, batch=1)
    facts, tensors = [], []
    for operator, cost in zip(graph.operators, count_graph(graph).operators, strict=True):
        reads = {name: _size_bytes(graph.tensors[name]) for name in operator.inputs if name}
        writes = {name: _size_bytes(graph.tensors[name]) for name in operator.outputs}
        tensors.append(OperatorTensors(reads=reads, writes=writes))
        source, output = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
        channels = source.shape[1] if len(source.shape) > 1 else 1
        facts.append(
            OperatorFacts(
                name=operator.name,
                kind=operator.kind,
                precision=output.dtype,
                multiply_adds=cost.multiply_adds,
                bytes_moved=sum({**reads, **writes}.values()),
                channels=output.shape[1] if len(output.shape) > 1 else 1,
                depthwise=operator.kind == "Conv" and operator.attributes.get("group", 1) == channels > 1,
                input_share=prod(source.shape) / max(prod(output.shape), 1),
            )
        )
    nodes = tuple(
        FileNode(name=node.name, kind=node.kind, inputs=node.inputs, outputs=node.outputs, operators=node.operators)
        for node in owned_nodes(readable, graph, batch=1)
    )
    return tuple(facts), OnnxPlan(file=nodes, tensors=tuple(tensors), chains=overhead_chains(), named=named)


def _size_bytes(tensor: "Tensor") -> int:
    return prod(tensor.shape) * np.dtype(tensor.dtype).itemsize


def _drawn(shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> npt.NDArray[Any]:
    if dtype.startswith("float"):
        return rng.standard_normal(shape).astype(dtype)
    limits = np.iinfo(dtype)
    return rng.integers(max(limits.min, -128), min(limits.max, 255), shape, endpoint=True).astype(dtype)


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
