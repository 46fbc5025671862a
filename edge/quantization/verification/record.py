"""Writing what verification measured into the manifest."""

from edge.artifact import MANIFEST_NAME, Accuracy, Artifact, Fidelity, Manifest, manifest_json
from edge.atomic import write_text
from edge.quantization.verification.bounds import merged_bounds
from edge.quantization.verification.verify import Report


def record(artifact: Artifact, report: Report) -> Manifest:
    """Put the report's figures into the manifest, in place of older ones of the same subject, atomically.

    The self-test's bounds grow to what was measured; see `merged_bounds`.
    """
    old = artifact.manifest
    fidelity = {_fidelity_key(entry): entry for entry in (*old.fidelity, *report.fidelity)}
    accuracy = {_accuracy_key(entry): entry for entry in (*old.accuracy, *report.accuracy)}
    selftest = old.selftest.model_copy(update={"allowed": merged_bounds(old.selftest.allowed, report.bounds)})
    entries = {"fidelity": tuple(fidelity.values()), "accuracy": tuple(accuracy.values())}
    manifest = old.model_copy(update={**entries, "selftest": selftest})
    write_text(artifact.folder / MANIFEST_NAME, manifest_json(manifest))
    return manifest


def _fidelity_key(entry: Fidelity) -> tuple[str, ...]:
    return (entry.subject, entry.engine, entry.kernels, str(entry.machine))


def _accuracy_key(entry: Accuracy) -> tuple[str, ...]:
    return (entry.subject, entry.metric, entry.split_sha256, str(entry.images))
