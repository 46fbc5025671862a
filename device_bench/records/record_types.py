"""The types that a record is made of: strict models, finite real numbers, integers that 64 bits hold.

DuckDB, Parquet and readers in other languages have no larger integers; JSON has no NaN.
"""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

INT64_MAX = 2**63 - 1
LONGEST_NS = 10**15
"""Eleven days: no single query lasts longer, and sums of such durations stay within 64 bits."""

Whole = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]
Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT64_MAX)]
Duration = Annotated[int, Field(ge=0, le=LONGEST_NS)]


class Strict(BaseModel):
    """Frozen; no unknown key, no conversion between types, no NaN or infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def first_problem(error: Exception) -> str:
    """The first wrong field of a validation, and what is wrong with it."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'answer'}: {first['msg']}"
    return str(error)
