"""`edge verify` as a function: all checks of one artifact, and the verdict."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.artifact.manifest import Accuracy, Artifact, Fidelity
from edge.artifact.thresholds import Limits
from edge.artifact.verdict import Finding, Verdict, verdict
from edge.data.splits import Split
from edge.errors import UsageError
from edge.predictor.selftest import model_input
from edge.verification.checks.accuracy import measure_of
from edge.verification.checks.blame import blame
from edge.verification.checks.bounds import measured_bounds
from edge.verification.checks.end_to_end import Comparison, compare_on_images
from edge.verification.checks.findings import (
    accuracy_findings,
    boundary_findings,
    end_to_end_finding,
    participants,
    self_test_findings,
    size_findings,
)
from edge.verification.checks.head import head_points, head_runtime
from edge.verification.checks.images import Images, choose_images
from edge.verification.checks.operator_kinds import OperatorResult
from edge.verification.checks.operators import check_operators
from edge.verification.checks.padding import padding_findings
from edge.verification.checks.parameters import check_parameters
from edge.verification.checks.parent import Parent, find_parent
from edge.verification.checks.runtimes import Runtime, RuntimeChoice, open_runtimes
from edge.verification.checks.subject import Subject, open_subject

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to verify on, and what is asked of it.

    Attributes:
        split: images, labelled or not; None takes the self-test's. samples: how many of them; None all.
        runtimes: engines, kernel sets and other Pythons; the default ones unless said otherwise.
        parent: path of the float parent; None takes the one in the provenance.
        operator_samples: images that every operator is run on alone; 0 leaves the check out.
        limits: what must be reached; see `edge.artifact.thresholds`.
        latency: findings about measurements, made where measurements are read or taken.
        bounds: also measure the self-test, for the differences that a manifest allows.
        padding: ask the network on the images whether it was trained with its padding; else pads are compared alone.
    """

    split: Split | None = None
    samples: int | None = None
    runtimes: RuntimeChoice = field(default_factory=RuntimeChoice)
    parent: Path | None = None
    operator_samples: int = 2
    limits: Limits = field(default_factory=Limits)
    latency: tuple[Finding, ...] = ()
    bounds: bool = False
    padding: bool = False


@dataclass(frozen=True, kw_only=True)
class Report:
    """The verdict with what it rests on.

    Attributes:
        images: how many, `origin`: from where, `looked_at`: both in words, and how many were asked for if more.
        skipped_damaged: how many images of the split were omitted because they cannot be used.
        operators: subject -> what every operator showed alone.
        fidelity, accuracy, bounds: entries for the manifest.
    """

    verdict: Verdict
    limits: Limits
    images: int
    skipped_damaged: int
    origin: str
    looked_at: str
    parent: str | None
    operators: dict[str, list[OperatorResult]]
    fidelity: tuple[Fidelity, ...]
    accuracy: tuple[Accuracy, ...]
    bounds: Mapping[str, Mapping[str, float]]


def verify(artifact: Artifact, request: Request, advance: Advance = lambda count: None) -> Report:
    """Check an artifact: parameters, end to end, operator by operator, accuracy against the float parent, budgets.

    Raises:
        UsageError: a request that does not fit the artifact. EngineError: a runtime that is missing or refuses a file.
        UnsupportedError: an operator that has no formula, by name. FileError: a file that does not hold.
    """
    subject = open_subject(artifact)
    images = choose_images(artifact, request.split, request.samples)
    parent = find_parent(artifact, request.parent)
    _require_what_is_judged(request.limits, images, parent)
    with ExitStack() as stack:
        runtimes = open_runtimes(subject, images, request.runtimes, stack)
        findings = self_test_findings(artifact, runtimes, recorded=request.bounds)
        findings += check_parameters(subject)
        findings += [] if subject.head is None else check_parameters(subject.head)
        findings += padding_findings(subject, parent, images if request.padding else None)
        comparison = compare_on_images(subject, images, runtimes, parent, advance)
        findings += [end_to_end_finding(subject, runtime, images, request.limits) for runtime in runtimes]
        alone = _operators_alone(subject, images, runtimes, request.operator_samples, advance)
        bounds = (
            measured_bounds(artifact, subject.graphs, runtimes, images) if request.bounds and subject.is_integer else {}
        )
    findings += [finding for finding, _ in alone]
    operators = {finding.subject: results for finding, results in alone}
    findings += accuracy_findings(comparison, images, request.limits)
    findings += boundary_findings(comparison, request.limits)
    findings += size_findings(subject, request.limits)
    findings += request.latency
    return Report(
        verdict=verdict(findings, blame(findings, subject, operators)),
        limits=request.limits,
        images=images.count,
        skipped_damaged=images.skipped_damaged,
        origin=images.origin,
        looked_at=images.wording,
        parent=None if parent is None else parent.name,
        operators=operators,
        fidelity=tuple(_fidelity_entry(runtime, images) for runtime in runtimes if subject.is_integer),
        accuracy=_accuracy_entries(comparison, images),
        bounds=bounds,
    )


