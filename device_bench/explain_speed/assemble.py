"""An explanation out of a device's raw times and what the host knows of the file."""

import json
from dataclasses import replace
from statistics import mean, median

import numpy as np

from device_bench.explain_speed.answer import ExplainedAnswer, TimedGroup
from device_bench.explain_speed.onnx_nodes import timed_groups
from device_bench.explain_speed.payoffs import Seen
from device_bench.explain_speed.peaks import peaks
from device_bench.explain_speed.prefix_times import step_times
from device_bench.explain_speed.roofline import explain
from device_bench.explain_speed.spec import ExplainSpec
from device_bench.explanation import Explanation
from edge.errors import EngineError


def explanation(spec: ExplainSpec, answer: ExplainedAnswer, *, engine: str, threads: int, where: str) -> Explanation:
    """Put an answer and a spec together.

    Args:
        answer: with times, not one that says what is missing.
        engine: `litert:xnnpack`, as it really ran. where: opens an error's message.

    Raises:
        EngineError: the answer is not one to this spec.
    """
    seen = Seen(
        threads=threads,
        threads_ns={int(count): round(median(times)) for count, times in answer.threads_ns.items()},
        empty_ns=answer.empty_ns,
        partitions=answer.partitions,
    )
    if answer.method != spec.method:
        raise EngineError(f"{where}: {spec.method} was asked for, {answer.method!r} answered")
    try:
        measured = peaks(spec.peaks, answer)
        if spec.onnx is not None:
            if answer.profile is None:
                raise ValueError("it has no profile")
            told = timed_groups(spec.facts, spec.onnx, json.loads(json.dumps(answer.profile)))
            return explain(
                told.facts,
                told.times,
                whole_ns=told.whole_ns,
                profiled_whole_ns=told.profiled_whole_ns,
                engine=engine,
                peaks=measured,
                seen=seen,
            )
        passes = answer.passes or ()
        if not passes:
            raise ValueError("it has no times of the file's beginnings")
        for groups in passes:
            _check_groups(groups, len(spec.facts))
        facts = spec.facts
        if answer.delegated:
            if len(answer.delegated) != len(facts):
                raise ValueError(f"it tells {len(answer.delegated)} operators of {len(facts)}")
            pairs = zip(facts, answer.delegated, strict=True)
            facts = tuple(replace(fact, delegated=delegated) for fact, delegated in pairs)
        return explain(
            facts,
            step_times([[np.array(group.parts_ns, np.int64).T for group in groups] for groups in passes]),
            whole_ns=round(mean(median(group.whole_ns) for groups in passes for group in groups)),
            engine=engine,
            peaks=measured,
            seen=seen,
        )
    except ValueError as error:
        raise EngineError(f"{where}: its answer does not explain the model: {error}") from error


def _check_groups(groups: tuple[TimedGroup, ...], count: int) -> None:
    """Each group must open with the last beginning of the one before, and all together be the file's."""
    last = 0
    for group in groups:
        if group.first != last:
            raise ValueError(f"a group of beginnings opens with {group.first}, not {last}")
        last = group.first + len(group.parts_ns) - 1
    if not groups or last != count - 1:
        raise ValueError(f"it timed {last + 1 if groups else 0} of {count} beginnings")
