"""What the checks on images found, held against the thresholds: end to end, accuracy, agreement, size."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from edge.artifact.manifest import Artifact
from edge.artifact.thresholds import Limits
from edge.artifact.verdict import (
    NO_PARENT,
    Finding,
    accuracy_finding,
    agreement_finding,
    boundary_finding,
    size_finding,
)
from edge.engines.output_difference import CLASS_MAP_TOLERANCE, FLOAT_TOLERANCE
from edge.evaluation.chance import chance_finding, chance_of
from edge.predictor.selftest import run_selftest, told_meanings
from edge.verification.checks.accuracy import Participant, measure_of
from edge.verification.checks.end_to_end import Comparison
from edge.verification.checks.images import Images
from edge.verification.checks.operators import allowed_quanta
from edge.verification.checks.own_answers import OwnAnswers
from edge.verification.checks.runtimes import Runtime
from edge.verification.checks.subject import Subject
from edge.vision.four_outputs import FOUR_OUTPUTS

SAME_BOXES = 1e-6
"""Share of an image's boxes that may differ where kernels are exact: the rounding of a sum."""


def end_to_end_finding(subject: Subject, runtime: Runtime, images: Images, limits: Limits) -> Finding:
    """Judge one runtime against the reference: values that differ where kernels are exact; elsewhere a fact."""
    if isinstance(subject.reference, OwnAnswers):
        return _own_end_to_end(runtime, images, subject.reference)
    selects = tuple(told_meanings(runtime.file)) == FOUR_OUTPUTS
    if not subject.is_integer and not selects:
        return _float_end_to_end(runtime, images, promised=subject.artifact.manifest.precision == "float32")
    if selects:
        return _selected_end_to_end(subject, runtime, images)
    found = runtime.integers
    # XNNPACK has no kernels for int16 activations: the built-in ones are what the simulation computes then.
    kernels = "builtin" if subject.artifact.manifest.precision == "int16x8" else "xnnpack"
    exact = allowed_quanta(runtime) == 0 and runtime.session.info.kernels == kernels
    if not found.values:  # an INT8 model that was allowed to end in float
        real = _float_end_to_end(runtime, images)
        return real if exact else replace(real, passed=None)
    passed = found.differing <= limits.max_differing if exact else None
    detail = f"{found.differing} of {found.values} values differ from the integer simulation"
    if found.differing and runtime.file.outputs[runtime.file.answer].meaning == "class_map":
        detail += " (cells of the class map)"
    elif found.differing:
        detail += f", largest {found.largest} quanta, {found.beyond_one} by more than 1"
    if passed is False:
        detail += f"; {limits.max_differing} allowed"
    data = {
        "images": images.count,
        "values": found.values,
        "differing": found.differing,
        "beyond_one": found.beyond_one,
        "largest_quanta": found.largest,
        "runtime": runtime.name,
        "kernels": runtime.session.info.kernels,
        "version": runtime.session.info.version,
        "machine": runtime.session.info.machine,
        "emulated": runtime.session.info.emulated,
        "operators": runtime.session.info.operators,
        "delegated_operators": runtime.session.info.delegated_operators,
    }
    return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=data)


def _own_end_to_end(runtime: Runtime, images: Images, reference: OwnAnswers) -> Finding:
    """A file that nothing here computes otherwise: how far a runtime is from the preferred one, as a fact."""
    data: dict[str, Any] = {"runtime": runtime.name, "images": images.count, "not_covered": reference.reason}
    if runtime.integers.values:
        found = runtime.integers
        data |= {"values": found.values, "differing": found.differing, "largest_quanta": found.largest}
        words = f"{found.differing} of {found.values} values differ from the answers of {reference.words}"
    else:
        data |= {"values": runtime.reals.values, "largest": runtime.reals.largest}
        words = f"largest difference from the answers of {reference.words} {runtime.reals.largest:.2e}"
    detail = f"not held to a simulation ({reference.reason}); {words}"
    return Finding(check="end to end", subject=runtime.label, passed=None, detail=detail, data=data)


def _float_end_to_end(runtime: Runtime, images: Images, *, promised: bool = True) -> Finding:
    """Float files: class maps may differ in a share of the cells, reals by a share of the largest magnitude.

    What another tool quantized promises nothing: its distance is a fact, not judged.
    """
    if runtime.integers.values:
        share = runtime.integers.share
        detail = f"{share:.3%} of class map cells differ from the float reference ({CLASS_MAP_TOLERANCE:.0%} allowed)"
        counts = {"values": runtime.integers.values, "differing": runtime.integers.differing}
        data = {"runtime": runtime.name, "images": images.count, **counts}
        passed = share <= CLASS_MAP_TOLERANCE if promised else None
        return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=data)
    found = runtime.reals
    allowed = FLOAT_TOLERANCE * found.magnitude
    detail = f"largest difference from the float reference {found.largest:.2e} ({allowed:.2e} allowed)"
    counted = {"values": found.values, "largest": found.largest, "sqnr_db": found.sqnr_db}
    real = {"runtime": runtime.name, "images": images.count, **counted}
    if not promised:
        detail = (
            f"{found.sqnr_db:.1f} dB signal to noise against the float source, largest difference {found.largest:.2e}"
        )
    passed = found.largest <= allowed if promised else None
    return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=real)


