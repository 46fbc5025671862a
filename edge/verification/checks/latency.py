"""Latency against a budget: one measurement in, one finding out. Measuring and its records are elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.artifact.units import duration_text
from edge.artifact.verdict import Finding


@dataclass(frozen=True, kw_only=True)
class LatencyMeasured:
    """One measurement of one model file, as plain values.

    Attributes:
        subject: file, engine, kernels and threads. machine: the processor, and whose it is.
        percentiles_ns: percentile (50, 90, 99) -> nanoseconds, over `runs` inferences.
        self_tested: whether the runtime proved that it computes the right thing before it was timed.
        emulated: the emulator, None on a real processor.
        disturbances: what in the machine's state casts doubt on the figure; one sentence each.
    """

    subject: str
    machine: str
    time_utc: str
    runs: int
    percentiles_ns: Mapping[int, int]
    self_tested: bool
    emulated: str | None
    disturbances: tuple[str, ...]


def latency_finding(measured: LatencyMeasured, budget_ns: int, percentile: int, *, allow_disturbed: bool) -> Finding:
    """Judge a measurement. One that is not fit to be judged does not pass: a budget was asked for, and is not shown.

    Never judged: an emulated processor, a runtime without its self-test, fewer than 100 / (100 - percentile) runs (the
    percentile would be the slowest run). Judged only with `allow_disturbed`: a machine that was disturbed.
    """
    found_ns = measured.percentiles_ns[percentile]
    least_runs = 100 // (100 - percentile)
    figure = f"p{percentile} {duration_text(found_ns)} of {measured.runs} runs on {measured.machine}"
    data = {
        "latency_ns": found_ns,
        "percentile": percentile,
        "latency_budget_ns": budget_ns,
        "runs": measured.runs,
        "machine": measured.machine,
        "time_utc": measured.time_utc,
        "disturbances": list(measured.disturbances),
        "judged": True,
    }
    reason = None
    if measured.emulated is not None:
        reason = f"the processor was emulated ({measured.emulated}); measure on the device"
    elif not measured.self_tested:
        reason = "the runtime was not held to the self-test; measure without --no-selftest"
    elif measured.runs < least_runs:
        reason = f"p{percentile} needs at least {least_runs} runs"
    elif measured.disturbances and not allow_disturbed:
        reason = f"the machine was disturbed: {measured.disturbances[0]}"
        reason += f" (and {len(measured.disturbances) - 1} more)" * (len(measured.disturbances) > 1)
        reason += "; quiet it, or accept the figure with --allow-disturbed"
    if reason is not None:
        data["judged"] = False
        detail = f"not judged: {reason}; {figure}"
        return Finding(check="latency", subject=measured.subject, passed=False, detail=detail, data=data)
    passed = found_ns <= budget_ns
    detail = f"{figure}; {duration_text(budget_ns)} allowed"
    if measured.disturbances:
        detail += f"; disturbed, and accepted as it is: {', '.join(measured.disturbances)}"
    return Finding(check="latency", subject=measured.subject, passed=passed, detail=detail, data=data)


def unjudged_latency(subject: str, reason: str, budget_ns: int, *, demanded: bool) -> Finding:
    """There is a budget and no measurement: a fault where one was demanded, else a fact."""
    data = {"latency_ns": None, "latency_budget_ns": budget_ns, "judged": False}
    passed = False if demanded else None
    return Finding(check="latency", subject=subject, passed=passed, detail=f"not judged: {reason}", data=data)
