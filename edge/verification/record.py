"""Writing what verification measured into the manifest."""

from edge.artifact.manifest import MANIFEST_NAME, Accuracy, Artifact, Fidelity, Manifest, manifest_json, open_artifact
from edge.errors import ArtifactError
from edge.files.atomic import write_text
from edge.files.folder_lock import held
from edge.verification.checks.bounds import merged_bounds
from edge.verification.verify import Report


def record(artifact: Artifact, report: Report) -> Manifest:
    """Put the report's figures into the manifest that stands there now, in place of older ones of the same subject.

    The self-test's bounds grow to what was measured; see `merged_bounds`. The folder is held meanwhile, so that of two
    recorders neither loses entries.

    Raises:
        ArtifactError: the folder holds another artifact than the one that was verified; nothing is written.
    """
    with held(artifact.folder):
        old = open_artifact(artifact.folder).manifest
        if _unmeasured(old) != _unmeasured(artifact.manifest):
            raise ArtifactError(
                artifact.folder, "was replaced while it was verified: nothing is recorded; verify again"
            )
        fidelity = {_fidelity_key(entry): entry for entry in (*old.fidelity, *report.fidelity)}
        accuracy = {_accuracy_key(entry): entry for entry in (*old.accuracy, *report.accuracy)}
        selftest = old.selftest.model_copy(update={"allowed": merged_bounds(old.selftest.allowed, report.bounds)})
        entries = {"fidelity": tuple(fidelity.values()), "accuracy": tuple(accuracy.values())}
        manifest = old.model_copy(update={**entries, "selftest": selftest})
        write_text(artifact.folder / MANIFEST_NAME, manifest_json(manifest))
    return manifest


def _unmeasured(manifest: Manifest) -> Manifest:
    """A manifest without what `record` changes."""
    selftest = manifest.selftest.model_copy(update={"allowed": {}})
    return manifest.model_copy(update={"fidelity": (), "accuracy": (), "selftest": selftest})


def _fidelity_key(entry: Fidelity) -> tuple[str, ...]:
    return (entry.subject, entry.engine, entry.kernels, str(entry.machine))


def _accuracy_key(entry: Accuracy) -> tuple[str, ...]:
    return (entry.subject, entry.metric, entry.split_sha256, str(entry.images))
