"""Conversion time and peak memory beside onnx2tf's: `python -m converters.benchmarks.onnx2tf [--rounds 3] [--json]`.

Float MobileNetV2 1.0 (224 x 224) and Fast-SCNN (512 x 256), weights random, from one ONNX file each. Every conversion
is a fresh process from start to exit, its imports included; the roads take turns, so that other work on the machine
meets all of them. Peak memory is the process's largest resident size (VmHWM, so Linux only).

  writer   this product's functions alone: read_onnx, canonical, to_nhwc, tflite_bytes
  edge     `edge convert MODEL.onnx -o MODEL.tflite --no-verify`
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

from converters.onnx2tf_road.environment import find_python
from converters.onnx2tf_road.isolated import run_onnx2tf
from converters.onnx_file import onnx_bytes
from edge.models.registry import build
from edge.quantization.lower import float_graph

WRITER = """
import sys
from pathlib import Path
from converters.onnx_passes.canonical import canonical
from converters.onnx_passes.layout import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.graph.onnx import read_onnx
Path(sys.argv[2]).write_bytes(tflite_bytes(to_nhwc(canonical(read_onnx(Path(sys.argv[1]), batch=1)))))
"""
EDGE = """
import sys
from edge.cli import main
assert main(["convert", sys.argv[1], "-o", sys.argv[2], "--no-verify", "--json"]) == 0
"""
PEAK = """
print()
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""
Measured = tuple[float, float]  # seconds, MiB


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
                    seconds, size = found[name, road][-1]
                    print(f"round {index + 1}: {name} {road}: {seconds:.2f} s, {size:.0f} MiB", file=sys.stderr)
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
    command = [sys.executable, "-c", code + PEAK, str(model), str(model.with_suffix(".tflite"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - start, int(done.stdout.splitlines()[-1]) / 1024


def _onnx2tf(python: Path, model: Path) -> Measured:
    start = time.perf_counter()
    made = run_onnx2tf(python, model.read_bytes())
    return time.perf_counter() - start, made.peak_bytes / 2**20


def _report(
    found: dict[tuple[str, str], list[Measured]], models: list[str], roads: list[str], rounds: int, *, as_json: bool
) -> None:
    """Medians, and how many times longer and larger onnx2tf is."""
    if not as_json:
        print(f"median of {rounds} rounds\n\n| model | road | seconds | MiB | onnx2tf takes |")
        print("| --- | --- | --- | --- | --- |")
    for model in models:
        medians = {
            road: tuple(statistics.median(values) for values in zip(*found[model, road], strict=True)) for road in roads
        }
        for road in roads:
            seconds, size = medians[road]
            times, larger = medians["onnx2tf"][0] / seconds, medians["onnx2tf"][1] / size
            if as_json:
                entry = {"model": model, "road": road, "seconds": seconds, "peak_mib": size}
                print(json.dumps({**entry, "times_faster": times, "times_smaller": larger, "rounds": rounds}))
            else:
                said = "" if road == "onnx2tf" else f"{times:.0f} x the time, {larger:.1f} x the memory"
                print(f"| {model} | {road} | {seconds:.2f} | {size:.0f} | {said} |")


if __name__ == "__main__":
    main()
