"""What is measured: a model file with an engine. An artifact brings its self-test; a bare file brings nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from device_bench.explain.spec import ExplainSpec
from device_bench.records.plan import Plan
from device_bench.records.record_parts import Measured, MeasuredAccuracy
from edge.artifact.manifest import MANIFEST_NAME, Artifact, Cost, file_sha256, open_artifact
from edge.artifact.model_file import ModelFile
from edge.engines.table import COMPUTE_NOTHING, DEVICE_ENGINES, ENGINES, engine_spec
from edge.errors import ArtifactError, EngineError, ModelFileError, UsageError, printable
from edge.files.bounded_file import check_file, is_dir
from edge.predictor.choice import file_for
from edge.strict import first_problem

BARE_FORMATS = {".tflite": "tflite", ".onnx": "onnx"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A model file with an engine.

    Attributes:
        measured: what a record says of it; the precision of a bare file is not known before it was loaded.
        kernels: kernel set asked of the engine, None for its default.
        artifact, file: None for a bare file.
        explain: how it is taken apart; None where that is not asked for.
        arena_bytes: what LiteRT's built-in kernels plan for its activations; None where it is not known.
    """

    measured: Measured
    path: Path
    format: str
    engine: str
    kernels: str | None
    artifact: Artifact | None
    file: ModelFile | None
    explain: ExplainSpec | None = None
    arena_bytes: int | None = None

    @property
    def file_name(self) -> str:
        """What the model file is called on a target: HASH.FORMAT."""
        return f"{self.measured.file_sha256}.{self.format}"


@dataclass(frozen=True, kw_only=True)
class FileCounts:
    """What is counted from a model file itself; see `edge.graph.analyses.counts` and `edge.graph.analyses.arena`."""

    cost: Cost
    arena_bytes: int | None


def with_counts(subject: Subject, counts: FileCounts | None) -> Subject:
    """The subject with what its file counts; an artifact's own counts stay."""
    if counts is None:
        return subject
    measured = subject.measured
    if subject.artifact is None:
        measured = measured.model_copy(update=counts.cost.model_dump())
    return replace(subject, measured=measured, arena_bytes=counts.arena_bytes)


def open_subject(path: Path) -> Artifact | Path:
    """An artifact folder, opened, or the path of a bare model file.

    Raises:
        ArtifactError: a folder that is no artifact. ModelFileError: no such file, or another kind of file.
    """
    if is_dir(path):
        return open_artifact(path)
    check_file(path, what="artifact folder or model file", error=ModelFileError)
    if path.suffix not in BARE_FORMATS:
        raise ModelFileError(path, f"is neither an artifact folder nor a {' or '.join(BARE_FORMATS)} file")
    return path


def make_subjects(
    opened: Iterable[Artifact | Path], engines: Sequence[str], plan: Plan, installed: Sequence[str]
) -> list[Subject]:
    """Every artifact and file with every engine, in turn.

    Args:
        engines: `NAME[:KERNELS]`; none takes for each one the preferred engine of those that the target has.
        installed: engines of the target.

    Raises:
        UsageError: an unknown engine, or one that computes nothing for a bare file. EngineError: no file for an engine.
    """
    parsed = [engine_spec(text) for text in engines]
    subjects = []
    for entry in opened:
        for spec in parsed or [engine_spec(_preferred(entry, installed))]:
            _check_sizes(entry, spec.engine, plan)
            kernels = spec.kernels if spec.kernels is not None or spec.engine in COMPUTE_NOTHING else plan.kernels
            if isinstance(entry, Artifact):
                subjects.append(_of_artifact(entry, spec.engine, kernels))
            else:
                subjects.append(_of_file(entry, spec.engine, kernels))
    return subjects


def _check_sizes(entry: Artifact | Path, engine: str, plan: Plan) -> None:
    """Refuse (UsageError) sizes for what has none open."""
    if not plan.sizes:
        return
    if isinstance(entry, Artifact):
        raise UsageError(f"{entry.folder}: --batch and --input-shape are for ONNX files; an artifact's sizes are fixed")
    sizing = [name for name, row in ENGINES.items() if row.takes_sizes]
    if entry.suffix != ".onnx" or engine not in sizing:
        raise UsageError(
            f"{entry}: --batch and --input-shape are for ONNX files in {' or '.join(sizing)}; "
            "a TFLite file's sizes are fixed"
        )


def _preferred(entry: Artifact | Path, installed: Sequence[str]) -> str:
    where = entry.folder if isinstance(entry, Artifact) else entry
    formats: set[str] = set()
    if isinstance(entry, Artifact):
        formats.update(file.format for file in entry.manifest.files if file.role == "run")
    else:
        formats.add(BARE_FORMATS[entry.suffix])
    for engine in DEVICE_ENGINES:
        if engine in installed and formats.intersection(ENGINES[engine].formats):
            return engine
    raise EngineError(
        f"{where}: no engine there runs its {' or '.join(sorted(formats))} file "
        f"(installed: {', '.join(installed) or 'none'}); install one, or name one with --engine"
    )


def _of_artifact(artifact: Artifact, engine: str, kernels: str | None) -> Subject:
    file = file_for(artifact, engine, kernels)
    try:
        measured = _measured(artifact, file)
    except ValidationError as error:
        told = f"{MANIFEST_NAME}: what a record cannot state: {first_problem(error, Measured)}"
        raise ArtifactError(artifact.folder, told) from error
    return Subject(
        measured=measured,
        path=artifact.file(file.path),
        format=file.format,
        engine=engine,
        kernels=kernels,
        artifact=artifact,
        file=file,
    )


def _measured(artifact: Artifact, file: ModelFile) -> Measured:
    """What a record says of an artifact's file."""
    manifest = artifact.manifest
    return Measured(
        name=manifest.name,
        manifest_sha256=file_sha256(artifact.folder / MANIFEST_NAME),
        file=file.path,
        file_sha256=file.sha256,
        size_bytes=file.size_bytes,
        precision=manifest.precision,
        task=manifest.task,
        **manifest.cost.model_dump(),
        accuracy=tuple(
            MeasuredAccuracy(metric=entry.metric, value=entry.value, split=entry.split, images=entry.images)
            for entry in manifest.accuracy
            if entry.subject == file.path
        ),
    )


def _of_file(path: Path, engine: str, kernels: str | None) -> Subject:
    if engine in COMPUTE_NOTHING:
        raise UsageError(
            f"{path}: the {engine} engine takes the ports from an artifact's manifest; a bare file has none"
        )
    form = BARE_FORMATS[path.suffix]
    if form not in ENGINES[engine].formats:
        raise EngineError(f"{path}: {engine} reads {' and '.join(ENGINES[engine].formats)} files")
    try:
        measured = Measured(
            name=printable(path.stem),
            manifest_sha256=None,
            file=printable(path.name),
            file_sha256=file_sha256(path),
            size_bytes=path.stat().st_size,
            precision=None,
        )
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
    return Subject(measured=measured, path=path, format=form, engine=engine, kernels=kernels, artifact=None, file=None)