def _selected_end_to_end(subject: Subject, runtime: Runtime, images: Images) -> Finding:
    """Boxes that the file selects: what has no counterpart among those of the reference, of the worst image.

    Nothing where kernels are exact, as much as of a class map's cells in a float file; elsewhere a fact.
    """
    exact = allowed_quanta(runtime) == 0 and runtime.session.info.kernels == "xnnpack"
    allowed = SAME_BOXES if subject.is_integer else CLASS_MAP_TOLERANCE
    name = "integer simulation" if subject.is_integer else "float reference"
    detail = f"{runtime.largest:.3%} of an image's boxes, by score, are not those of the {name} at most"
    passed = runtime.largest <= allowed if exact or not subject.is_integer else None
    detail += f" ({allowed:.0%} allowed)" if passed is not None else ""
    data = {"runtime": runtime.name, "images": images.count, "largest_share": runtime.largest}
    return Finding(check="end to end", subject=runtime.label, passed=passed, detail=detail, data=data)


def participants(comparison: Comparison) -> Sequence[Participant]:
    """The reference and every runtime."""
    return [comparison.reference, *(runtime.participant for runtime in comparison.runtimes)]


def accuracy_findings(comparison: Comparison, images: Images, limits: Limits) -> list[Finding]:
    """Judge accuracy and decisions of the reference and of every runtime against the float parent's."""
    measure = measure_of(images.artifact)
    if measure is None:
        return []
    metric = measure.metric
    findings = _chance_findings(comparison, images, metric)
    parent = None if comparison.parent is None else comparison.parent.value
    asked = limits.origins.get("accuracy_floor", "default") != "default"
    shares_of = images.count if metric == "top1" and not asked else None
    for participant in participants(comparison):
        subject, agreement = participant.subject, participant.agreement
        if participant.value is not None:
            floor = limits.accuracy_floor
            finding = accuracy_finding(
                subject, metric, participant.value, parent, agreement, floor=floor, images=shares_of
            )
            findings.append(_with_labels(finding, participant, comparison.parent))
        elif agreement is not None:
            detail = f"{agreement:.2%} of decisions as the float parent on {images.count} images"
            data = {"parent_agreement": agreement}
            findings.append(Finding(check="accuracy", subject=subject, passed=None, detail=detail, data=data))
    if images.labelled and comparison.parent is None:
        detail = "no float parent at hand, so no accuracy is compared; name it with --parent"
        findings.append(Finding(check="accuracy", subject=NO_PARENT, passed=None, detail=detail))
    if limits.agreement_floor is not None:
        agreements = [(participant.subject, participant.agreement) for participant in participants(comparison)]
        findings += [
            agreement_finding(subject, value, limits.agreement_floor, measure.unit)
            for subject, value in agreements
            if value is not None
        ]
    return findings


def boundary_findings(comparison: Comparison, limits: Limits) -> list[Finding]:
    """Judge the Boundary IoU of the reference and of every runtime; how alike the parent's edges are is a fact."""
    parent = None if comparison.parent is None else comparison.parent.boundary
    findings = []
    for participant in participants(comparison):
        likeness = participant.likeness if participant.agreement is not None else None
        if participant.boundary is None and likeness is None:
            continue
        line, data = ("", {}) if likeness is None else (likeness.line, likeness.figures())
        data = {"metric": "boundary_miou", **data}
        findings.append(
            boundary_finding(participant.subject, participant.boundary, parent, line, data, floor=limits.boundary_floor)
        )
    return findings


def _with_labels(finding: Finding, participant: Participant, parent: Participant | None) -> Finding:
    """The same with every independent label's figures, and the one whose average precision fell most in words."""
    labels = participant.labels
    if not labels:
        return finding
    theirs = {} if parent is None else parent.labels
    for name, figures in labels.items():
        figures["parent_average_precision"] = theirs.get(name, {}).get("average_precision")
    fallen = {
        name: figures["parent_average_precision"] - figures["average_precision"]
        for name, figures in labels.items()
        if figures["average_precision"] is not None and figures["parent_average_precision"] is not None
    }
    detail = finding.detail
    if fallen and max(fallen.values()) > 0:
        most = max(fallen, key=lambda name: fallen[name])
        found = labels[most]
        detail += (
            f"; most lost at '{most}': {found['average_precision']:.2%} of {found['parent_average_precision']:.2%}"
        )
    return replace(finding, detail=detail, data={**finding.data, "labels": labels})


def _chance_findings(comparison: Comparison, images: Images, metric: str) -> list[Finding]:
    """The float parent first, then everybody else, against answers that look at no pixel of these images."""
    if not images.labelled or images.split is None:
        return []
    chance = chance_of(images.split, images.count, metric)
    judged = [*([] if comparison.parent is None else [comparison.parent]), *participants(comparison)]
    return [
        chance_finding(participant.subject, metric, participant.value, participant.lower, chance, images.count)
        for participant in judged
        if participant.value is not None
    ]


def self_test_findings(artifact: Artifact, runtimes: Sequence[Runtime], *, recorded: bool) -> list[Finding]:
    """What a predictor runs when it loads a file, in every runtime; where bounds are being recorded, a fact."""
    findings = []
    for runtime in runtimes:
        result = run_selftest(artifact, runtime.file.path, runtime.session)
        detail = f"{result.samples} images: differs by {result.largest:g}, {result.allowed:g} allowed"
        data = {"largest": result.largest, "allowed": result.allowed, "kernels": result.kernels}
        passed = None if recorded and not result.passed else result.passed
        findings.append(Finding(check="self-test", subject=runtime.label, passed=passed, detail=detail, data=data))
    return findings


def size_findings(subject: Subject, limits: Limits) -> list[Finding]:
    """Judge the size of every file that devices run; nothing without a budget."""
    budget = limits.size_budget_bytes
    if budget is None:
        return []
    return [size_finding(file.path, file.size_bytes, budget) for file in subject.run_files]
