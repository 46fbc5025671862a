"""The learning rate at each step, as a factor of the highest one."""

import math
from collections.abc import Callable

from edge.recipe.recipe import Phase

# schedule -> factor in [0, 1] at `progress` in [0, 1) of the steps after warm-up; `power` is the poly exponent.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "poly": lambda progress, power: (1.0 - progress) ** power,
    "cosine": lambda progress, power: 0.5 * (1.0 + math.cos(math.pi * progress)),
    "constant": lambda progress, power: 1.0,
}


def learning_rate(phase: Phase, step: int, steps_per_epoch: int) -> float:
    """The learning rate of a step (0 is the first).

    It rises linearly over `warmup_epochs`, reaching the highest at their end, then follows the schedule, which would
    reach its end one step after the last. (Poly: Liu et al., ParseNet; as Fast-SCNN, section 4.1.)
    """
    warmup = round(phase.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return phase.learning_rate * (step + 1) / (warmup + 1)
    remaining = max(1, phase.epochs * steps_per_epoch - warmup)
    progress = min(1.0, (step - warmup) / remaining)
    return phase.learning_rate * SCHEDULES[phase.schedule](progress, phase.poly_power)
