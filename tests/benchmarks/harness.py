"""What measuring itself costs: `python -m tests.benchmarks.harness ARTIFACT`; leaves with 1 above a bound.

- the null engine in the measuring loop: what a sample holds beside the model (two readings of the clock and a call),
  and what a whole turn of the loop takes;
- the measuring loop against a plain loop around the same interpreter, in turn, block by block;
- the Predictor with the null engine: everything of a prediction but the model;
- `edge --help`: how long the command takes to start.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from device_bench.agent.loop import block
from device_bench.records.percentiles import summarize
from edge.artifact.manifest import Artifact, open_artifact
from edge.engines.inputs import check_inputs
from edge.engines.litert import LiteRtSession, open_litert
from edge.engines.null_session import NullSession
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.percentile import nearest_rank
from edge.port import Port
from edge.predictor.choice import file_for
from edge.predictor.predictor import Predictor

SMALL_MODEL_NS = 100_000
LIMITS = {
    "a turn of the loop, null engine": (2_000.0, "ns"),
    "of a sample of 0.1 ms, the harness": (1.0, "%"),
    "median against a plain loop": (1.0, "%"),
    "edge --help": (400.0, "ms"),
}
NULL_RUNS = 20_000
NULL_BLOCKS = 10
PAIRS = 100
PAIR_RUNS = 15
WARMUP_RUNS = 100
FRAME_HW = (720, 1280)
FRAMES = 100
STARTS = 7


def null_overhead_ns() -> tuple[float, int]:
    """Nanoseconds of a whole turn of the loop, and of the median sample in it, with an engine that does nothing.

    The best of NULL_BLOCKS blocks: another process that takes the processor is not the harness.
    """
    port = Port(name="x", shape=(1, 8), dtype="int8")
    query = NullSession(inputs=(port,), outputs=(port,)).prepared([np.zeros((1, 8), np.int8)])
    turns, medians = [], []
    for _ in range(NULL_BLOCKS):
        start_ns = time.perf_counter_ns()
        samples_ns = block(query, time.perf_counter_ns, NULL_RUNS, 0, NULL_RUNS)
        turns.append((time.perf_counter_ns() - start_ns) / NULL_RUNS)
        medians.append(nearest_rank(sorted(samples_ns), 50))
    return min(turns), min(medians)


def plain_loop(interpreter: Any, index: int, array: Any, output: int, runs: int) -> list[int]:
    """What a person would write around the interpreter."""
    samples_ns = []
    for _ in range(runs):
        start_ns = time.perf_counter_ns()
        interpreter.set_tensor(index, array)
        interpreter.invoke()
        interpreter.get_tensor(output)
        samples_ns.append(time.perf_counter_ns() - start_ns)
    return samples_ns


def against_a_plain_loop(artifact: Artifact) -> list[tuple[int, int]]:
    """Medians in nanoseconds of the measuring loop and of a plain loop around the same interpreter, PAIRS of blocks."""
    session = open_litert(artifact.file(file_for(artifact, "litert").path))
    assert isinstance(session, LiteRtSession)
    interpreter = session.interpreter
    given = session.inputs[0]
    array = np.zeros(given.shape, given.dtype)
    check_inputs("litert", session.inputs, [array])
    query = session.prepared([array])
    places = (interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"])
    block(query, time.perf_counter_ns, WARMUP_RUNS, 0, WARMUP_RUNS)
    medians: list[tuple[int, int]] = []
    for number in range(PAIRS):
        turns: list[Callable[[], list[int]]] = [
            lambda: block(query, time.perf_counter_ns, PAIR_RUNS, 0, PAIR_RUNS),
            lambda: plain_loop(interpreter, places[0], array, places[1], PAIR_RUNS),
        ]
        order = (0, 1) if number % 2 else (1, 0)  # A B B A: a slow drift meets both alike
        samples = {index: sorted(turns[index]()) for index in order}
        medians.append((nearest_rank(samples[0], 50), nearest_rank(samples[1], 50)))
    return medians


def predictor_ns(artifact: Artifact) -> int:
    """The median prediction on a frame of FRAME_HW without a model."""
    predict = Predictor.load(artifact, engine="null", selftest=False)
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME_HW, 3), dtype=np.uint8)
    return summarize(block(lambda: predict(frame), time.perf_counter_ns, FRAMES, 0, FRAMES)).p50_ns


def start_ns() -> int:
    """The fastest whole process of `edge --help`."""
    code = "import sys; from edge.cli.main import main; sys.exit(main(['--help']))"

    def call() -> None:
        subprocess.run([THIS_PYTHON, *code_arguments(code)], capture_output=True, check=True)

    return min(block(call, time.perf_counter_ns, STARTS, 0, STARTS))


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
def command(artifact: Path) -> None:
    """Print what measuring costs, with ARTIFACT's TFLite file as the model; leaves with 1 when a bound is broken."""
    opened = open_artifact(artifact)
    turn_ns, sample_ns = null_overhead_ns()
    pairs = against_a_plain_loop(opened)
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    ours_ns, plain_ns = (statistics.median(column) for column in zip(*pairs, strict=True))
    found = {
        "a turn of the loop, null engine": turn_ns,
        "of a sample of 0.1 ms, the harness": 100 * sample_ns / SMALL_MODEL_NS,
        "median against a plain loop": 100 * abs(ratio - 1),
        "edge --help": start_ns() / 1e6,
    }
    broken = 0
    for name, value in found.items():
        limit, unit = LIMITS[name]
        broken += value >= limit
        click.echo(f"{name}: {value:.3g} {unit}; below {limit:g} {unit}{' BROKEN' * (value >= limit)}")
    click.echo(f"null engine, one sample: {sample_ns} ns")
    click.echo(
        f"{opened.manifest.name} in litert: {ours_ns / 1e6:.4f} ms here, {plain_ns / 1e6:.4f} ms in a plain loop"
    )
    click.echo(f"predictor without a model: {predictor_ns(opened) / 1e3:.1f} us")
    sys.exit(int(broken > 0))


if __name__ == "__main__":
    command()
