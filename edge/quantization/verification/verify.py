"""`edge verify` as a function: all checks of one artifact, and the verdict."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.artifact import Accuracy, Artifact, Fidelity
from edge.data.splits import Split
from edge.evaluation.verdict import Finding, Verdict, accuracy_finding, verdict
from edge.quantization.verification.accuracy import METRICS, Participant
from edge.quantization.verification.end_to_end import Comparison, Runtime, compare_on_images, open_runtimes
from edge.quantization.verification.images import Images, choose_images
from edge.quantization.verification.operators import OperatorResult, allowed_quanta, check_operators
from edge.quantization.verification.parameters import check_parameters
from edge.quantization.verification.parent import find_parent
from edge.quantization.verification.subject import Subject, open_subject

FLOAT_TOLERANCE = 1e-3
CLASS_MAP_TOLERANCE = 0.01


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to verify on, and what is allowed.

    Attributes:
        split: images, labelled or not; None takes the self-test's. samples: how many of them; None all.
        engines: names; empty takes the default ones. kernels: kernel set of TFLite engines; None the default.
        parent: path of the float parent; None takes the one in the provenance.
        operator_samples: images that every operator is run on alone; 0 leaves the check out.
        max_differing: values that may differ end to end where the kernels are exact (LiteRT with XNNPACK, x86-64).
        accuracy_drop: how far accuracy may lie below the float parent's, absolute, in [0, 1].
    """

    split: Split | None = None
    samples: int | None = None
    engines: tuple[str, ...] = ()
    kernels: str | None = None
    parent: Path | None = None
    operator_samples: int = 2
    max_differing: int = 0
    accuracy_drop: float = 0.01


@dataclass(frozen=True, kw_only=True)
class Report:
    """The verdict with what it rests on.

    Attributes:
        images: how many, and `origin`: from where. operators: subject -> what every operator showed alone.
        fidelity, accuracy: entries for the manifest.
    """

    verdict: Verdict
    images: int
    origin: str
    parent: str | None
    operators: dict[str, list[OperatorResult]]
    fidelity: tuple[Fidelity, ...]
    accuracy: tuple[Accuracy, ...]


def verify(artifact: Artifact, request: Request, advance: Callable[[int], None] = lambda count: None) -> Report:
    """Check an artifact: parameters, end to end, operator by operator, accuracy against the float parent.

    Raises:
        UsageError: a request that does not fit the artifact. EngineError: a runtime that is missing or refuses a file.
        UnsupportedError: an operator that has no formula, by name. FileError: a file that does not hold.
    """
    subject = open_subject(artifact)
    images = choose_images(artifact, request.split, request.samples)
    parent = find_parent(artifact, request.parent)
    runtimes = open_runtimes(subject, images, request.engines, request.kernels)
    findings = check_parameters(subject)
    comparison = compare_on_images(subject, images, runtimes, parent, advance)
    findings += [_end_to_end(subject, runtime, images, request) for runtime in runtimes]
    operators: dict[str, list[OperatorResult]] = {}
    if subject.is_integer and request.operator_samples:
        count = min(request.operator_samples, images.count)
        pixels = np.stack([images.pixels(index) for index in range(count)])
        for runtime in runtimes:
            finding, results = check_operators(subject, runtime, pixels, request.kernels, advance)
            findings.append(finding)
            operators[finding.subject] = results
    findings += _accuracy(comparison, images, request)
    return Report(
        verdict=verdict(findings),
        images=images.count,
        origin=images.origin,
        parent=None if parent is None else parent.name,
        operators=operators,
        fidelity=tuple(_fidelity_entry(runtime, images) for runtime in runtimes if subject.is_integer),
        accuracy=_accuracy_entries(comparison, images),
    )


