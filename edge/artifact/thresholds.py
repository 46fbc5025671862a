"""What an artifact must reach to ship, and who said so: the command line, the recipe, or the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from edge.artifact.units import duration_ns, size_bytes
from edge.errors import RecipeError, UsageError
from edge.strict import Strict, first_problem

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Percentile = Literal[50, 90, 99]
Origin = Literal["command line", "recipe", "default"]

DEFAULT_ACCURACY_FLOOR = 0.99
DEFAULT_PERCENTILE: Percentile = 90
"""Of 10 frames, 9 are in time. The median says nothing about every second frame, and below 100 runs p99 is the maximum,
which is one accident of the machine."""


class Thresholds(Strict):
    """The `[verdict]` section of a recipe, and what the command line says: every key may be omitted.

    Attributes:
        accuracy_floor: least accuracy (top-1, mean IoU) as a share of the float parent's on the same images.
        agreement_floor: least share of decisions (images, or pixels of a class map) equal to the float parent's.
        boundary_floor: least Boundary IoU of a segmenter as a share of the float parent's on the same images.
        latency_budget: longest time of one inference, with its unit: `30ms`.
        latency_percentile: the percentile of the runs that the budget holds for.
        max_differing: values that may differ from the integer simulation end to end, where kernels are exact.
        size_budget: largest model file that a device runs, with its unit: `4MB`.
    """

    accuracy_floor: Share | None = None
    agreement_floor: Share | None = None
    boundary_floor: Share | None = None
    latency_budget: str | None = None
    latency_percentile: Percentile | None = None
    max_differing: Count | None = None
    size_budget: str | None = None

    @field_validator("latency_budget")
    @classmethod
    def _duration(cls, value: str | None) -> str | None:
        if value is not None:
            _checked(duration_ns, value)
        return value

    @field_validator("size_budget")
    @classmethod
    def _size(cls, value: str | None) -> str | None:
        if value is not None:
            _checked(size_bytes, value)
        return value


def _checked(parse: Any, value: str) -> None:
    try:
        parse(value)
    except UsageError as error:
        raise ValueError(str(error)) from error


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The thresholds that hold, resolved; None is not judged. `origins` says for each name where it was said."""

    accuracy_floor: float = DEFAULT_ACCURACY_FLOOR
    agreement_floor: float | None = None
    boundary_floor: float | None = None
    latency_budget_ns: int | None = None
    latency_percentile: int = DEFAULT_PERCENTILE
    max_differing: int = 0
    size_budget_bytes: int | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)


def resolve(asked: Thresholds, recipe: Thresholds | None) -> Limits:
    """The command line where it says something, else the recipe, else the defaults."""
    said: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    sources: list[tuple[Origin, Thresholds]] = [("command line", asked)]
    if recipe is not None:
        sources.append(("recipe", recipe))
    for name in Thresholds.model_fields:
        origin, value = next(
            ((origin, getattr(source, name)) for origin, source in sources if getattr(source, name) is not None),
            ("default", None),
        )
        key = {"latency_budget": "latency_budget_ns", "size_budget": "size_budget_bytes"}.get(name, name)
        origins[key] = origin  # type: ignore[assignment]  # one of the three
        if value is not None:
            said[key] = {"latency_budget": duration_ns, "size_budget": size_bytes}.get(name, lambda same: same)(value)
    return Limits(**said, origins=origins)


def recipe_thresholds(recipe: Mapping[str, Any] | None, where: str) -> Thresholds | None:
    """The `[verdict]` section of a recipe carried as plain data; None where there is none.

    Raises:
        RecipeError: a section that does not hold, after `where`.
    """
    section = None if recipe is None else recipe.get("verdict")
    if section is None:
        return None
    try:
        return Thresholds.model_validate(section)
    except ValidationError as error:
        problem = first_problem(error, Thresholds)
        raise RecipeError(f"{where}: its recipe's [verdict] {problem}") from error
