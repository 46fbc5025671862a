"""What ONNX Runtime executes is mapped back to the file's operators: each once, inserted ones by name; sums hold."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from converters.measuring.onnx import overhead_chains
from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from device_bench.agent.onnx_profile import profile_onnx
from device_bench.explain.onnx_mapping import FileNode, Group, RunNode, group_nodes
from device_bench.explain.onnx_nodes import OnnxPlan, TimedGroups, timed_groups
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen
from device_bench.explain.roofline import explain
from device_bench.records.explanation import Bandwidth, Peaks
from edge.cli.explain_facts import onnx_facts
from edge.engines.onnx_session import open_onnxruntime
from edge.errors import EngineError
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

pytestmark = pytest.mark.unhurried

SIDE = 32
Case = tuple[tuple[OperatorFacts, ...], OnnxPlan, dict[str, Any]]


def profiled(data: bytes, folder: Path, threads: int = 1) -> Case:
    """Facts, plan and a device's answer of a real model, three rounds."""
    path = folder / "model.onnx"
    path.write_bytes(data)
    facts, plan = onnx_facts(path)
    chains = []
    for place, chain in enumerate(plan.chains):
        chains.append(folder / f"{place}.onnx")
        chains[-1].write_bytes(chain)
    port = open_onnxruntime(path).inputs[0]
    inputs = [np.random.default_rng(0).integers(0, 255, port.shape).astype(port.dtype)]
    reply = profile_onnx(path, inputs, chains, threads=threads, kernels=None, rounds=3, folder=folder)
    return facts, plan, json.loads(json.dumps(reply))


def network(name: str) -> Any:
    torch.manual_seed(0)
    model = build(name, classes=4, width=0.35, resolution=SIDE)
    images = torch.rand(2, 3, SIDE, SIDE)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        model.train()(images)
    return float_graph(model.eval(), images[:1]), images[:1].numpy()


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """MobileNetV2 in float: blocked layouts, rectifiers and additions inside convolutions."""
    graph, _ = network("mobilenet_v2")
    return profiled(onnx_bytes(graph), tmp_path_factory.mktemp("floats"))


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """The same in the form that the product writes for ONNX Runtime: QDQ, additions written out in float."""
    graph, images = network("mobilenet_v2")
    data = onnxruntime_form(calibrate(graph, [images.astype(np.float32)], estimator="minmax"))
    return profiled(data, tmp_path_factory.mktemp("integers"))


def groups(case: Case) -> list[Group]:
    facts, plan, reply = case
    run = [
        RunNode(name=node["name"], kind=node["op_type"], inputs=tuple(node["inputs"]), outputs=tuple(node["outputs"]))
        for node in reply["nodes"]
    ]
    return group_nodes(plan.file, run, len(facts))


def timed(case: Case) -> TimedGroups:
    facts, plan, reply = case
    return timed_groups(facts, plan, reply)


@pytest.mark.parametrize("precision", ["floats", "integers"])
def test_every_operator_and_every_executed_node_is_in_one_group(precision: str, request: Any) -> None:
    case = request.getfixturevalue(precision)
    found = groups(case)
    assert sorted(place for group in found for place in group.operators) == list(range(len(case[0])))
    assert sorted(place for group in found for place in group.nodes) == list(range(len(case[2]["nodes"])))
    assert all(group.nodes for group in found)


@pytest.mark.parametrize("precision", ["floats", "integers"])
def test_what_has_no_operator_was_inserted_and_is_named_so(precision: str, request: Any) -> None:
    case = request.getfixturevalue(precision)
    inserted = [fact for fact in timed(case).facts if fact.inserted]
    assert inserted
    assert {fact.kind for fact in inserted} <= {"Transpose", "ReorderInput", "ReorderOutput", "QuantizeLinear"}
    assert not {fact.name for fact in inserted} & {fact.name for fact in case[0]}


def test_every_convolution_of_the_float_file_runs_as_one_node_with_what_was_fused(floats: Case) -> None:
    convolutions = [fact for fact in timed(floats).facts if fact.kind == "Conv"]
    in_file = [fact for fact in floats[0] if fact.kind == "Conv"]
    assert [fact.name for fact in convolutions] == [fact.name for fact in in_file]
    assert [fact.multiply_adds for fact in convolutions] == [fact.multiply_adds for fact in in_file]
    sums = [fact.name for fact in floats[0] if fact.kind == "Add"]
    assert sums
    assert [name for fact in convolutions for name in fact.others] == sums


