"""Ship or do not ship: findings of the checks, and the one that is at fault."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Check = Literal["parameters", "end to end", "operators", "accuracy"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found on one subject.

    Attributes:
        subject: a file, with the engine and kernel set where one ran.
        passed: None for a fact that decides nothing.
        detail: one line for a person; where the check failed, it names the tensor, operator or figure at fault.
        data: the numbers, JSON-ready; keys carry units.
    """

    check: Check
    subject: str
    passed: bool | None
    detail: str
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All findings of one artifact."""

    findings: tuple[Finding, ...]

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that stand against shipping."""
        return tuple(finding for finding in self.findings if finding.passed is False)

    @property
    def ship(self) -> bool:
        """Whether nothing stands against it and something was checked."""
        return not self.faults and any(finding.passed for finding in self.findings)

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.ship:
            judged = any(finding.check == "accuracy" and finding.passed for finding in self.findings)
            return "ship" if judged else "ship (accuracy not judged: no labelled images were given)"
        if not self.faults:
            return "do not ship: nothing could be checked"
        first = self.faults[0]
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        return f"do not ship: {first.check}: {first.subject}: {first.detail}{more}"


def verdict(findings: Sequence[Finding]) -> Verdict:
    """Gather findings."""
    return Verdict(findings=tuple(findings))


def accuracy_finding(
    subject: str, metric: str, value: float, parent: float | None, agreement: float | None, *, allowed_drop: float
) -> Finding:
    """Judge an accuracy against the float parent's.

    Args:
        metric: its name. value, parent: in [0, 1]; parent None if there is no float parent.
        agreement: share of decisions equal to the parent's, None if not compared.
        allowed_drop: how far `value` may lie below `parent`, absolute, in [0, 1].
    """
    data = {"metric": metric, "value": value, "parent_value": parent, "parent_agreement": agreement}
    agrees = "" if agreement is None else f", {agreement:.2%} of decisions as the parent"
    if parent is None:
        return Finding(
            check="accuracy", subject=subject, passed=None, detail=f"{metric} {value:.2%}{agrees}", data=data
        )
    drop = parent - value
    passed = drop <= allowed_drop + 1e-12
    detail = f"{metric} {value:.2%}, parent {parent:.2%}{agrees}"
    if not passed:
        detail += f"; {100 * drop:.2f} points lost, {100 * allowed_drop:.2f} allowed"
    return Finding(check="accuracy", subject=subject, passed=passed, detail=detail, data=data)