def _operators_alone(
    subject: Subject, images: Images, runtimes: Sequence[Runtime], samples: int, advance: Advance
) -> list[tuple[Finding, list[OperatorResult]]]:
    """Every operator in every runtime on the first images; nothing for float files or without images."""
    if not subject.is_integer or not samples:
        return []
    pixels = np.stack([images.pixels(index) for index in range(min(samples, images.count))])
    preprocess = subject.artifact.manifest.preprocess
    alone = [runtime for runtime in runtimes if not _is_wrapped_onnx(subject, runtime)]
    checked = [
        check_operators(subject, runtime, lambda file: model_input(pixels, file, preprocess), advance)
        for runtime in alone
    ]
    if subject.head is not None:
        points = head_points(subject, model_input(pixels, subject.source, preprocess))
        checked += [check_operators(subject.head, head_runtime(subject, runtime), points, advance) for runtime in alone]
    return checked


def _is_wrapped_onnx(subject: Subject, runtime: Runtime) -> bool:
    """Whether a file's nodes are somebody's own: around one operator of the graph stand Quantize and Dequantize."""
    return subject.artifact.manifest.provenance.road == "as is" and runtime.file.format == "onnx"


def _require_what_is_judged(limits: Limits, images: Images, parent: Parent | None) -> None:
    """Refuse (UsageError) a floor named on the command line that these images and this parent cannot show."""
    measure = measure_of(images.artifact)
    for name in ("accuracy_floor", "agreement_floor", "boundary_floor"):
        said = limits.origins.get(name) == "command line"
        option = f"--{name.replace('_', '-')}" if said else f"[verdict] {name}"
        edges = measure is not None and measure.likeness is not None
        if name == "boundary_floor" and limits.boundary_floor is not None and not edges:
            raise UsageError(
                f"{option} is for segmenters, which have edges; this is for '{images.artifact.manifest.task}'"
            )
        if not said:
            continue
        if parent is None:
            raise UsageError(f"{option} compares with the float parent, which is not at hand; name it with --parent")
        if name != "agreement_floor" and not images.labelled:
            raise UsageError(f"{option} needs labelled images; give --split, or --images with --labels or --masks")


def _fidelity_entry(runtime: Runtime, images: Images) -> Fidelity:
    """What one runtime showed end to end."""
    return Fidelity(
        subject=runtime.file.path,
        engine=runtime.session.info.engine,
        kernels=runtime.session.info.kernels,
        version=runtime.session.info.version,
        machine=runtime.session.info.machine,
        images=images.count,
        values=runtime.integers.values,
        differing=runtime.integers.differing,
        largest_quanta=runtime.integers.largest,
    )


def _accuracy_entries(comparison: Comparison, images: Images) -> tuple[Accuracy, ...]:
    """Accuracy, then Boundary IoU, of the reference, of every runtime and of the float parent; none without labels."""
    measure = measure_of(images.artifact)
    if measure is None or images.split is None:
        return ()
    everyone = [*participants(comparison), *([comparison.parent] if comparison.parent is not None else [])]
    return tuple(
        Accuracy(
            subject=participant.subject,
            metric=metric,
            value=value,
            split=images.origin,
            split_sha256=images.split.sha256,
            images=images.count,
        )
        for metric, values in {
            measure.metric: [participant.value for participant in everyone],
            "boundary_miou": [participant.boundary for participant in everyone],
        }.items()
        for participant, value in zip(everyone, values, strict=True)
        if value is not None
    )
