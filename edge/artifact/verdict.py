"""Ship or do not ship: findings of the checks, and what is at fault."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Literal

from edge.artifact.units import size_text

Check = Literal[
    "parameters",
    "padding",
    "self-test",
    "end to end",
    "operators",
    "chance",
    "accuracy",
    "agreement",
    "boundary",
    "latency",
    "size",
]
ROUNDING = 1e-12
"""A ratio of two accuracies that equals its floor up to float64 rounding passes."""
TOO_FEW = "too_few_images"

# Subject of the accuracy finding which says that there are labels and no float parent.
NO_PARENT = "float parent"


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
class AtFault:
    """An operator that a failed check points to, and the figure that points there."""

    check: Check
    operator: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """All findings of one artifact, and the operators that the failed ones point to, the first fault's first."""

    findings: tuple[Finding, ...]
    at_fault: tuple[AtFault, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """The findings that stand against shipping."""
        return tuple(finding for finding in self.findings if finding.passed is False)

    @property
    def ship(self) -> bool:
        """Whether nothing stands against it and something was checked."""
        return not self.faults and any(finding.passed for finding in self.findings)

    @property
    def _why_not_judged(self) -> str:
        for finding in self.findings:
            if TOO_FEW in finding.data:
                return f"{finding.data[TOO_FEW]} images are too few"
        without = any(finding.check == "accuracy" and finding.subject == NO_PARENT for finding in self.findings)
        return "there is no float parent to compare with" if without else "no labelled images were given"

    @property
    def not_judged(self) -> dict[str, str]:
        """What nothing is known of that a device needs: why not, by check."""
        judged = {finding.check for finding in self.findings if finding.passed is not None}
        told = {finding.check for finding in self.findings}
        reasons = {
            "accuracy": self._why_not_judged,
            "latency": "no measurement that counts" if "latency" in told else "no --latency-budget was given",
            "size": "no --size-budget was given",
        }
        return {check: reason for check, reason in reasons.items() if check not in judged}

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        if self.ship:
            judged = any(finding.check == "accuracy" and finding.passed for finding in self.findings)
            return "ship" if judged else f"ship (accuracy not judged: {self._why_not_judged})"
        if not self.faults:
            return "do not ship: nothing could be checked"
        first = self.faults[0]
        more = f" (and {len(self.faults) - 1} more)" if len(self.faults) > 1 else ""
        return f"do not ship: {first.check}: {first.subject}: {first.detail}{more}"


def verdict(findings: Sequence[Finding], at_fault: Sequence[AtFault] = ()) -> Verdict:
    """Gather findings."""
    return Verdict(findings=tuple(findings), at_fault=tuple(at_fault))


def accuracy_finding(
    subject: str,
    metric: str,
    value: float,
    parent: float | None,
    agreement: float | None,
    *,
    floor: float,
    images: int | None = None,
) -> Finding:
    """Judge an accuracy against the float parent's on the same images: value >= floor * parent.

    Args:
        metric: its name. value, parent: in [0, 1]; parent None if there is no float parent.
        agreement: share of decisions equal to the parent's, None if not compared.
        floor: least share of the parent's accuracy that is kept, in [0, 1].
        images: where both are shares of so many images and nobody asked for this floor: one image that is lost where
            one is more than the floor allows is a fact, no fault. None: judged whatever is lost.
    """
    data: dict[str, Any] = {"metric": metric, "value": value, "parent_value": parent, "parent_agreement": agreement}
    agrees = "" if agreement is None else f", {agreement:.2%} of decisions as the parent"
    if parent is None:
        return Finding(
            check="accuracy", subject=subject, passed=None, detail=f"{metric} {value:.2%}{agrees}", data=data
        )
    ratio = value / parent if parent > 0 else None
    data |= {"parent_ratio": ratio, "accuracy_floor": floor}
    passed = value >= floor * parent - ROUNDING
    detail = f"{metric} {value:.2%}, parent {parent:.2%}{agrees}"
    if not passed and images is not None and round((parent - value) * images) <= 1:
        enough = ceil(1 / (parent * (1 - floor))) if floor < 1 else None
        more = "" if enough is None else f": give {enough} or more"
        detail += f"; one image less of {images}, too few to judge whether {floor:.2%} of the parent's is kept{more}"
        return Finding(check="accuracy", subject=subject, passed=None, detail=detail, data={**data, TOO_FEW: images})
    if not passed:
        detail += f"; {value / parent:.2%} of the parent's kept, at least {floor:.2%} asked"
    return Finding(check="accuracy", subject=subject, passed=passed, detail=detail, data=data)


def agreement_finding(subject: str, agreement: float, floor: float, unit: str) -> Finding:
    """Judge the share of decisions equal to the float parent's. `unit` says what a decision is about (images)."""
    passed = agreement >= floor - ROUNDING
    detail = f"{agreement:.2%} of {unit} decided as by the float parent; at least {floor:.2%} asked"
    data = {"parent_agreement": agreement, "agreement_floor": floor}
    return Finding(check="agreement", subject=subject, passed=passed, detail=detail, data=data)


def boundary_finding(
    subject: str,
    value: float | None,
    parent: float | None,
    unlabelled: str,
    data: dict[str, Any],
    *,
    floor: float | None,
) -> Finding:
    """Judge a Boundary IoU against the float parent's on the same images: value >= floor * parent.

    Args:
        value, parent: in [0, 1]; None without labels, parent also without a float parent.
        unlabelled: what is known without labels, in words; `data`: the same, and what else belongs to the finding.
        floor: least share of the parent's that is kept; None, or nothing to compare: a fact.
    """
    words = [] if value is None else [f"boundary IoU {value:.2%}"]
    words += [] if parent is None else [f"parent {parent:.2%}"]
    data = {**data, "value": value, "parent_value": parent}
    detail, passed = "; ".join(part for part in (", ".join(words), unlabelled) if part), None
    if floor is not None and value is not None and parent is not None:
        passed = value >= floor * parent - ROUNDING
        data |= {"parent_ratio": value / parent if parent > 0 else None, "boundary_floor": floor}
        if not passed:
            detail += f"; {value / parent:.2%} of the parent's kept, at least {floor:.2%} asked"
    return Finding(check="boundary", subject=subject, passed=passed, detail=detail, data=data)


def size_finding(subject: str, size_bytes: int, budget_bytes: int) -> Finding:
    """Judge the size of a model file that devices run."""
    passed = size_bytes <= budget_bytes
    detail = f"{size_text(size_bytes)} ({size_bytes:,} bytes); {size_text(budget_bytes)} allowed"
    data = {"size_bytes": size_bytes, "size_budget_bytes": budget_bytes}
    return Finding(check="size", subject=subject, passed=passed, detail=detail, data=data)
