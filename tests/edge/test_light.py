"""In a light installation (what a device has) verbs that need more say in one line what brings it."""

import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.light

ROOT = Path(__file__).resolve().parents[2]
NEED_MORE = {
    "train": ["mobilenet_v2_generated", "-o", "out"],
    "inspect": ["model.onnx"],
    "convert": ["model.onnx", "-o", "out"],
    "quantize": ["model.onnx", "--calibration", "generated:classify:train", "-n", "4", "-o", "out"],
    "eval": ["model.safetensors"],
    "report": ["records.jsonl"],
}


def edge(python: str, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [python, "-c", "from edge.__main__ import run; run()", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", NEED_MORE)
def test_a_verb_that_needs_more_says_so_in_one_line(verb: str, light_python: str, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.safetensors", "records.jsonl"):
        (tmp_path / name).write_bytes(b"")
    done = edge(light_python, tmp_path, verb, *NEED_MORE[verb])
    (line,) = done.stderr.splitlines()
    assert (
        done.returncode == 1
        and line.startswith(f"edge {verb}: ")
        and "pip install " in line
        and "edge-deploy" not in line
    )
    # All that the verb misses at once, and no more: reading model files and records needs no torch.
    assert ("torch" in line) is (verb not in ("inspect", "report")), line


@pytest.mark.parametrize("verb", ["bench", "probe", "compare", "camera", "train", "recipes"])
def test_a_verb_of_the_light_part_needs_nothing_else(verb: str, light_python: str, tmp_path: Path) -> None:
    done = edge(light_python, tmp_path, verb, "--help")
    assert done.returncode == 0 and f"edge {verb}" in done.stdout
