"""The report of `edge verify` for a terminal: findings, thresholds, what is at fault, the verdict."""

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from edge.artifact.manifest import Artifact
from edge.artifact.thresholds import Limits
from edge.artifact.units import duration_text, size_text
from edge.terminal import say, show

if TYPE_CHECKING:
    from edge.verification.sensitivity.examination import Examination
    from edge.verification.verify import Report

MARKS = {True: "passed", False: "FAILED", None: "noted"}
STYLES = {True: "green", False: "red", None: "dim"}
MOST_LAYERS = 12


def print_verdict(artifact: Artifact, report: "Report", examination: "Examination | None") -> None:
    """Print everything; the last line is the verdict."""
    say(f"{artifact.folder}: {report.looked_at}")
    if report.parent:
        say(f"float parent: {report.parent}")
    table = Table(show_lines=True)
    for column in ("check", "subject", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in report.verdict.findings:
        mark = Text(MARKS[finding.passed], style=STYLES[finding.passed])
        table.add_row(finding.check, finding.subject, mark, finding.detail)
    show(table)
    if examination is not None:
        _print_ranking(examination)
    thresholds = "; ".join(f"{text} ({origin})" for text, origin in threshold_texts(report.limits))
    say(f"asked: {thresholds}")
    for fault in report.verdict.at_fault:
        text = f"at fault ({fault.check}): {fault.kind} '{fault.operator}': {fault.reason}"
        say(text)
    if report.verdict.not_judged:
        say("not judged: " + "; ".join(f"{check} ({why})" for check, why in report.verdict.not_judged.items()))
    style = "bold green" if report.verdict.ship else "bold red"
    say(report.verdict.sentence, style=style)


def _print_ranking(examination: "Examination") -> None:
    ranking = examination.ranking
    fewer = f" of {ranking.asked} asked for, in the time given" if len(ranking.images) < ranking.asked else ""
    unseen = len(ranking.weights.from_integers)
    say(
        f"layers by cost, on {len(ranking.images)} images{fewer} ({ranking.duration_s:.0f} s); all rounded: "
        f"{ranking.everything.error.sqnr_db:.1f} dB, the integer simulation: {ranking.simulation.error.sqnr_db:.1f} dB"
        + (
            f"; the rounding of {unseen} layers' weights cannot be seen (no parent they were rounded from)"
            * (unseen > 0)
        )
    )
    table = Table()
    edges = any(cost.alone_boundary_rank for cost in ranking.layers)
    kept = "boundaries kept" if edges else "decisions kept"
    for column in ("layer", "", "alone: of all noise", "SQNR", kept, "left float: recovered", "place"):
        words = column in ("layer", "")
        table.add_column(column, overflow="fold", no_wrap=words, justify="left" if words else "right")
    for cost in ranking.layers[:MOST_LAYERS]:
        alone = cost.alone.participant
        share = alone.kept_boundaries if edges else alone.agreement
        table.add_row(
            cost.layer.name,
            cost.layer.kind,
            f"{cost.alone_noise_share:.1%}",
            f"{cost.alone.error.sqnr_db:.1f} dB",
            "" if share is None else f"{share:.2%}",
            f"{cost.recovered_share:.1%}",
            str(cost.without_rank),
        )
    show(table)
    for suggestion in examination.suggestions:
        layer = f"{suggestion.kind} '{suggestion.layer}': " if suggestion.layer else ""
        text = f"try: {layer}{suggestion.action} ({suggestion.reason}): {suggestion.command}"
        say(text)


def threshold_texts(limits: Limits) -> list[tuple[str, str]]:
    """Every threshold that holds, in words, with where it came from."""
    origin = limits.origins
    texts = [
        (f"accuracy at least {limits.accuracy_floor:.2%} of the float parent's", "accuracy_floor"),
        (f"at most {limits.max_differing} values differing", "max_differing"),
    ]
    if limits.agreement_floor is not None:
        texts.append((f"at least {limits.agreement_floor:.2%} of decisions as the parent", "agreement_floor"))
    if limits.boundary_floor is not None:
        texts.append((f"Boundary IoU at least {limits.boundary_floor:.2%} of the float parent's", "boundary_floor"))
    if limits.latency_budget_ns is not None:
        budget = f"p{limits.latency_percentile} at most {duration_text(limits.latency_budget_ns)}"
        texts.append((budget, "latency_budget_ns"))
    if limits.size_budget_bytes is not None:
        texts.append((f"at most {size_text(limits.size_budget_bytes)} a file", "size_budget_bytes"))
    return [(text, origin.get(name, "default")) for text, name in texts]
