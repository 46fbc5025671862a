"""How a measurement is made: what is repeated, how often and in which order."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(ge=1)]


class Plan(BaseModel):
    """A measurement plan.

    The subjects (artifact and engine) are measured in `rounds`: in every round each one, in turn (A B A B ...), gets
    one block, so that a slow change of the machine meets all of them alike. A block opens with one unmeasured run,
    which brings the subject's weights back into the caches, and ends when its share of `min_runs` and of
    `min_duration_ns` is reached, or its share of `max_runs`.

    Attributes:
        threads: threads that the engine may use.
        kernels: kernel set asked of the engine; None is its default.
        warmup_runs, warmup_duration_ns: unmeasured runs before the first round: at least so many, at least so long.
        min_duration_ns: sum of the measured samples of one subject.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    threads: Count = 1
    kernels: str | None = None
    rounds: Count = 10
    warmup_runs: Count = 10
    warmup_duration_ns: Annotated[int, Field(ge=0)] = 500_000_000
    min_runs: Count = 50
    min_duration_ns: Annotated[int, Field(ge=0)] = 2_000_000_000
    max_runs: Count = 20_000

    @model_validator(mode="after")
    def _most_is_not_below_least(self) -> "Plan":
        if self.max_runs < self.min_runs:
            raise ValueError(f"max_runs {self.max_runs} is below min_runs {self.min_runs}")
        return self


def share(total: int, rounds: int) -> int:
    """What one of `rounds` blocks has to bring so that all of them together reach `total`: rounded up."""
    return -(-total // rounds)
