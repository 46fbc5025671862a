"""Timed operators against what this machine can do: shares, intensity, bound, fraction of the attainable rate."""

from collections.abc import Sequence

from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen
from device_bench.explain.reasons import changes, reasons
from device_bench.explain.step_times import StepTime
from device_bench.records.explanation import ExplainedOperator, Explanation, Peaks

NANOSECONDS = 1e9
INT8_PEAK, FLOAT_PEAK = ("int8_multiply_adds_per_s", "int8"), ("float_multiply_adds_per_s", "float")
LARGE = 0.02  # of the whole time
WIDEST = 0.5  # of its time: an operator whose interval is wider gets no rate


def explain(
    facts: Sequence[OperatorFacts],
    times: Sequence[StepTime],
    *,
    whole_ns: int,
    engine: str,
    peaks: Peaks,
    seen: Seen,
    profiled_whole_ns: int | None = None,
) -> Explanation:
    """Put facts and times together, operator by operator.

    Args:
        whole_ns: the whole file's own time. profiled_whole_ns: the same under ONNX Runtime's profile, which then is the
            method. seen: what else was measured.
    """
    total = sum(fact.multiply_adds or 0 for fact in facts)
    peaks = raised(peaks, facts, times, whole_ns)
    operators = tuple(_explained(fact, step, whole_ns, total, peaks) for fact, step in zip(facts, times, strict=True))
    return Explanation(
        method="measured-operators" if profiled_whole_ns is None else "onnxruntime-profile",
        engine=engine,
        threads=seen.threads,
        whole_ns=whole_ns,
        profiled_whole_ns=profiled_whole_ns,
        operators=operators,
        unexplained_ns=whole_ns - sum(step.time_ns for step in times),
        threads_ns={str(count): time_ns for count, time_ns in seen.threads_ns.items()},
        partitions=seen.partitions,
        peaks=peaks,
        reasons=reasons(facts, operators, seen, whole_ns),
        changes=changes(facts, operators, seen),
    )


def raised(peaks: Peaks, facts: Sequence[OperatorFacts], times: Sequence[StepTime], whole_ns: int) -> Peaks:
    """Peaks that no operator exceeds with certainty: the best rate seen is the peak, whatever showed it.

    An operator counts with the upper end of its interval and only if it is a large one, so that noise raises nothing.
    """
    found = peaks
    for fact, step in zip(facts, times, strict=True):
        name, label = FLOAT_PEAK if fact.precision.startswith("float") else INT8_PEAK
        peak = getattr(found, name)
        if peak is None or not fact.multiply_adds or step.time_ns < LARGE * whole_ns or not _certain(step):
            continue
        rate = fact.multiply_adds * NANOSECONDS / step.high_ns
        if rate > peak:
            how = {**found.how, label: f"{fact.name}, which is faster than the {peaks.how[label]}"}
            found = found.model_copy(update={name: rate, "how": how})
    return found


def _explained(fact: OperatorFacts, step: StepTime, whole_ns: int, total: int, peaks: Peaks) -> ExplainedOperator:
    count = fact.multiply_adds
    intensity = None if count is None else count / fact.bytes_moved
    peak = peaks.float_multiply_adds_per_s if fact.precision.startswith("float") else peaks.int8_multiply_adds_per_s
    compute_ns = None if peak is None or count is None else count / peak * NANOSECONDS
    memory_ns = fact.bytes_moved / peaks.bandwidth_for(fact.bytes_moved) * NANOSECONDS
    least_ns = None if compute_ns is None else max(compute_ns, memory_ns)
    return ExplainedOperator(
        names=(fact.name, *fact.others),
        kind=f"{fact.kind} dw" if fact.depthwise else fact.kind,
        precision=fact.precision,
        multiply_adds=count,
        bytes=fact.bytes_moved,
        time_ns=step.time_ns,
        low_ns=step.low_ns,
        high_ns=step.high_ns,
        delegated=fact.delegated,
        share_time=step.time_ns / whole_ns,
        share_multiply_adds=None if count is None or not total else count / total,
        intensity=intensity,
        bound=None if compute_ns is None else "compute" if compute_ns >= memory_ns else "memory",
        attainable=None if least_ns is None or not _certain(step) else least_ns / step.time_ns,
    )


def _certain(step: StepTime) -> bool:
    return step.low_ns > 0 and step.time_ns > 0 and step.high_ns - step.low_ns <= WIDEST * step.time_ns
