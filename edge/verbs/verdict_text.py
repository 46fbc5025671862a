"""The report of `edge verify` for a terminal: findings, thresholds, what is at fault, the verdict."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edge.artifact import Artifact
from edge.evaluation.quantities import duration_text, size_text
from edge.evaluation.thresholds import Limits

if TYPE_CHECKING:
    from edge.quantization.verification.verify import Report

MARKS = {True: "[green]passed[/]", False: "[red]FAILED[/]", None: "[dim]noted[/]"}


def print_verdict(artifact: Artifact, report: "Report", console: Console | None = None) -> None:
    """Print everything; the last line is the verdict."""
    console = Console() if console is None else console
    console.print(f"{artifact.folder}: {report.looked_at}", soft_wrap=True, markup=False, highlight=False)
    if report.parent:
        console.print(f"float parent: {report.parent}", soft_wrap=True, markup=False, highlight=False)
    table = Table(show_lines=True)
    for column in ("check", "subject", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in report.verdict.findings:
        table.add_row(finding.check, escape(finding.subject), MARKS[finding.passed], escape(finding.detail))
    console.print(table)
    thresholds = "; ".join(f"{text} ({origin})" for text, origin in threshold_texts(report.limits))
    console.print(f"asked: {thresholds}", soft_wrap=True, markup=False, highlight=False)
    for fault in report.verdict.at_fault:
        text = f"at fault ({fault.check}): {fault.kind} '{fault.operator}': {fault.reason}"
        console.print(text, soft_wrap=True, markup=False, highlight=False)
    style = "bold green" if report.verdict.ship else "bold red"
    console.print(report.verdict.sentence, style=style, soft_wrap=True, markup=False, highlight=False)


def threshold_texts(limits: Limits) -> list[tuple[str, str]]:
    """Every threshold that holds, in words, with where it came from."""
    origin = limits.origins
    texts = [
        (f"accuracy at least {limits.accuracy_floor:.2%} of the float parent's", "accuracy_floor"),
        (f"at most {limits.max_differing} values differing", "max_differing"),
    ]
    if limits.agreement_floor is not None:
        texts.append((f"at least {limits.agreement_floor:.2%} of decisions as the parent", "agreement_floor"))
    if limits.latency_budget_ns is not None:
        budget = f"p{limits.latency_percentile} at most {duration_text(limits.latency_budget_ns)}"
        texts.append((budget, "latency_budget_ns"))
    if limits.size_budget_bytes is not None:
        texts.append((f"at most {size_text(limits.size_budget_bytes)} a file", "size_budget_bytes"))
    return [(text, origin.get(name, "default")) for text, name in texts]
