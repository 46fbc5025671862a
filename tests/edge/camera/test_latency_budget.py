"""Which frames can still be answered in time."""

from edge.camera.latency_budget import LatencyBudget

MS = 1_000_000


def test_a_frame_that_waited_too_long_is_passed_over_and_a_fresh_one_never() -> None:
    budget = LatencyBudget(100 * MS)
    assert budget.admits(90 * MS, idle=False)
    budget.took(60 * MS)
    assert budget.admits(40 * MS, idle=False) and not budget.admits(41 * MS, idle=False)
    budget.took(500 * MS)
    assert not budget.admits(0, idle=False) and budget.admits(20 * MS, idle=True)
    assert budget.holds(100 * MS) and not budget.holds(101 * MS)


def test_the_expectation_rises_at_once_and_falls_slowly() -> None:
    budget = LatencyBudget(100 * MS)
    budget.took(80 * MS)
    budget.took(40 * MS)
    assert budget.admits(25 * MS, idle=False) and not budget.admits(26 * MS, idle=False)  # 80 - 40 / 8 = 75
    for _ in range(60):
        budget.took(40 * MS)
    assert budget.admits(59 * MS, idle=False)
