"""What measuring itself costs: `python -m device_bench.benchmarks.harness ARTIFACT`.

- one run of the null engine: the part of every sample that is the harness's (clock, checks of the arrays, copies);
- the Predictor with the null engine: everything of a prediction but the model;
- `edge --help`: how long the command takes to start; the product's limit is 400 ms.
"""

import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np

from device_bench.agent.loop import block
from device_bench.bench import bench
from device_bench.percentiles import Latency, summarize
from device_bench.plan import Plan
from device_bench.targets.in_process import InProcess
from edge.artifact import Artifact, open_artifact
from edge.runtime.predictor import Predictor

PLAN = Plan(min_runs=1000, min_duration_ns=200_000_000, warmup_duration_ns=100_000_000)
FRAME_HW = (720, 1280)
FRAMES = 100
STARTS = 7
HELP_LIMIT_MS = 400


def null_engine(artifact: Artifact) -> Latency:
    """One run of the null engine, as the bench times it."""
    (record,) = bench([artifact], ["null"], PLAN, InProcess(), command="device_bench.benchmarks.harness")
    return summarize(record.samples_ns)


def predictor(artifact: Artifact) -> Latency:
    """One prediction on a frame of FRAME_HW without a model."""
    predict = Predictor.load(artifact, engine="null", selftest=False)
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME_HW, 3), dtype=np.uint8)
    return summarize(block(lambda: predict(frame), time.perf_counter_ns, FRAMES, 0, FRAMES))


def start() -> Latency:
    """A whole process of `edge --help`."""
    code = "import sys; from edge.cli import main; sys.exit(main(['--help']))"

    def call() -> None:
        subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    return summarize(block(call, time.perf_counter_ns, STARTS, 0, STARTS))


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
def command(artifact: Path) -> None:
    """Print the three figures for ARTIFACT; leaves with 1 when `edge --help` takes more than its limit."""
    opened = open_artifact(artifact)
    for name, latency in (
        ("null engine, one run", null_engine(opened)),
        ("predictor without a model", predictor(opened)),
    ):
        click.echo(f"{name}: p50 {latency.p50_ns / 1e3:.1f} us, p99 {latency.p99_ns / 1e3:.1f} us")
    help_ms = start().min_ns / 1e6
    click.echo(f"edge --help: {help_ms:.0f} ms, the best of {STARTS}; at most {HELP_LIMIT_MS}")
    sys.exit(int(help_ms > HELP_LIMIT_MS))


if __name__ == "__main__":
    command()
