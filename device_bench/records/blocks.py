"""The blocks in which samples were taken, found again from the plan's rule: samples of one block are correlated."""

from collections.abc import Sequence
from itertools import pairwise

from device_bench.agent.loop import block, share
from device_bench.records.plan import Plan

PIECES = 10
FEWEST_BLOCKS = 5


def rounds_taken(samples_ns: Sequence[int], plan: Plan) -> list[list[int]] | None:
    """Cut the samples of one record into its rounds, by the measuring loop itself: its clock tells these samples.

    None where the samples are none that the loop takes by this plan: a round that does not reach its share of runs and
    duration, or samples beyond the last round.
    """
    moments = (moment_ns for sample_ns in samples_ns for moment_ns in (0, sample_ns))
    shares = (share(total, plan.rounds) for total in (plan.min_runs, plan.min_duration_ns, plan.max_runs))
    least_runs, least_ns, most_runs = shares
    try:
        found = [
            block(lambda: None, lambda: next(moments), least_runs, least_ns, most_runs) for _ in range(plan.rounds)
        ]
    except StopIteration:
        return None
    return found if next(moments, None) is None else None


def blocks(samples_ns: Sequence[int], plan: Plan) -> list[list[int]]:
    """Cut the samples of one record into its rounds, as far as they follow from the samples.

    Where the plan does not give them (another program took the samples), or gives under FEWEST_BLOCKS, the samples are
    cut into PIECES consecutive pieces of equal length instead.
    """
    found = rounds_taken(samples_ns, plan)
    if found is not None and len(found) >= FEWEST_BLOCKS:
        return found
    edges = [len(samples_ns) * piece // PIECES for piece in range(PIECES + 1)]
    return [list(samples_ns[start:end]) for start, end in pairwise(edges) if end > start]
