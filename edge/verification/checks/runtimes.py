"""Where the files of an artifact run: this Python and others, every engine there, and its kernel sets."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from edge.artifact.model_file import ModelFile
from edge.engines.engine import Session, installed_engines, open_session
from edge.engines.other_python import OtherPython
from edge.engines.table import DEVICE_ENGINES, ENGINES, PREFERRED
from edge.errors import EngineError, UsageError
from edge.evaluation.fidelity import Difference, RealDifference
from edge.predictor.artifact_session import open_artifact_session
from edge.predictor.point_session import open_point_session, points_by, run_of
from edge.verification.checks.accuracy import Participant
from edge.verification.checks.images import Images
from edge.verification.checks.subject import Subject
from edge.vision.point_rend import Points


@dataclass(frozen=True, kw_only=True)
class RuntimeChoice:
    """What is asked for.

    Attributes:
        engines: names; empty takes the default ones here, and all that another Python has.
        kernels: kernel set of TFLite engines; None what the runtime takes by itself.
        all_kernels: every kernel set of every installed engine instead.
        pythons: paths of other interpreters, in which files run too.
    """

    engines: tuple[str, ...] = ()
    kernels: str | None = None
    all_kernels: bool = False
    pythons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Place:
    """A Python in which sessions open. `words` says where it is, None for this one."""

    words: str | None
    engines: tuple[str, ...]
    open: Callable[..., Session]


@dataclass(kw_only=True)
class Runtime:
    """A file in an engine, with what was compared so far.

    Attributes:
        name: file, engine, kernel set and place as asked for: what findings are about.
        asked: the kernel set asked for; None what the runtime takes by itself.
        open: loads another file with the same engine and kernels in the same place.
        largest: the largest difference of one image's outputs, as the self-test counts it.
    """

    name: str
    asked: str | None
    file: ModelFile
    session: Session
    open: Callable[[Path], Session]
    participant: Participant
    integers: Difference = field(default_factory=Difference)
    reals: RealDifference = field(default_factory=RealDifference)
    largest: float = 0.0

    @property
    def label(self) -> str:
        """File, engine, place and the kernels that really ran."""
        info = self.session.info
        taken = ""
        if info.delegate == "XNNPACK":
            taken = f", XNNPACK took {info.delegated_operators} of {info.operators} operators"
        _, _, place = self.name.partition(f" in {info.engine}")
        place = place.removeprefix(f" {self.asked}")
        return f"{self.file.path} in {info.engine} {info.version}{place} ({info.kernels}{taken})"


def open_runtimes(subject: Subject, images: Images, choice: RuntimeChoice, stack: ExitStack) -> list[Runtime]:
    """Open every run file in every engine of its format, here and in every other Python, which `stack` ends.

    Raises:
        UsageError: an engine that verification does not know, one without a file in the artifact, no such interpreter.
        EngineError: a runtime that is missing or refuses a file.
    """
    for engine in choice.engines:
        if engine not in DEVICE_ENGINES:
            raise UsageError(f"--engine {engine}: verification runs {', '.join(DEVICE_ENGINES)}")
        formats = ENGINES[engine].formats
        if all(file.format not in formats for file in subject.run_files):
            raise UsageError(f"--engine {engine}: the artifact holds no {' or '.join(formats)} file")
    if choice.all_kernels and choice.kernels is not None:
        raise UsageError(f"--kernels {choice.kernels}: --all-kernels takes every kernel set")
    runtimes: list[Runtime] = []
    for place in [_here(choice), *(_there(python, choice, stack) for python in choice.pythons)]:
        for engine in place.engines:
            for file in subject.run_files:
                if file.format in ENGINES[engine].formats:
                    runtimes += _kernel_sets(subject, images, choice, place, engine, file)
    missing = [engine for engine in choice.engines if all(engine != used.session.info.engine for used in runtimes)]
    if missing:
        raise EngineError(f"{missing[0]}: it is installed neither here nor in {', '.join(choice.pythons)}")
    names = [runtime.name for runtime in runtimes]
    if twice := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--python: '{twice[0]}' is named twice")
    return runtimes


def _here(choice: RuntimeChoice) -> Place:
    installed = installed_engines()
    if choice.engines:
        wanted = [engine for engine in choice.engines if engine in installed or not choice.pythons]
    else:
        wanted = list(installed if choice.all_kernels else PREFERRED.values())
    return Place(words=None, engines=tuple(dict.fromkeys(wanted)), open=open_session)


def _there(python: str, choice: RuntimeChoice, stack: ExitStack) -> Place:
    other = stack.enter_context(OtherPython(python))
    wanted = [engine for engine in other.info.engines if engine in (choice.engines or DEVICE_ENGINES)]
    if not wanted:
        raise EngineError(f"{python}: has none of {', '.join(choice.engines or DEVICE_ENGINES)}; install one there")
    return Place(words=other.words, engines=tuple(wanted), open=other.open_session)


def _kernel_sets(
    subject: Subject, images: Images, choice: RuntimeChoice, place: Place, engine: str, file: ModelFile
) -> list[Runtime]:
    """One runtime per kernel set that really runs; a set that the runtime does not apply is another one's."""
    if choice.all_kernels:
        # None: what the runtime takes by itself, which is XNNPACK where it applies it.
        asked: tuple[str | None, ...] = (None, *ENGINES[engine].compared_kernels[1:])
    else:
        asked = (choice.kernels if file.format == "tflite" else None,)
    found: dict[str, Runtime] = {}
    for kernels in asked:
        session = open_artifact_session(subject.artifact, file, engine, kernels=kernels, opener=place.open)
        if session.info.kernels not in found:
            head = open_point_session(subject.artifact, file, engine, kernels=kernels, opener=place.open)
            points = points_by(subject.artifact, file, None if head is None else run_of(head))
            found[session.info.kernels] = _runtime(images, place, engine, file, session, kernels, points)
    return list(found.values())


def _runtime(
    images: Images,
    place: Place,
    engine: str,
    file: ModelFile,
    session: Session,
    kernels: str | None,
    points: Points | None,
) -> Runtime:
    words = [f"{file.path} in {engine}", *([kernels] if kernels else []), *([place.words] if place.words else [])]
    name = " ".join(words)
    # An operator alone may be one that XNNPACK leaves to other kernels, as it does inside the network.
    alone = None if kernels == "xnnpack" else kernels
    return Runtime(
        name=name,
        asked=kernels,
        file=file,
        session=session,
        open=lambda path: place.open(engine, path, threads=1, kernels=alone),
        participant=Participant(name, images, points),
    )
