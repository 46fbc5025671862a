"""Which of a detector's class scores reach a threshold: in the integers of the file first, whatever its scores are."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edge.port import Port, dequantize
from edge.vision.postprocess import sigmoid

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]
Table = NDArray[Any]
Values = Literal["logits", "probabilities"]
FLOAT_MARGIN = 1e-5  # as a share of the threshold: a float logit within it is decided by the probability itself


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoreColumns:
    """What the columns of a table of scores are: one row per box, one column per class.

    Attributes:
        port: of the output that holds them.
        values: `logits` or `probabilities`. exclusive: logits exclude each other (softmax), or do not (sigmoid).
        background: the column that is no class; None where there is none.
        probabilities: float32, of every integer that a score can be, ascending; None where each is not its own.
    """

    port: Port
    values: Values
    exclusive: bool
    background: int | None
    probabilities: Floats | None = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "probabilities", None if self._of_rows else level_probabilities(self.port, self.values)
        )

    @property
    def _of_rows(self) -> bool:
        """Whether a probability depends on the other scores of its row."""
        return self.values == "logits" and self.exclusive

    def reaching(self, table: Table, threshold: float) -> tuple[Indices, Indices, Floats]:
        """Rows, labels (0 for the first class) and probabilities of the scores of at least `threshold`.

        Args:
            table: raw (boxes, columns), of any order in memory.
        """
        if self._of_rows:
            rows, columns, scores = self._of_softmax(table, threshold)
        else:
            hits = self.may_reach(table, threshold)
            if self.background is not None:
                hits[:, self.background] = False
            rows, columns = _places(hits)
            scores = self.probability(table[rows, columns])
            passed = scores >= np.float32(threshold)
            rows, columns, scores = rows[passed], columns[passed], scores[passed]
        labels = columns if self.background is None else columns - (columns > self.background)
        return rows, labels, scores

    def may_reach(self, raw: Table, threshold: float) -> NDArray[np.bool_]:
        """Where scores that do not depend on others do: exact in integers; a float logit a rounding below may, too."""
        if self.probabilities is not None:
            least = self.integer_threshold(threshold)
            if least is None:
                return np.zeros_like(raw, np.bool_)
            return np.asarray(raw >= np.asarray(least, raw.dtype)[()])
        if self.values == "probabilities":
            return np.asarray(raw >= np.float32(threshold))
        near = threshold * (1 - FLOAT_MARGIN)
        return np.asarray(raw >= np.float32(math.log(near / (1 - near))))

    def integer_threshold(self, threshold: float) -> int | None:
        """The least integer whose probability, in float32, is at least `threshold`; None where there is none."""
        assert self.probabilities is not None
        first = int(np.searchsorted(self.probabilities, np.float32(threshold)))
        return None if first == len(self.probabilities) else int(np.iinfo(self.port.dtype).min) + first

    def probability(self, raw: Table) -> Floats:
        """Of scores that do not depend on others."""
        if self.probabilities is not None:
            return self.probabilities[raw.astype(np.int64) - int(np.iinfo(raw.dtype).min)]
        return sigmoid(raw.astype(np.float32)) if self.values == "logits" else raw.astype(np.float32)

    def _of_softmax(self, table: Table, threshold: float) -> tuple[Indices, Indices, Floats]:
        """A class reaches p only in a row where it is ahead of the background, or of any other, by log(p / (1 - p))."""
        wide = table.astype(np.float32)
        against = wide.max(axis=1) if self.background is None else wide[:, self.background]
        near = threshold * (1 - FLOAT_MARGIN)
        ahead = math.log(near / (1 - near)) / (self.port.scale or 1.0)
        hits = wide - against[:, None] >= np.float32(min(ahead, 0.0) if self.background is None else ahead)
        if self.background is not None:
            hits[:, self.background] = False
        chosen = np.flatnonzero(hits.any(axis=1))
        real = dequantize(table[chosen], self.port.scale, self.port.zero_point)
        powers = np.exp(real - real.max(axis=1, keepdims=True))
        shares = powers / powers.sum(axis=1, keepdims=True)
        passed = shares >= np.float32(threshold)
        if self.background is not None:
            passed[:, self.background] = False
        rows, columns = _places(passed)
        return np.asarray(chosen[rows], np.int64), columns, shares[rows, columns]


def level_probabilities(port: Port, values: Values) -> Floats | None:
    """The probability of every integer that an output can be, ascending; None for a float output."""
    if port.scale is None:
        return None
    limits = np.iinfo(port.dtype)
    real = dequantize(np.arange(limits.min, limits.max + 1, dtype=np.int64), port.scale, port.zero_point)
    return sigmoid(real) if values == "logits" else real


def _places(hits: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of what is true, read in the order of memory, which is faster."""
    if hits.flags.f_contiguous and not hits.flags.c_contiguous:
        columns, rows = np.divmod(np.flatnonzero(hits.T), hits.shape[0])
    else:
        rows, columns = np.divmod(np.flatnonzero(hits), hits.shape[1])
    return np.asarray(rows, np.int64), np.asarray(columns, np.int64)
