"""One session of every engine, and one Predictor, called from many threads at once.

`python -m tests.benchmarks.threads ARTIFACT`: every answer must be the one that a single thread gets. What is
not installed here, or has no file in the artifact, says so.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact, open_artifact
from edge.engines.engine import Session, open_session
from edge.engines.other_python import OtherPython
from edge.engines.python_child import THIS_PYTHON
from edge.engines.table import ENGINES, engine_spec
from edge.errors import EdgeError
from edge.predictor.choice import file_for
from edge.predictor.predictor import Predictor
from edge.tasks.classify import ClassPrediction, LabelsPrediction
from edge.tasks.segment import SegmentPrediction

Outputs = Sequence[npt.NDArray[Any]]


def wrong_outputs(call: Callable[[int], Outputs], *, threads: int, calls: int) -> list[str]:
    """What went wrong when `call` was asked from many threads at once: other answers than one thread gets, errors.

    Args:
        call: answers to the question of this number, below `threads`; every thread asks every question in turn.
        calls: of every thread.
    """
    expected = [[np.array(array) for array in call(number)] for number in range(threads)]
    wrong: list[str] = []
    start = threading.Barrier(threads)

    def ask(first: int) -> None:
        start.wait()
        for number in range(first, first + calls):
            try:
                found = call(number % threads)
                if not all(map(np.array_equal, found, expected[number % threads])):
                    wrong.append("another answer")
            except Exception as error:  # whatever a runtime raises
                wrong.append(str(error))

    workers = [threading.Thread(target=ask, args=(first,)) for first in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return wrong


def session_call(session: Session, count: int) -> Callable[[int], Outputs]:
    """A call with `count` inputs that all differ."""
    random = np.random.default_rng(0)
    given = [[random.integers(0, 100, port.shape).astype(port.dtype) for port in session.inputs] for _ in range(count)]
    return lambda number: session.run(given[number])


def predictor_call(predict: Predictor, count: int) -> Callable[[int], Outputs]:
    """A call with `count` frames that all differ."""
    random = np.random.default_rng(0)
    frames = [random.integers(0, 256, (37 + k, 53, 3), dtype=np.uint8) for k in range(count)]

    def call(number: int) -> Outputs:
        found = predict(frames[number])
        if isinstance(found, SegmentPrediction):
            return [found.class_map]
        assert isinstance(found, ClassPrediction | LabelsPrediction)
        return [np.array(found.scores.probabilities)]

    return call


Road = tuple[str, Callable[[], Callable[[int], Outputs]]]


def roads(artifact: Artifact, other: OtherPython, engine: str, kernels: str, count: int) -> Iterator[Road]:
    """The ways to ask an engine: a session, a Predictor, a session in another Python; each loads when it is called."""

    def session(place: Callable[..., Session]) -> Callable[[int], Outputs]:
        path = artifact.file(file_for(artifact, engine, kernels).path)
        return session_call(place(engine, path, kernels=kernels), count)

    yield f"{engine}:{kernels}", lambda: session(open_session)
    yield (
        f"Predictor, {engine}:{kernels}",
        lambda: predictor_call(Predictor.load(artifact, engine=engine, kernels=kernels, selftest=False), count),
    )
    if engine in other.info.engines:
        yield f"another Python, {engine}:{kernels}", lambda: session(other.open_session)


@click.command()
@click.argument("artifacts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--threads", default=8, show_default=True)
@click.option("--frames", default=1000, show_default=True, help="Of every thread.")
@click.option("--engine", "named", multiple=True, help="These alone: NAME or NAME:KERNELS.")
def command(artifacts: tuple[Path, ...], threads: int, frames: int, named: tuple[str, ...]) -> None:
    """Hold every engine that runs ARTIFACTS here to its single-threaded answers; leaves with 1 if one differs."""
    broken = 0
    with OtherPython(THIS_PYTHON) as other:
        for artifact in map(open_artifact, artifacts):
            for spec in map(engine_spec, named or ENGINES):
                for kernels in (spec.kernels,) if spec.kernels else ENGINES[spec.engine].kernel_sets:
                    for name, make in roads(artifact, other, spec.engine, kernels, threads):
                        found = _row(make, threads, frames)
                        broken += found[0]
                        click.echo(f"{artifact.folder.name:22} {name:40} {found[1]}")
    sys.exit(int(broken > 0))


def _row(make: Callable[[], Callable[[int], Outputs]], threads: int, frames: int) -> tuple[int, str]:
    try:
        call = make()
    except EdgeError as error:
        return 0, f"not here: {str(error)[:70]}"
    start_s = time.perf_counter()
    wrong = wrong_outputs(call, threads=threads, calls=frames)
    told = f"{threads * frames} calls, {len(wrong)} wrong, {time.perf_counter() - start_s:.1f} s"
    return len(wrong), f"{told} ({wrong[0]})" if wrong else told


if __name__ == "__main__":
    command()
