"""A report as plain rows: what `--json` prints line by line, and what the page is made from."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

from edge.artifact import Artifact
from edge.quantization.verification.verify import Report

Row = dict[str, Any]


def rows(artifact: Artifact, report: Report) -> Iterator[Row]:
    """Every finding, then every layer of the ranking, then the verdict; the key `row` says which it is.

    Values are JSON-ready: a number that is not finite is None.
    """
    for finding in report.verdict.findings:
        yield plain(
            {
                "row": "finding",
                "check": finding.check,
                "subject": finding.subject,
                "passed": finding.passed,
                "detail": finding.detail,
                **finding.data,
            }
        )
    yield plain(verdict_row(artifact, report))


def verdict_row(artifact: Artifact, report: Report) -> Row:
    """The verdict with the thresholds, where each came from, what is at fault, and what was looked at."""
    limits = report.limits
    return {
        "row": "verdict",
        "artifact": str(artifact.folder),
        "ship": report.verdict.ship,
        "exit_code": 0 if report.verdict.ship else 1,
        "verdict": report.verdict.sentence,
        "faults": len(report.verdict.faults),
        "at_fault": [
            {"check": fault.check, "operator": fault.operator, "kind": fault.kind, "reason": fault.reason}
            for fault in report.verdict.at_fault
        ],
        "thresholds": {
            name: {"value": getattr(limits, name), "origin": origin} for name, origin in limits.origins.items()
        },
        "images": report.images,
        "origin": report.origin,
        "looked_at": report.looked_at,
        "parent": report.parent,
    }


def operator_rows(report: Report) -> Iterator[Row]:
    """What every operator showed alone, engine by engine, in the file's order."""
    for label, results in report.operators.items():
        for result in results:
            difference = result.difference
            yield {
                "row": "operator",
                "subject": label,
                "operator": result.operator.name,
                "kind": result.operator.kind,
                "kernels": result.kernels,
                "values": difference.values,
                "differing": difference.differing,
                "largest_quanta": difference.largest,
            }


def plain(value: Any) -> Any:
    """The same with None where a number is not finite: plain JSON has no word for it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return value
