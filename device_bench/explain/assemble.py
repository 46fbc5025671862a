"""An explanation out of a device's raw times and what the host knows of the file."""

import json
from dataclasses import replace
from statistics import mean, median

from device_bench.explain.onnx_nodes import timed_groups
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen
from device_bench.explain.peaks import peaks
from device_bench.explain.reply import ExplainedReply, TimedGroup
from device_bench.explain.roofline import explain
from device_bench.explain.spec import ExplainSpec
from device_bench.explain.step_times import step_times
from device_bench.records.explanation import Explanation
from edge.errors import EngineError


def explanation(spec: ExplainSpec, reply: ExplainedReply, *, engine: str, threads: int, where: str) -> Explanation:
    """Put an answer and a spec together.

    Args:
        reply: with times, not one that says what is missing.
        engine: `litert:xnnpack`, as it really ran. where: opens an error's message.

    Raises:
        EngineError: the answer is not one to this spec.
    """
    seen = Seen(
        threads=threads,
        threads_ns={int(count): round(median(times)) for count, times in reply.threads_ns.items()},
        empty_ns=reply.empty_ns,
        partitions=reply.partitions,
    )
    if reply.method != spec.method:
        raise EngineError(f"{where}: {spec.method} was asked for, {reply.method!r} answered")
    try:
        measured = peaks(spec.peaks, reply)
        if spec.onnx is not None:
            if reply.profile is None:
                raise ValueError("it has no profile")
            told = timed_groups(spec.facts, spec.onnx, json.loads(json.dumps(reply.profile)))
            return explain(
                told.facts,
                told.times,
                whole_ns=told.whole_ns,
                profiled_whole_ns=told.profiled_whole_ns,
                engine=engine,
                peaks=measured,
                seen=seen,
            )
        passes = reply.passes or ()
        if not passes:
            raise ValueError("it has no times of the operators")
        return explain(
            _delegated(spec.facts, reply),
            step_times(_states(passes, spec)),
            whole_ns=round(mean(median(group.whole_ns) for groups in passes for group in groups)),
            engine=engine,
            peaks=measured,
            seen=seen,
        )
    except ValueError as error:
        raise EngineError(f"{where}: its answer does not explain the model: {error}") from error


def _states(passes: tuple[tuple[TimedGroup, ...], ...], spec: ExplainSpec) -> list[list[list[float]]]:
    """For every state and pass, the operators' medians less the median of a call."""
    counts = {len(group.states) for groups in passes for group in groups}
    if len(counts) != 1:
        raise ValueError(f"it timed 0 of {len(spec.facts)} operators, or not all in the same states")
    return [[_times(groups, state, spec) for groups in passes] for state in range(counts.pop())]


def _times(groups: tuple[TimedGroup, ...], state: int, spec: ExplainSpec) -> list[float]:
    told = [group.states[state] for group in groups]
    found = [median(times) - median(call) for parts, call in told for times in parts]
    if len(found) != len(spec.facts):
        raise ValueError(f"it timed {len(found)} of {len(spec.facts)} operators")
    less = spec.less or (None,) * len(found)
    return [time - (0.0 if other is None else found[other]) for time, other in zip(found, less, strict=True)]


def _delegated(facts: tuple[OperatorFacts, ...], reply: ExplainedReply) -> tuple[OperatorFacts, ...]:
    """The facts, each with whether a delegate runs the operator, where the runtime says so."""
    if not reply.delegated:
        return facts
    if len(reply.delegated) != len(facts):
        raise ValueError(f"it tells {len(reply.delegated)} operators of {len(facts)}")
    pairs = zip(facts, reply.delegated, strict=True)
    return tuple(replace(fact, delegated=delegated) for fact, delegated in pairs)
