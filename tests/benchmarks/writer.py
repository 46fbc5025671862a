"""Time and memory of the road from QDQ ONNX to TFLite for MobileNetV2 1.0: `python -m tests.benchmarks.writer`.

Each row is a process of its own, as a user would start it; the best of several runs counts, because everything else
on the machine only ever adds. The limits are those that the project promises. Linux only (/proc).
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from converters.onnx.file import onnx_bytes
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from tests.support.preprocess_text import preprocess_text

RUNS = 3
CLASSES = 1000
# Runs in a fresh process: what a writer alone loads and needs.
CHILD = """
import json, re, sys, time
from pathlib import Path
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.graph.importers.onnx.reader import read_onnx
graph = read_onnx(Path(sys.argv[1]))
start, worked = time.perf_counter(), time.process_time()
data = tflite_bytes(to_nhwc(graph))
seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - worked
# Not getrusage: its peak starts at that of the process that started this one.
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
assert "torch" not in sys.modules
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_bytes": peak}))
"""
CARD = f"""
task = "classify"

[labels]
names = {[f"class {index}" for index in range(CLASSES)]}

{preprocess_text(224, 224, fit="crop", crop_fraction=0.875)}"""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measurement with its limit, both in the unit of the row's name.

    cpu_seconds: what the processor worked for it, which a busy machine changes less than the time on the clock.
    """

    name: str
    value: float
    limit: float
    cpu_seconds: float | None = None


def source_bytes() -> bytes:
    """MobileNetV2 1.0 at 224 pixels with drawn weights, calibrated on noise, as QDQ ONNX."""
    torch.manual_seed(0)
    model = build("mobilenet_v2", classes=CLASSES, width=1.0, resolution=224)
    images = torch.rand(2, 3, 224, 224) * 2 - 1
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # statistics become those of these images, so that no activation vanishes
    with torch.no_grad():
        model.train()(images)
    graph = float_graph(model.eval(), images[:1])
    return onnx_bytes(calibrate(graph, [images[:1].numpy().astype(np.float32)], estimator="minmax"))


def writer_rows(source: Path) -> list[Row]:
    """The writer alone: layout and flatbuffer, after the ONNX file was read."""
    replies = [json.loads(_run([THIS_PYTHON, *code_arguments(CHILD, [str(source)])])) for _ in range(RUNS)]
    return [
        Row(
            name="writer, s",
            value=min(reply["seconds"] for reply in replies),
            limit=0.3,
            cpu_seconds=min(reply["cpu_seconds"] for reply in replies),
        ),
        Row(name="writer, peak MB", value=min(reply["peak_bytes"] for reply in replies) / 1e6, limit=250),
    ]


def command_rows(source: Path, folder: Path) -> list[Row]:
    """`edge --help`, and `edge convert` without verification, as whole processes."""
    card = folder / "card.toml"
    card.write_text(CARD)
    edge = str(Path(THIS_PYTHON).with_name("edge"))
    converts = [
        [edge, "convert", str(source), "--card", str(card), "-o", str(folder / f"out{run}"), "--no-verify"]
        for run in range(RUNS)
    ]
    return [
        _timed("edge --help, s", [[edge, "--help"]] * RUNS, limit=0.4),
        _timed("edge convert --no-verify, s", converts, limit=10),
    ]


def _timed(name: str, commands: list[list[str]], *, limit: float) -> Row:
    clock, worked = [], []
    for words in commands:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        _run(words)
        clock.append(time.perf_counter() - start)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        worked.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return Row(name=name, value=min(clock), limit=limit, cpu_seconds=min(worked))


def main() -> int:
    """Print the rows; exit code 1 when one is over its limit."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "source.onnx"
        source.write_bytes(source_bytes())
        rows = [*writer_rows(source), *command_rows(source, folder)]
    table = Table("measurement", "best", "limit", "CPU s")
    for row in rows:
        table.add_row(
            row.name, f"{row.value:.3g}", f"{row.limit:g}", "" if row.cpu_seconds is None else f"{row.cpu_seconds:.3g}"
        )
    Console().print(table)
    return int(any(row.value > row.limit for row in rows))


def _run(words: list[str]) -> str:
    """Standard output of a process on one thread; what it says when it fails is shown."""
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(words[:3])}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