def test_an_integer_sum_that_runs_as_float_nodes_is_one_operator_in_float(integers: Case) -> None:
    facts, _, reply = integers
    found = groups(integers)
    kinds = {
        facts[group.operators[0]].name: [reply["nodes"][place]["op_type"] for place in group.nodes]
        for group in found
        if group.operators
    }
    written_out = {name for name, nodes in kinds.items() if "Mul" in nodes}
    assert {facts[place].kind for place in range(len(facts)) if facts[place].name in written_out} <= {"Add", "Mean"}
    by_name = {fact.name: fact for fact in timed(integers).facts}
    assert all(by_name[name].precision.startswith("float") for name in written_out)
    assert by_name["stem.conv"].precision == "uint8"
    assert kinds["stem.conv"] == ["QLinearConv"]


@pytest.mark.parametrize("precision", ["floats", "integers"])
def test_operators_and_the_unexplained_sum_to_the_whole(precision: str, request: Any) -> None:
    found = timed(request.getfixturevalue(precision))
    assert all(step.low_ns <= step.time_ns <= step.high_ns for step in found.times)
    peaks = Peaks(
        int8_multiply_adds_per_s=1e13,
        float_multiply_adds_per_s=1e13,
        bandwidths=(Bandwidth(working_set_bytes=1000, bytes_per_s=1e10),),
        how={},
    )
    seen = Seen(threads=1, threads_ns={}, empty_ns=1)
    explained = explain(
        found.facts, found.times, whole_ns=found.whole_ns, engine="onnxruntime:mlas", peaks=peaks, seen=seen
    )
    assert sum(entry.time_ns for entry in explained.operators) + explained.unexplained_ns == found.whole_ns
    names = Counter(name for entry in explained.operators for name in entry.names)
    assert max(names.values()) == 1


def test_bytes_within_a_group_are_not_moved(floats: Case) -> None:
    facts, plan, _ = floats
    alone = {fact.name: fact.bytes_moved for fact in facts}
    joined = next(fact for fact in timed(floats).facts if fact.others)
    place = next(index for index, fact in enumerate(facts) if fact.name == joined.name)
    made = sum(plan.tensors[place].writes.values())
    assert joined.bytes_moved == alone[joined.name] + alone[joined.others[0]] - 2 * made


def test_several_threads_are_mapped_as_one(tmp_path: Path) -> None:
    graph, _ = network("mobilenet_v1")
    found = timed(profiled(onnx_bytes(graph), tmp_path, threads=2))
    assert sum(fact.kind == "Conv" for fact in found.facts) == 27


def test_the_profiles_own_cost_is_taken_off() -> None:
    """Chains whose nodes say 3 us and take 1 (two tensors), say 5 us and take 1 (ten tensors): 0.25 us a tensor."""
    node = {
        "name": "n",
        "op_type": "Neg",
        "provider": "",
        "dtype": "float",
        "bytes_moved": 0,
        "inputs": [],
        "outputs": [],
    }

    def chain(count: int, told_ns: int, taken_ns: int, tensors: int) -> dict[str, Any]:
        nodes = [{**node, "tensors": tensors, "durations_ns": [told_ns - 500] * 2} for _ in range(count)]
        whole = [9_000 + count * taken_ns] * 2
        return {"whole_ns": whole, "profiled_whole_ns": whole, "nodes": nodes}

    reply = {
        **chain(2, 10_500, 8_000, 6),
        "chains": [chain(1, 3_000, 1_000, 2), chain(65, 3_000, 1_000, 2), chain(64, 5_000, 1_000, 10)],
    }
    found = timed_groups((), OnnxPlan(file=(), tensors=(), chains=overhead_chains()), reply)
    assert found.cost.of(2) == pytest.approx(2_000, abs=5)
    assert found.cost.of(10) == pytest.approx(4_000, rel=0.02)
    assert [step.time_ns for step in found.times] == pytest.approx([7_500, 7_500], rel=0.01)
    assert [fact.inserted for fact in found.facts] == [True, True]


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"nodes": []}, "nodes"),
        ({"nodes": None}, "nodes"),
        ({"whole_ns": [1]}, "whole_ns"),
        ({"whole_ns": [1, 2, 3, 4]}, "rounds"),
        ({"whole_ns": [1, -2, 3]}, "whole_ns"),
        ({"chains": []}, "chains"),
    ],
)
def test_an_answer_that_does_not_hold_is_refused_in_one_line(floats: Case, change: dict[str, Any], where: str) -> None:
    facts, plan, reply = floats
    with pytest.raises(EngineError, match=where) as refused:
        timed_groups(facts, plan, {**reply, **change})
    assert "\n" not in str(refused.value)


