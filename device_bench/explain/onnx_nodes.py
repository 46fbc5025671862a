"""Times of a file's operators out of ONNX Runtime's profile: facts and times of every group of nodes and operators."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from device_bench.explain.onnx_mapping import ROUNDING, FileNode, Group, RunNode, group_nodes
from device_bench.explain.onnx_overhead import ROUNDED_OFF_NS, ProfileCost, profile_cost
from device_bench.explain.onnx_reply import Profiled, ProfiledNode, read_profiled
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.step_times import StepTime

RESAMPLES, SEED = 400, 20
TICK_NS = 1000  # of the profile's clock


@dataclass(frozen=True, kw_only=True)
class OperatorTensors:
    """Sizes in bytes of what an operator reads (constants included) and writes, by tensor."""

    reads: Mapping[str, int]
    writes: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class OnnxPlan:
    """What mapping a profile back needs beside the operators' facts; made on the host from the file.

    Attributes:
        file: the file's nodes in order.
        tensors: one for each operator.
        named: the file with a name for every node, to be profiled in its place; None where it has them all.
        chains: files for `device_bench.agent.onnx_profile`, as of `converters.measuring.onnx.overhead_chains`.
    """

    file: tuple[FileNode, ...]
    tensors: tuple[OperatorTensors, ...]
    chains: tuple[bytes, ...]
    named: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class TimedGroups:
    """Facts and times of groups in order of execution, medians in nanoseconds.

    Attributes:
        profiled_whole_ns: of runs with the profile on. cost: what was taken off every node's duration.
    """

    facts: tuple[OperatorFacts, ...]
    times: tuple[StepTime, ...]
    whole_ns: int
    profiled_whole_ns: int
    cost: ProfileCost


def timed_groups(facts: Sequence[OperatorFacts], plan: OnnxPlan, reply: Mapping[str, Any]) -> TimedGroups:
    """Map a device's answer back to the file's operators.

    A group's time is the median over the rounds of its nodes' durations, less what the profile itself costs in them
    (`profile_cost`), with a 95 % bootstrap over the rounds; the cost's own uncertainty is not in it. Its precision is
    the one that it was computed in: float where a node other than a rounding writes float in an integer operator.

    Raises:
        EngineError: an answer that does not hold.
    """
    profiled = read_profiled(reply)
    run = [
        RunNode(name=node.name, kind=node.op_type, inputs=node.inputs, outputs=node.outputs) for node in profiled.nodes
    ]
    groups = group_nodes(plan.file, run, len(facts))
    cost = profile_cost(profiled.chains)
    drawn = np.random.default_rng(SEED).integers(0, len(profiled.whole_ns), (RESAMPLES, len(profiled.whole_ns)))
    return TimedGroups(
        facts=tuple(_facts(group, facts, plan.tensors, profiled) for group in groups),
        times=tuple(_time(group, profiled, cost, drawn) for group in groups),
        whole_ns=int(np.median(profiled.whole_ns)),
        profiled_whole_ns=int(np.median(profiled.profiled_whole_ns)),
        cost=cost,
    )


def _time(group: Group, profiled: Profiled, cost: ProfileCost, drawn: npt.NDArray[np.int64]) -> StepTime:
    nodes = [profiled.nodes[place] for place in group.nodes]
    if not nodes:
        return StepTime(time_ns=0, low_ns=0, high_ns=0)
    off_ns = sum(ROUNDED_OFF_NS - cost.of(node.tensors) for node in nodes)
    sums = np.sum([node.durations_ns for node in nodes], axis=0)
    low, high = np.quantile(_tick_median(sums[drawn]), (0.025, 0.975))
    middle = float(_tick_median(sums[None])[0])
    return StepTime(
        time_ns=round(middle + off_ns),
        low_ns=round(min(low, middle) + off_ns),
        high_ns=round(max(high, middle) + off_ns),
    )


def _tick_median(values: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Median of every row of values that are whole ticks: within the tick, by how many lie below it and in it."""
    middle = np.quantile(values, 0.5, axis=1, method="nearest")[:, None]
    below = (values < middle).sum(axis=1)
    within = (values == middle).sum(axis=1)
    # Like statistics.median_grouped, of classes around their values.
    found: npt.NDArray[np.float64] = middle[:, 0] - TICK_NS / 2 + TICK_NS * (values.shape[1] / 2 - below) / within
    return found


def _facts(
    group: Group, facts: Sequence[OperatorFacts], tensors: Sequence[OperatorTensors], profiled: Profiled
) -> OperatorFacts:
    nodes = [profiled.nodes[place] for place in group.nodes]
    if not group.operators:
        return _inserted(nodes[0])
    members = [facts[place] for place in group.operators]
    counts = [fact.multiply_adds for fact in members]
    known = [count for count in counts if count is not None]
    main = max(members, key=lambda fact: fact.multiply_adds or 0)
    return replace(
        main,
        name=members[0].name,
        others=tuple(fact.name for fact in members[1:]),
        precision=_precision(main.precision, nodes),
        multiply_adds=sum(known) if len(known) == len(counts) else None,
        bytes_moved=_bytes_moved(group, tensors),
    )


def _inserted(node: ProfiledNode) -> OperatorFacts:
    return OperatorFacts(
        name=node.name,
        kind=node.op_type,
        precision=_DTYPES.get(node.dtype, node.dtype or "unknown"),
        multiply_adds=0,
        bytes_moved=node.bytes_moved,
        channels=0,
        depthwise=False,
        input_share=1.0,
        inserted=True,
    )


_DTYPES = {"float": "float32", "float16": "float16", "double": "float64"}


def _precision(told: str, nodes: Sequence[ProfiledNode]) -> str:
    computing = {_DTYPES[node.dtype] for node in nodes if node.op_type not in ROUNDING and node.dtype in _DTYPES}
    return told if told.startswith("float") or not computing else min(computing)


def _bytes_moved(group: Group, tensors: Sequence[OperatorTensors]) -> int:
    """Inputs, constants and outputs, each once; not what only passes from one of the group to another."""
    reads: dict[str, int] = {}
    writes: dict[str, int] = {}
    for place in group.operators:
        reads.update(tensors[place].reads)
        writes.update(tensors[place].writes)
    elsewhere = {name for place, entry in enumerate(tensors) if place not in group.operators for name in entry.reads}
    inner = {name for name in writes if name in reads and name not in elsewhere}
    return sum(size for name, size in {**reads, **writes}.items() if name not in inner)
