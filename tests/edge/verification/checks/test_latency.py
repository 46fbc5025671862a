"""A measurement against a budget; one that proves nothing does not pass."""

from dataclasses import replace

import pytest

from edge.verification.checks.latency import LatencyMeasured, latency_finding, unjudged_latency

QUIET = LatencyMeasured(
    subject="model.tflite in litert 2.3 (xnnpack 65/65, 1 thread)",
    machine="Raspberry Pi 5",
    time_utc="2026-11-01T00:00:00+00:00",
    runs=100,
    percentiles_ns={50: 20_000_000, 90: 30_000_000, 99: 50_000_000},
    self_tested=True,
    emulated=None,
    disturbances=(),
)
LOADED = "load average 3.10 on 4 processors before the start"


@pytest.mark.parametrize(("percentile", "passed"), [(50, True), (90, True), (99, False)])
def test_the_budget_holds_for_the_percentile_and_the_bound_itself_passes(percentile: int, passed: bool) -> None:
    found = latency_finding(QUIET, 30_000_000, percentile, allow_disturbed=False)
    assert found.passed is passed
    assert found.data["latency_ns"] == QUIET.percentiles_ns[percentile] and found.data["judged"] is True


def test_a_disturbed_machine_is_not_judged_unless_that_is_allowed() -> None:
    """Neither within the budget nor above it; with the permission, the disturbance still stands in the finding."""
    disturbed = replace(QUIET, disturbances=(LOADED, "throttled now"))
    found = latency_finding(disturbed, 10**9, 90, allow_disturbed=False)
    assert found.passed is False and found.data["judged"] is False
    assert found.detail.startswith(f"not judged: the machine was disturbed: {LOADED} (and 1 more); ")
    accepted = latency_finding(disturbed, 10**9, 90, allow_disturbed=True)
    assert accepted.passed is True and LOADED in accepted.detail
    assert latency_finding(disturbed, 1, 90, allow_disturbed=True).passed is False


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"emulated": "qemu"}, "emulated (qemu)"),
        ({"self_tested": False}, "self-test"),
        ({"runs": 99}, "at least 100 runs"),
    ],
)
def test_what_says_nothing_is_never_judged(change: dict[str, object], reason: str) -> None:
    """Not even with --allow-disturbed."""
    found = latency_finding(replace(QUIET, **change), 10**9, 99, allow_disturbed=True)  # type: ignore[arg-type]
    assert found.passed is False and found.data["judged"] is False and reason in found.detail


def test_a_budget_without_a_measurement_fails_where_it_was_demanded() -> None:
    assert unjudged_latency("the device", "nothing measured", 10, demanded=True).passed is False
    assert unjudged_latency("the device", "nothing measured", 10, demanded=False).passed is None
