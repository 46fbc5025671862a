"""edge verify: prove that an artifact computes what was trained, fast enough: ship or do not ship."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.artifact.manifest import Artifact, open_artifact
from edge.cli.bounded_number import Number, whole
from edge.cli.error_code import error_code_said
from edge.cli.handed_over import hand_over
from edge.cli.split_options import split_options
from edge.cli.written_file import HTML_FILE
from edge.errors import EdgeError, UnsupportedError, UsageError
from edge.files.atomic import check_writable
from edge.files.overwriting import refuse_inputs
from edge.terminal import Bars, say_json, tell
from edge.verification.verdict.text import MARKS, print_verdict

if TYPE_CHECKING:
    from edge.artifact.thresholds import Thresholds
    from edge.artifact.verdict import Finding
    from edge.verification.sensitivity.examination import Examination
    from edge.verification.verify import Report, Request

RANKED = ("accuracy", "agreement", "boundary")


@click.command("verify", epilog="Example: edge verify runs/street/int8 --split generated:segment:val --samples 50")
@click.argument("artifact", type=click.Path(path_type=Path))
@split_options
@click.option("-n", "--samples", type=whole(1), help="Look at the first N images only.")
@click.option("--engine", "engines", multiple=True, help="litert, tflite-runtime or onnxruntime; repeatable.")
@click.option("--kernels", help="Kernel set of the TFLite engine: xnnpack, builtin or reference.")
@click.option("--all-kernels", is_flag=True, help="Every kernel set of every engine that is installed.")
@click.option(
    "--python", "pythons", multiple=True, metavar="PATH", help="Run the files in this interpreter too; repeatable."
)
@click.option("--parent", type=click.Path(path_type=Path), help="The float parent: artifact, checkpoint or .onnx.")
@click.option("--max-differing", type=whole(0), help="Values that may differ where kernels are exact. [0]")
@click.option("--accuracy-floor", type=Number(0, 1), help="Least share of the float parent's accuracy kept. [0.99]")
@click.option("--agreement-floor", type=Number(0, 1), help="Least share of decisions equal to the float parent's.")
@click.option("--boundary-floor", type=Number(0, 1), help="Least share of the float parent's Boundary IoU kept.")
@click.option("--latency-budget", help="Longest time of one inference, with its unit: 30ms, 800us.")
@click.option("--latency-percentile", type=click.Choice(["50", "90", "99"]), help="Of the runs, for the budget. [90]")
@click.option("--records", type=click.Path(path_type=Path), help="Measurements of `edge bench`; else measured here.")
@click.option("--allow-disturbed", is_flag=True, help="Judge latency although the machine was disturbed.")
@click.option("--size-budget", help="Largest model file, with its unit: 4MB, 3MiB.")
@click.option(
    "--operator-samples",
    default=2,
    show_default=True,
    type=whole(0),
    help="Images for each operator alone; 0: omit this check.",
)
@click.option(
    "--padding-check",
    "padding",
    is_flag=True,
    help="Also ask the network, on 128 images, whether it was trained with TensorFlow's SAME padding or PyTorch's.",
)
@click.option("--record", "recorded", is_flag=True, help="Write figures and allowed differences into the manifest.")
@click.option(
    "--rank/--no-rank", "rank", default=None, help="Rank layers by cost; if omitted: when one of their floors fails."
)
@click.option("--rank-samples", default=16, show_default=True, type=whole(1), help="Images to rank on.")
@click.option(
    "--rank-seconds",
    default=120.0,
    show_default=True,
    type=Number(min=0),
    help="Begin no further image after this many seconds.",
)
@click.option("--html", "html", type=HTML_FILE, help="Write the report as one self-contained page.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: every finding, then the verdict.")
def command(artifact: Path, recorded: bool, html: Path | None, as_json: bool, **options: Any) -> int:
    """Prove that ARTIFACT computes what was trained, and is good and fast enough: exit code 0: ship, 1: do not ship.

    Compares the parameters of its files, their outputs with the integer simulation, every operator alone with
    identical inputs, the accuracy with the float parent's, and latency and size with their budgets. A threshold that
    is not given here is taken from the artifact's recipe, section [verdict].
    """
    try:
        if html is not None:
            refuse_inputs("--html", html, options["records"], options["parent"], options["split"])
            check_writable(html)
        opened = open_artifact(artifact)
        request = _request(opened, recorded, **options)
        report = run_with_progress(opened, request)
        report, examination = _examined(opened, request, report, **options)
        hand_over(
            (lambda: _record(opened, report)) if recorded else None,
            (lambda: _write_page(html, opened, report, examination)) if html is not None else None,
            lambda: print_report(opened, report, examination, as_json=as_json),
        )
    except EdgeError as error:
        if as_json:
            failed = {"artifact": str(artifact), "ship": None, "exit_code": error_code_said(error), "error": str(error)}
            say_json({"row": "error", **failed})
        raise
    return 0 if report.verdict.ship else 1


def _record(artifact: Artifact, report: "Report") -> None:
    from edge.verification.record import record

    record(artifact, report)


def _write_page(path: Path, artifact: Artifact, report: "Report", examination: "Examination | None") -> None:
    from edge.cli.verdict_page import write_page

    write_page(path, artifact, report, examination)


def _request(artifact: Artifact, recorded: bool, **options: Any) -> "Request":
    from edge.artifact.manifest import has_independent_labels
    from edge.artifact.thresholds import recipe_thresholds, resolve
    from edge.cli.latency import latency_findings
    from edge.data.damaged import without_damaged
    from edge.data.model_classes import model_classes, require_model_classes
    from edge.data.open_split import open_split
    from edge.verification.checks.runtimes import RuntimeChoice
    from edge.verification.verify import Request

    recipe = recipe_thresholds(artifact.manifest.provenance.recipe, str(artifact.folder))
    limits = resolve(_asked(options), recipe)
    chosen = None
    named = {name: options[name] for name in ("images", "labels", "masks", "boxes", "split")}
    images, classes = named["images"], options["classes"]
    if any(value is not None for value in (*named.values(), classes)):
        # A folder's labels are the model's own classes, unless a file says otherwise.
        names = classes or (model_classes(artifact.manifest.labels) if images is not None else None)
        chosen = open_split(**named, classes=names, skip_damaged=options["skip_damaged"])
        if chosen.task not in ("images", artifact.manifest.task):
            task = artifact.manifest.task
            raise UsageError(f"{artifact.folder} is for '{task}', {chosen.origin} for '{chosen.task}'")
        independent = has_independent_labels(artifact.manifest)
        names = artifact.manifest.labels.names
        require_model_classes(chosen, names, str(artifact.folder), independent=independent)
        if options["samples"] is not None:
            chosen = chosen.subset(range(min(options["samples"], len(chosen))))
        chosen = without_damaged(chosen, skip=options["skip_damaged"])
    latency = latency_findings(
        artifact,
        limits,
        options["records"],
        engines=options["engines"],
        kernels=options["kernels"],
        allow_disturbed=options["allow_disturbed"],
    )
    return Request(
        split=chosen,
        samples=options["samples"],
        runtimes=RuntimeChoice(
            engines=options["engines"],
            kernels=options["kernels"],
            all_kernels=options["all_kernels"],
            pythons=options["pythons"],
        ),
        parent=options["parent"],
        operator_samples=options["operator_samples"],
        limits=limits,
        latency=latency,
        bounds=recorded,
        padding=options["padding"],
    )


def _asked(options: dict[str, Any]) -> "Thresholds":
    from edge.artifact.thresholds import Thresholds
    from edge.artifact.units import duration_ns, size_bytes

    if options["latency_budget"] is not None:
        duration_ns(options["latency_budget"])
    if options["size_budget"] is not None:
        size_bytes(options["size_budget"])
    percentile = options["latency_percentile"]
    return Thresholds(
        accuracy_floor=options["accuracy_floor"],
        agreement_floor=options["agreement_floor"],
        boundary_floor=options["boundary_floor"],
        latency_budget=options["latency_budget"],
        latency_percentile=None if percentile is None else int(percentile),  # type: ignore[arg-type]  # one of three
        max_differing=options["max_differing"],
        size_budget=options["size_budget"],
    )


def verify_written(artifact: Artifact) -> int:
    """Verify what was just written on its self-test images: findings on standard error, the exit code returned.

    The recipe's thresholds hold, but latency is not measured: whoever converts is rarely on the device.
    """
    from edge.artifact.thresholds import Thresholds, recipe_thresholds, resolve
    from edge.verification.checks.latency import unjudged_latency
    from edge.verification.verify import Request

    limits = resolve(Thresholds(), recipe_thresholds(artifact.manifest.provenance.recipe, str(artifact.folder)))
    latency: tuple[Finding, ...] = ()
    if limits.latency_budget_ns is not None:
        reason = "no measurement yet; `edge bench` on the device, then `edge verify --records FILE`"
        latency = (unjudged_latency("the device", reason, limits.latency_budget_ns, demanded=False),)
    report = run_with_progress(artifact, Request(limits=limits, latency=latency))
    for finding in report.verdict.findings:
        tell(f"{MARKS[finding.passed]} {finding.check}: {finding.subject}: {finding.detail}")
    tell(report.verdict.sentence)
    return 0 if report.verdict.ship else 1


def _examined(
    artifact: Artifact, request: "Request", report: "Report", *, rank: bool | None, **options: Any
) -> "tuple[Report, Examination | None]":
    """Rank the layers where that is asked for, or where one of their floors failed, and name those at fault."""
    failed = list(dict.fromkeys(finding.check for finding in report.verdict.faults if finding.check in RANKED))
    if rank is False or (rank is None and not failed):
        return report, None
    from edge.verification.sensitivity.examination import Effort, examine

    effort = Effort(samples=options["rank_samples"], limit_s=options["rank_seconds"])
    try:
        with _progress(f"rank the layers of {artifact.manifest.name}") as advance:
            examination = examine(artifact, request, effort, advance)
    except (UnsupportedError, UsageError) as error:
        if rank:
            raise
        tell(f"note: layers are not ranked: {error}")
        return report, None
    by = dict.fromkeys(failed[:1] + [check for check in failed if check == "boundary"])  # boundaries have their own
    at_fault = (*(fault for check in by for fault in examination.at_fault(check)), *report.verdict.at_fault)
    return replace(report, verdict=replace(report.verdict, at_fault=at_fault)), examination


def run_with_progress(artifact: Artifact, request: "Request") -> "Report":
    """Verify with a progress line on standard error."""
    from edge.verification.verify import verify

    with _progress(f"verify {artifact.manifest.name}") as advance:
        return verify(artifact, request, advance)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int], None]]:
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    words = TextColumn("{task.description} {task.completed} steps", markup=False)
    with Bars(SpinnerColumn(), words, TimeElapsedColumn()) as progress:
        task = progress.add_task(title, total=None)
        yield lambda count: progress.advance(task, count)


def print_report(artifact: Artifact, report: "Report", examination: "Examination | None", *, as_json: bool) -> None:
    """Print tables and the verdict, or JSON lines."""
    if as_json:
        from edge.verification.verdict.rows import rows

        for row in rows(artifact, report, examination):
            say_json(row)
        return
    print_verdict(artifact, report, examination)
