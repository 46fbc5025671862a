"""ONNX Runtime's profile: what is believed of it, which runs count, and that nothing of it is left behind."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from converters.measuring.onnx import CHAIN_NODES, overhead_chains, peak_file
from device_bench.agent.onnx_profile import profile_file, profile_onnx
from device_bench.agent.onnx_topology import read_topology
from device_bench.agent.onnx_trace import read_trace, traced_nodes
from edge.errors import EngineError

ROUNDS = 3


def event(name: str, start: int, duration: int, **told: Any) -> dict[str, Any]:
    return {"cat": "Node", "name": f"{name}_kernel_time", "ts": start, "dur": duration, "args": told}


def run(start: int, duration: int) -> dict[str, Any]:
    return {"cat": "Session", "name": "model_run", "ts": start, "dur": duration, "args": {}}


def two_runs() -> list[dict[str, Any]]:
    """Two runs of `a` and `b`, 100 us each, the nodes 10 and 20, then 12 and 22 us."""
    return [
        event("a", 5, 10, op_name="Conv", node_index="0"),
        event("b", 20, 20, op_name="Add", node_index="1"),
        run(0, 100),
        event("a", 205, 12, op_name="Conv", node_index="0"),
        event("b", 220, 22, op_name="Add", node_index="1"),
        run(200, 100),
    ]


def test_durations_are_told_by_node_and_run() -> None:
    found = traced_nodes(two_runs(), 2)
    assert [(node.name, node.op_type, node.durations_ns) for node in found] == [
        ("a", "Conv", (10_000, 12_000)),
        ("b", "Add", (20_000, 22_000)),
    ]


def test_what_runs_inside_another_node_is_counted_once() -> None:
    events = [*two_runs(), event("body", 21, 5, op_name="Relu"), event("body", 222, 5, op_name="Relu")]
    assert [node.name for node in traced_nodes(events, 2)] == ["a", "b"]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ({"traceEvents": []}, "not a list of events"),
        ([1, 2], "not a list of events"),
        (two_runs()[:3], "tells of 1 runs, there were 2"),
        ([*two_runs()[:4], two_runs()[5]], "1 nodes in run 1 and 2 in the first"),
        ([run(0, 100), run(200, 100)], "names no node"),
        ([*two_runs(), event("c", 150, 1, op_name="Add")], "'c_kernel_time' outside every run"),
        ([*two_runs(), event("c", -3, 1, op_name="Add")], "without times"),
        ([*two_runs(), {**event("c", 50, 1, op_name="Add"), "dur": "1"}], "without times"),
        ([*two_runs(), {**event("c", 50, 1), "args": []}, event("c", 250, 1)], "without a type"),
    ],
)
def test_a_damaged_profile_is_refused_in_one_line(events: Any, words: str) -> None:
    with pytest.raises(EngineError, match=words) as refused:
        traced_nodes(events, 2)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "{", "[" * 5000, '[{"cat": "Node"'])
def test_a_file_that_is_no_profile_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "trace.json"
    path.write_text(text)
    with pytest.raises(EngineError, match="its profile cannot be read"):
        read_trace(path, 1)


@pytest.mark.parametrize("threads", [1, 2])
def test_every_round_gives_one_time_of_every_node_and_nothing_is_left(tmp_path: Path, threads: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(overhead_chains()[1])
    inputs = [np.ones((1, 4), np.float32)]
    found = profile_onnx(path, inputs, [path], threads=threads, kernels=None, rounds=ROUNDS, folder=tmp_path)
    assert json.loads(json.dumps(found)) == found
    assert [node["op_type"] for node in found["nodes"]] == ["Neg"] * (CHAIN_NODES + 1)
    assert {len(node["durations_ns"]) for node in found["nodes"]} == {ROUNDS}
    assert len(found["whole_ns"]) == len(found["profiled_whole_ns"]) == ROUNDS
    assert [len(chain["nodes"]) for chain in found["chains"]] == [CHAIN_NODES + 1]
    assert list(tmp_path.iterdir()) == [path]


def test_only_timed_runs_are_told_and_the_clock_is_read_around_them(tmp_path: Path) -> None:
    """A clock that counts its readings: two for each timed run, of the plain session and of the profiled one."""
    path = tmp_path / "model.onnx"
    path.write_bytes(overhead_chains()[2])
    ticks = iter(range(1000))
    found = profile_file(path, None, threads=1, kernels=None, rounds=ROUNDS, folder=tmp_path, clock=lambda: next(ticks))
    assert found["whole_ns"] == found["profiled_whole_ns"] == [1] * ROUNDS
    assert next(ticks) == 4 * ROUNDS


def test_executed_nodes_are_told_with_the_tensors_between_them(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(peak_file("int8"))
    found = profile_file(path, None, threads=1, kernels=None, rounds=2, folder=tmp_path, clock=time.perf_counter_ns)
    kinds = [node["op_type"] for node in found["nodes"]]
    assert kinds.count("QLinearConv") == 4
    for before, after in zip(found["nodes"], found["nodes"][1:], strict=False):
        assert before["outputs"] == after["inputs"]


def test_a_failing_model_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(overhead_chains()[0])
    with pytest.raises(EngineError, match="the model failed"):
        profile_file(
            path, [np.ones((1, 5), np.float32)], threads=1, kernels=None, rounds=2, folder=tmp_path, clock=lambda: 0
        )
    assert list(tmp_path.iterdir()) == [path]


def test_a_gpu_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="when kernels start, not how long they take"):
        profile_file(tmp_path / "m.onnx", [], threads=1, kernels="cuda", rounds=2, folder=tmp_path, clock=lambda: 0)


def test_the_topology_is_that_of_the_onnx_package(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(peak_file("int8"))
    graph = onnx.load(path).graph
    constants = {constant.name for constant in graph.initializer}
    assert [(node.name, node.op_type, node.inputs, node.outputs) for node in read_topology(path)] == [
        (node.name, node.op_type, tuple(name for name in node.input if name not in constants), tuple(node.output))
        for node in graph.node
    ]


@pytest.mark.parametrize("cut", [1, 40, 400])
def test_a_topology_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(overhead_chains()[2][:-cut])
    with pytest.raises(EngineError, match="cannot be read"):
        read_topology(path)