def node(kind: str, name: str, reads: str, writes: str, operator: int | None = None) -> FileNode:
    owners = () if operator is None else (operator,)
    return FileNode(name=name, kind=kind, inputs=(reads,), outputs=(writes,), operators=owners)


def test_nodes_that_only_their_tensors_tell_are_found_through_inserted_ones() -> None:
    """As a provider with a layout of its own names them: the result goes through a transpose to the file's tensor."""
    file = [node("Conv", "c", "x", "c_out", 0), node("Relu", "r", "c_out", "y", 0), node("Softmax", "s", "y", "z", 1)]
    run = [
        RunNode(name="Transpose", kind="Transpose", inputs=("x",), outputs=("x_nhwc",)),
        RunNode(name="provider_0", kind="Conv", inputs=("x_nhwc",), outputs=("y_nhwc",)),
        RunNode(name="Transpose_token_1", kind="Transpose", inputs=("y_nhwc",), outputs=("y",)),
        RunNode(name="s", kind="Softmax", inputs=("y",), outputs=("z",)),
    ]
    assert group_nodes(file, run, 2) == [
        Group(operators=(), nodes=(0,)),
        Group(operators=(0,), nodes=(1,)),
        Group(operators=(), nodes=(2,)),
        Group(operators=(1,), nodes=(3,)),
    ]


def test_a_pad_goes_into_its_reader_and_a_rectifier_into_what_it_reads() -> None:
    file = [
        node("Conv", "a", "x", "a_out", 0),
        node("Relu", "r", "a_out", "r_out", 1),
        node("Pad", "p", "r_out", "p_out", 2),
        node("Conv", "b", "p_out", "y", 3),
    ]
    run = [
        RunNode(name="a", kind="FusedConv", inputs=("x",), outputs=("r1",)),
        RunNode(name="b", kind="Conv", inputs=("r1",), outputs=("y",)),
    ]
    assert group_nodes(file, run, 4) == [Group(operators=(0, 1), nodes=(0,)), Group(operators=(2, 3), nodes=(1,))]


def test_a_fused_node_under_a_name_of_its_own_is_what_lies_between_its_neighbours() -> None:
    """A Gelu of four nodes, in a layout that renames its tensors."""
    file = [
        node("Conv", "a", "x", "a_out", 0),
        node("Div", "g1", "a_out", "g1_out", 1),
        node("Erf", "g2", "g1_out", "g2_out", 1),
        FileNode(name="g3", kind="Mul", inputs=("a_out", "g2_out"), outputs=("g3_out",), operators=(1,)),
        node("Conv", "b", "g3_out", "y", 2),
    ]
    run = [
        RunNode(name="a_nchwc", kind="Conv", inputs=("x",), outputs=("t0",)),
        RunNode(name="ReorderOutput", kind="ReorderOutput", inputs=("t0",), outputs=("t1",)),
        RunNode(name="Gelu", kind="Gelu", inputs=("t1",), outputs=("t2",)),
        RunNode(name="b", kind="Conv", inputs=("t2",), outputs=("y",)),
    ]
    groups = group_nodes(file, run, 3)
    assert [(group.operators, group.nodes) for group in groups] == [
        ((0,), (0,)),
        ((), (1,)),
        ((1,), (2,)),
        ((2,), (3,)),
    ]


def test_a_new_node_whose_new_output_bears_the_files_name_is_that_one() -> None:
    """As ONNX Runtime 1.19 names nodes of another layout."""
    file = [node("Conv", "a", "x", "a_out", 0), node("Conv", "b", "a_out", "y", 1)]
    run = [
        RunNode(name="QLinearConv", kind="QLinearConv", inputs=("x",), outputs=("a",)),
        RunNode(name="QLinearConv_token_3", kind="QLinearConv", inputs=("a",), outputs=("b_token_2",)),
    ]
    assert group_nodes(file, run, 2) == [Group(operators=(0,), nodes=(0,)), Group(operators=(1,), nodes=(1,))]


def test_an_operator_that_the_runtime_removed_takes_no_time() -> None:
    file = [node("Conv", "a", "x", "y", 0)]
    run = [RunNode(name="a", kind="Conv", inputs=("x",), outputs=("y",))]
    assert group_nodes(file, run, 2)[-1] == Group(operators=(1,), nodes=())
