"""The figures of a verification as entries of the manifest."""

from edge.artifact.manifest import Accuracy, Fidelity
from edge.verification.checks.accuracy import measure_of
from edge.verification.checks.end_to_end import Comparison
from edge.verification.checks.findings import participants
from edge.verification.checks.images import Images
from edge.verification.checks.runtimes import Runtime


def fidelity_entry(runtime: Runtime, images: Images) -> Fidelity:
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


def accuracy_entries(comparison: Comparison, images: Images) -> tuple[Accuracy, ...]:
    """The accuracy of the reference, of every runtime and of the float parent; nothing without labels."""
    measure = measure_of(images.artifact)
    if measure is None or images.split is None:
        return ()
    everyone = [*participants(comparison), *([comparison.parent] if comparison.parent is not None else [])]
    return tuple(
        Accuracy(
            subject=participant.subject,
            metric=measure.metric,
            value=participant.value,
            split=images.origin,
            split_sha256=images.split.sha256,
            images=images.count,
        )
        for participant in everyone
        if participant.value is not None
    )
