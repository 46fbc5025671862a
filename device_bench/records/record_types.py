"""The types that a record is made of: integers that 64 bits hold.

DuckDB, Parquet and readers in other languages have no larger integers; JSON has no NaN.
"""

from typing import Annotated

from pydantic import Field

INT64_MAX = 2**63 - 1
LONGEST_NS = 10**15
"""Eleven days: no single query lasts longer, and sums of such durations stay within 64 bits."""

Whole = Annotated[int, Field(ge=-INT64_MAX, le=INT64_MAX)]
Count = Annotated[int, Field(ge=0, le=INT64_MAX)]
Positive = Annotated[int, Field(ge=1, le=INT64_MAX)]
Duration = Annotated[int, Field(ge=0, le=LONGEST_NS)]
