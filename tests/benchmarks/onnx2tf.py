"""Conversion time and peak memory beside onnx2tf's: `python -m tests.benchmarks.onnx2tf [--rounds 3] [--json]`.

Float MobileNetV2 1.0 (224 x 224) and Fast-SCNN (512 x 256), weights random, from one ONNX file each. Every conversion
is a fresh process from start to exit, its imports included; the roads take turns, so that other work on the machine
meets all of them. Converting alone leaves the imports of both sides out. Peak memory is the process's largest
resident size (VmHWM, so Linux only).

  writer   this product's functions alone: read_onnx, canonical, to_nhwc, tflite_bytes
  edge     `edge convert MODEL.onnx -o MODEL.tflite --no-verify` (its imports count as converting: they come late)
  onnx2tf  onnx2tf with TensorFlow as `edge convert --via onnx2tf` runs it
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from converters.onnx.file import onnx_bytes
from converters.onnx2tf.environment import find_python
from converters.onnx2tf.isolated import run_onnx2tf
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.models.registry import build
from edge.quantization.qat.capture import float_graph

WRITER = """
import sys
import time
from pathlib import Path
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.graph.importers.onnx.reader import read_onnx
imported = time.perf_counter()
Path(sys.argv[2]).write_bytes(tflite_bytes(to_nhwc(canonical(read_onnx(Path(sys.argv[1]), batch=1)))))
print(time.perf_counter() - imported)
"""
EDGE = """
import sys
import time
from edge.cli.main import main
start = time.perf_counter()
assert main(["convert", sys.argv[1], "-o", sys.argv[2], "--no-verify", "--json"]) == 0
print()
print(time.perf_counter() - start)
"""
PEAK = """
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""
# Seconds of the process from start to exit, seconds of its conversion alone, MiB.
Measured = tuple[float, float, float]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    python = find_python()
    with tempfile.TemporaryDirectory() as folder:
        models = _models(Path(folder))
        roads: dict[str, Callable[[Path], Measured]] = {
            "writer": lambda model: _process(WRITER, model),
            "edge": lambda model: _process(EDGE, model),
            "onnx2tf": lambda model: _onnx2tf(python, model),
        }
        found: dict[tuple[str, str], list[Measured]] = {}
        for index in range(options.rounds):
            for name, model in models.items():
                for road, run in roads.items():
                    found.setdefault((name, road), []).append(run(model))
                    seconds, alone, size = found[name, road][-1]
                    said = f"{seconds:.2f} s, of them converting {alone:.3f} s, {size:.0f} MiB"
                    print(f"round {index + 1}: {name} {road}: {said}", file=sys.stderr)
    _report(found, list(models), list(roads), options.rounds, as_json=options.json)


def _models(folder: Path) -> dict[str, Path]:
    """The two networks as ONNX files."""
    torch.manual_seed(0)
    made = {}
    networks = {
        "mobilenet_v2": build("mobilenet_v2", classes=1000),
        "fast_scnn": build("fast_scnn", classes=19, resolution_hw=(256, 512)),
    }
    for name, size_hw in (("mobilenet_v2", (224, 224)), ("fast_scnn", (256, 512))):
        graph = float_graph(networks[name].eval(), torch.zeros(1, 3, *size_hw))
        made[name] = folder / f"{name}.onnx"
        made[name].write_bytes(onnx_bytes(graph))
    return made


def _process(code: str, model: Path) -> Measured:
    start = time.perf_counter()
    command = [THIS_PYTHON, *code_arguments(code + PEAK, [str(model), str(model.with_suffix(".tflite"))])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    *_, alone, peak = done.stdout.splitlines()
    return seconds, float(alone), int(peak) / 1024


def _onnx2tf(python: Path, model: Path) -> Measured:
    start = time.perf_counter()
    made = run_onnx2tf(python, model.read_bytes())
    return time.perf_counter() - start, made.conversion_seconds, made.peak_bytes / 2**20


def _report(
    found: dict[tuple[str, str], list[Measured]], models: list[str], roads: list[str], rounds: int, *, as_json: bool
) -> None:
    """Medians, and how many times longer and larger onnx2tf is."""
    if not as_json:
        print(f"median of {rounds} rounds\n\n| model | road | process, s | converting, s | MiB | onnx2tf takes |")
        print("| --- | --- | --- | --- | --- | --- |")
    for model in models:
        medians = {
            road: tuple(statistics.median(values) for values in zip(*found[model, road], strict=True)) for road in roads
        }
        for road in roads:
            seconds, alone, size = medians[road]
            ratios = [theirs / ours for theirs, ours in zip(medians["onnx2tf"], medians[road], strict=True)]
            if as_json:
                entry = {
                    "model": model,
                    "road": road,
                    "seconds": seconds,
                    "conversion_seconds": alone,
                    "peak_mib": size,
                }
                print(json.dumps({**entry, "onnx2tf_times": ratios, "rounds": rounds}))
            else:
                said = "{:.0f} x the time, {:.0f} x converting, {:.1f} x the memory".format(*ratios)
                said = "" if road == "onnx2tf" else said
                print(f"| {model} | {road} | {seconds:.2f} | {alone:.3f} | {size:.0f} | {said} |")


if __name__ == "__main__":
    main()
