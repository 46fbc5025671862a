"""What the operators of one kind showed together: which kinds are not bit-exact, how often, and by how much."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge.evaluation.fidelity import Difference
from edge.graph.graph import Operator


@dataclass(kw_only=True)
class OperatorResult:
    """One operator in one engine."""

    operator: Operator
    kernels: str
    difference: Difference = field(default_factory=Difference)


@dataclass(frozen=True, kw_only=True)
class KindResult:
    """All operators of one kind that one kernel set ran.

    Attributes:
        kernels: that ran them alone: an operator that XNNPACK leaves alone runs on the built-in ones.
        operators: how many; differing: how many of them showed a difference; difference: over all their values.
    """

    kind: str
    kernels: str
    operators: int
    differing: int
    difference: Difference

    @property
    def words(self) -> str:
        """`AveragePool 4 of 4, 5.23 % of values, 1 quantum`; meant for kinds that are not exact."""
        quanta = "1 quantum" if self.difference.largest == 1 else f"up to {self.difference.largest} quanta"
        return (
            f"{self.kind} {self.differing} of {self.operators}, {100 * self.difference.share:.2g} % of values, {quanta}"
        )

    @property
    def data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "kind": self.kind,
            "kernels": self.kernels,
            "operators": self.operators,
            "operators_differing": self.differing,
            "values": self.difference.values,
            "differing": self.difference.differing,
            "largest_quanta": self.difference.largest,
        }


def by_kind(results: Sequence[OperatorResult]) -> list[KindResult]:
    """Operators gathered by kind and by the kernels that ran them, the least exact first."""
    groups: dict[tuple[str, str], list[OperatorResult]] = {}
    for result in results:
        groups.setdefault((result.operator.kind, result.kernels), []).append(result)
    found = [
        KindResult(
            kind=kind,
            kernels=kernels,
            operators=len(group),
            differing=sum(1 for result in group if result.difference.differing),
            difference=sum((result.difference for result in group), Difference()),
        )
        for (kind, kernels), group in groups.items()
    ]
    return sorted(found, key=lambda entry: (-entry.difference.largest, -(entry.difference.share or 0), entry.kind))