def _end_to_end(subject: Subject, runtime: Runtime, images: Images, request: Request) -> Finding:
    if not subject.is_integer:
        return _float_end_to_end(runtime, images)
    found = runtime.integers
    exact = allowed_quanta(runtime, request.kernels) == 0 and runtime.session.info.kernels == "xnnpack"
    if not found.values:  # an INT8 model that was allowed to end in float
        real = _float_end_to_end(runtime, images)
        return real if exact else replace(real, passed=None)
    passed = found.differing <= request.max_differing if exact else None
    detail = f"{found.differing} of {found.values} values differ from the integer simulation"
    if found.differing and runtime.file.outputs[0].meaning == "class_map":
        detail += " (cells of the class map)"
    elif found.differing:
        detail += f", largest {found.largest} quanta, {found.beyond_one} by more than 1"
    if passed is False:
        detail += f"; {request.max_differing} allowed"
    data = {
        "images": images.count,
        "values": found.values,
        "differing": found.differing,
        "beyond_one": found.beyond_one,
        "largest_quanta": found.largest,
        "kernels": runtime.session.info.kernels,
        "version": runtime.session.info.version,
        "operators": runtime.session.info.operators,
        "delegated_operators": runtime.session.info.delegated_operators,
    }
    return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=data)


def _float_end_to_end(runtime: Runtime, images: Images) -> Finding:
    """Float files: class maps may differ in a share of the cells, reals by a share of the largest magnitude."""
    if runtime.integers.values:
        share = runtime.integers.share
        detail = f"{share:.3%} of class map cells differ from the float reference ({CLASS_MAP_TOLERANCE:.0%} allowed)"
        data = {"images": images.count, "values": runtime.integers.values, "differing": runtime.integers.differing}
        passed = share <= CLASS_MAP_TOLERANCE
        return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=data)
    found = runtime.reals
    allowed = FLOAT_TOLERANCE * found.magnitude
    detail = f"largest difference from the float reference {found.largest:.2e} ({allowed:.2e} allowed)"
    real = {"images": images.count, "values": found.values, "largest": found.largest, "sqnr_db": found.sqnr_db}
    passed = found.largest <= allowed
    return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=real)


def _participants(comparison: Comparison) -> Sequence[Participant]:
    return [comparison.reference, *(runtime.participant for runtime in comparison.runtimes)]


def _accuracy(comparison: Comparison, images: Images, request: Request) -> list[Finding]:
    metric = METRICS.get(images.artifact.manifest.task)
    if metric is None:
        return []
    findings = []
    parent = None if comparison.parent is None else comparison.parent.value
    for participant in _participants(comparison):
        agreement = participant.agreement
        if participant.value is not None:
            findings.append(
                accuracy_finding(
                    participant.subject,
                    metric,
                    participant.value,
                    parent,
                    agreement,
                    allowed_drop=request.accuracy_drop,
                )
            )
        elif agreement is not None:
            detail = f"{agreement:.2%} of decisions as the float parent"
            data = {"parent_agreement": agreement}
            findings.append(
                Finding(check="accuracy", subject=participant.subject, passed=None, detail=detail, data=data)
            )
    if images.labelled and comparison.parent is None:
        detail = "no float parent at hand, so no accuracy is compared; name it with --parent"
        findings.append(Finding(check="accuracy", subject="float parent", passed=None, detail=detail))
    return findings


def _fidelity_entry(runtime: Runtime, images: Images) -> Fidelity:
    return Fidelity(
        subject=runtime.file.path,
        engine=runtime.session.info.engine,
        kernels=runtime.session.info.kernels,
        version=runtime.session.info.version,
        images=images.count,
        values=runtime.integers.values,
        differing=runtime.integers.differing,
        largest_quanta=runtime.integers.largest,
    )


def _accuracy_entries(comparison: Comparison, images: Images) -> tuple[Accuracy, ...]:
    metric = METRICS.get(images.artifact.manifest.task)
    if metric is None or images.split is None:
        return ()
    everyone = [*_participants(comparison), *([comparison.parent] if comparison.parent is not None else [])]
    return tuple(
        Accuracy(
            subject=participant.subject,
            metric=metric,
            value=participant.value,
            split=images.origin,
            split_sha256=images.split.sha256,
            images=images.count,
        )
        for participant in everyone
        if participant.value is not None
    )
