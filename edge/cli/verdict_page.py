"""What the page of a verdict shows, gathered from the report, the artifact and this machine."""

from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_bench.agent.versions import package_versions
from device_bench.records.machine import read_machine
from edge.artifact.manifest import Artifact
from edge.files import atomic
from edge.verification.verdict.page import verdict_page
from edge.verification.verdict.text import threshold_texts

if TYPE_CHECKING:
    from edge.verification.sensitivity.examination import Examination
    from edge.verification.verify import Report

Pairs = list[tuple[str, str]]


def write_page(path: Path, artifact: Artifact, report: "Report", examination: "Examination | None") -> None:
    """Write the page, atomically. Refuses (FileError) a path that cannot be written."""
    atomic.write_text(path, verdict_page(page_content(artifact, report, examination)))


def page_content(artifact: Artifact, report: "Report", examination: "Examination | None") -> dict[str, Any]:
    """The content of `edge.verification.verdict.page`."""
    from edge.verification.verdict.rows import operator_rows, rows

    given = list(rows(artifact, report, examination))
    operators = groupby(operator_rows(report), key=lambda row: row["subject"])
    manifest = artifact.manifest
    return {
        "artifact": {"name": manifest.name, "task": manifest.task, "precision": manifest.precision},
        "verdict": given[-1],
        "findings": [row for row in given if row["row"] == "finding"],
        "layers": [row for row in given if row["row"] == "layer"],
        "suggestions": [row for row in given if row["row"] == "suggestion"],
        "ranking": next((row for row in given if row["row"] == "ranking"), None),
        "operators": [(subject, list(group)) for subject, group in operators],
        "thresholds": threshold_texts(report.limits),
        "machine": _machine(report),
        "provenance": _provenance(artifact),
        "files": [file.model_dump(include={"path", "size_bytes", "sha256"}) for file in manifest.files],
        "time_utc": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _machine(report: "Report") -> Pairs:
    machine = read_machine()
    ran = [finding.subject for finding in report.verdict.findings if finding.check == "end to end"]
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    return _said(
        ("ran", "; ".join(ran)),
        ("machine", machine.board),
        ("processor", machine.processor),
        ("architecture", f"{machine.system} {machine.architecture}"),
        ("instruction sets", ", ".join(machine.isa_features)),
        ("virtual machine", machine.virtual_machine),
        ("emulation", machine.emulation),
        ("versions", versions),
    )


def _provenance(artifact: Artifact) -> Pairs:
    provenance, quantization, cost = (
        artifact.manifest.provenance,
        artifact.manifest.quantization,
        artifact.manifest.cost,
    )
    images = quantization.calibration_images
    return _said(
        ("folder", str(artifact.folder)),
        ("source", provenance.source_path),
        ("checkpoint", provenance.checkpoint_sha256),
        ("float parent", provenance.parent_path),
        ("parent's SHA-256", provenance.parent_sha256),
        ("quantized by", quantization.method),
        ("ranges", quantization.ranges),
        ("calibration", None if images is None else f"{images} images, split {quantization.calibration_sha256}"),
        ("multiply-adds", f"{cost.multiply_adds:,}"),
        ("parameters", f"{cost.parameters:,}"),
        ("command", provenance.command),
        ("commit", None if provenance.commit is None else provenance.commit + " (changed)" * bool(provenance.dirty)),
        ("made", provenance.time_utc),
        ("made with", ", ".join(f"{name} {version}" for name, version in provenance.versions.items())),
    )


def _said(*pairs: tuple[str, str | None]) -> Pairs:
    return [(name, value) for name, value in pairs if value]
