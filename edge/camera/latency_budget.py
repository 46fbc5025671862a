"""How old an answer may be, and which frame can still be answered in that time."""


class LatencyBudget:
    """Admits a frame whose answer can be expected within the budget, from its capture on.

    A frame that has waited too long is passed over for the next, so the rate falls and the age does not rise. One that
    came while the model was idle is always admitted: none can be younger, and the next measurement may be better.
    """

    def __init__(self, budget_ns: int) -> None:
        self._budget_ns = budget_ns
        self._expected_ns = 0

    def admits(self, age_ns: int, *, idle: bool) -> bool:
        """Whether to predict a frame of this age. `idle`: the model waited for it."""
        return idle or age_ns + self._expected_ns <= self._budget_ns

    def took(self, predict_ns: int) -> None:
        """Note how long a prediction took: the expectation rises at once and falls by an eighth of the difference."""
        self._expected_ns = max(predict_ns, self._expected_ns + (predict_ns - self._expected_ns) // 8)

    def holds(self, age_ns: int) -> bool:
        """Whether an answer of this age is within the budget."""
        return age_ns <= self._budget_ns
