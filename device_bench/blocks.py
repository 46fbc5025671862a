"""The blocks in which samples were taken, found again from the plan's rule: samples of one block are correlated."""

from collections.abc import Sequence
from itertools import pairwise

from device_bench.plan import Plan

PIECES = 10
FEWEST_BLOCKS = 5


def blocks(samples_ns: Sequence[int], plan: Plan) -> list[list[int]]:
    """Cut the samples of one record into its blocks.

    A block ends when its share of the plan's runs and of its duration is reached, so its end follows from the samples
    themselves. Where that does not give one block per round (another program took the samples), or under FEWEST_BLOCKS,
    the samples are cut into PIECES consecutive pieces of equal length instead.
    """
    least_runs, least_ns = -(-plan.min_runs // plan.rounds), -(-plan.min_duration_ns // plan.rounds)
    most_runs = -(-plan.max_runs // plan.rounds)
    found: list[list[int]] = []
    block: list[int] = []
    total_ns = 0
    for sample_ns in samples_ns:
        block.append(sample_ns)
        total_ns += sample_ns
        if len(block) >= most_runs or (len(block) >= least_runs and total_ns >= least_ns):
            found.append(block)
            block, total_ns = [], 0
    if not block and len(found) == plan.rounds >= FEWEST_BLOCKS:
        return found
    edges = [len(samples_ns) * piece // PIECES for piece in range(PIECES + 1)]
    return [list(samples_ns[start:end]) for start, end in pairwise(edges) if end > start]
