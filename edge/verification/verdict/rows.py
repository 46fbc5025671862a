"""A report as plain rows: what `--json` prints line by line, and what the page is made from."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from edge.artifact.manifest import Artifact
from edge.verification.checks.accuracy import Participant
from edge.verification.sensitivity.examination import Examination
from edge.verification.sensitivity.ranking import LayerCost, Ranking
from edge.verification.verify import Report

Row = dict[str, Any]


def rows(artifact: Artifact, report: Report, examination: Examination | None = None) -> Iterator[Row]:
    """Every finding; layers, suggestions and the summary of a ranking; the verdict. The key `row` says which it is.

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
    if examination is not None:
        yield from (plain(layer_row(cost)) for cost in examination.ranking.layers)
        for suggestion in examination.suggestions:
            yield {"row": "suggestion", **asdict(suggestion)}
        yield plain(ranking_row(examination.ranking))
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
        "not_judged": report.verdict.not_judged,
        "faults": len(report.verdict.faults),
        "at_fault": [
            {"check": fault.check, "operator": fault.operator, "kind": fault.kind, "reason": fault.reason}
            for fault in report.verdict.at_fault
        ],
        "thresholds": {
            name: {"value": getattr(limits, name), "origin": origin} for name, origin in limits.origins.items()
        },
        "images": report.images,
        "skipped_damaged": report.skipped_damaged,
        "origin": report.origin,
        "looked_at": report.looked_at,
        "parent": report.parent,
    }


def layer_row(cost: LayerCost) -> Row:
    """One layer of the ranking: `alone` rounded, all others float; `without` it, all others rounded."""
    return {
        "row": "layer",
        "layer": cost.layer.name,
        "kind": cost.layer.kind,
        "alone_rank": cost.alone_rank,
        "without_rank": cost.without_rank,
        "alone_noise_share": cost.alone_noise_share,
        "recovered_share": cost.recovered_share,
        "alone_sqnr_db": cost.alone.error.sqnr_db,
        "without_sqnr_db": cost.without.error.sqnr_db,
        "alone_agreement": cost.alone.participant.agreement,
        "without_agreement": cost.without.participant.agreement,
        "alone_value": cost.alone.participant.value,
        "without_value": cost.without.participant.value,
        "alone_boundary_rank": cost.alone_boundary_rank,
        "without_boundary_rank": cost.without_boundary_rank,
        "alone_boundary": _likeness(cost.alone.participant),
        "without_boundary": _likeness(cost.without.participant),
    }


def _likeness(participant: Participant) -> dict[str, Any] | None:
    """Of a segmenter, how alike its class maps are to the float network's; see `BoundaryFidelity.figures`."""
    return None if participant.likeness is None else participant.likeness.figures()


def ranking_row(ranking: Ranking) -> Row:
    """What a ranking rests on: the float network, every layer rounded, and the integer simulation beside them."""
    return {
        "row": "ranking",
        "images": len(ranking.images),
        "images_asked": ranking.asked,
        "duration_ns": round(ranking.duration_s * 1e9),
        "float_value": ranking.reference.value,
        "rounded_sqnr_db": ranking.everything.error.sqnr_db,
        "rounded_agreement": ranking.everything.participant.agreement,
        "rounded_value": ranking.everything.participant.value,
        "rounded_boundary": _likeness(ranking.everything.participant),
        "simulation_sqnr_db": ranking.simulation.error.sqnr_db,
        "simulation_agreement": ranking.simulation.participant.agreement,
        "simulation_boundary": _likeness(ranking.simulation.participant),
        "layers_with_parent_weights": len(ranking.weights.from_parent),
        "layers_with_integer_weights": len(ranking.weights.from_integers),
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
