"""One range for all ranks of torch.distributed: what each sees is joined before anything follows from it.

Every rank must run the same batches' worth of observing and learning steps, as under DistributedDataParallel. Without a
process group, or with one rank, nothing here communicates.
"""

import math

import torch
from torch import Tensor, distributed


def extremes_over_ranks(low: Tensor, high: Tensor) -> tuple[float, float]:
    """The smallest of all ranks' lows and the largest of their highs (0-d); infinite where one rank's is not finite."""
    if _ranks() > 1:
        ends = torch.stack([-low, high]).nan_to_num(nan=math.inf, posinf=math.inf, neginf=-math.inf)
        distributed.all_reduce(ends, op=distributed.ReduceOp.MAX)
        low, high = -ends[0], ends[1]
    return float(low), float(high)


def mean_over_ranks(*values: Tensor | None) -> list[Tensor | None]:
    """Each 0-d value's mean over the ranks, as DistributedDataParallel joins gradients; None stays, on every rank."""
    ranks, given = _ranks(), [value for value in values if value is not None]
    if ranks == 1 or not given:
        return list(values)
    joined = torch.stack(given)
    distributed.all_reduce(joined)
    means = iter((joined / ranks).unbind())
    return [None if value is None else next(means) for value in values]


def _ranks() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
