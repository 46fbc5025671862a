"""Quantization beside other tools: the arithmetic of its figures, and rows made whole on a small network."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from converters.passes.canonical import canonical
from edge.data.image_folder import image_folder
from edge.errors import EdgeError, UsageError
from edge.quantization.qat.freeze import float_graph
from tests.benchmarks import child_usage, ptq_peers
from tests.benchmarks.ptq import preprocess_of
from tests.benchmarks.ptq_peers import Given, chosen_rows, measure, prepare
from tests.benchmarks.ptq_peers_files import apart, nearness
from tests.benchmarks.ptq_peers_table import lines
from tests.benchmarks.ptq_peers_tools import TOOLS
from tests.support.ptq_network import Uneven

SIDE, IMAGES, CALIBRATION = 24, 20, 12


def test_nearness_counts_decisions_and_noise_as_it_says() -> None:
    expected = np.array([[3.0, 0.0], [0.0, 4.0], [5.0, 0.0], [0.0, 0.0]], np.float32)
    found = np.array([[3.0, 0.0], [4.5, 4.0], [5.0, 0.5], [0.0, 0.0]], np.float32)
    near = nearness(expected, found, np.array([0, 0, 1, 0]))
    assert near["top1"] == 0.75  # the third is wrong
    assert near["agreement"] == 0.75  # the second is decided otherwise
    assert near["sqnr_db"] == pytest.approx(10 * math.log10(50 / (4.5**2 + 0.5**2)))
    assert nearness(expected, expected, np.array([0, 1, 0, 0]))["sqnr_db"] == math.inf


def test_floats_differ_beyond_the_order_of_a_sum() -> None:
    expected = np.array([[100.0, 1.0, -2.0]], np.float32)
    assert apart(expected, expected + np.array([[0.0005, -0.0005, 0.0]], np.float32)) == 0
    assert apart(expected, expected + np.array([[0.0, 0.002, -0.002]], np.float32)) == 2


def row(name: str, *, ours: bool, top1: float, size_bytes: int, seconds: float | None, kind: str) -> dict[str, Any]:
    file = {"top1": top1, "agreement": top1, "sqnr_db": 20.0, "differing": 0, "values": 1200}
    file |= {"size_bytes": size_bytes, "metadata_bytes": 512 * ours}
    usage = {"cpu_seconds": seconds, "peak_bytes": None if seconds is None else 2**28}
    return {"row": name, "named": name, "ours": ours, "files": {kind: file}, **usage}


def test_ours_stand_beside_the_best_peer_of_their_format_and_the_fastest_of_all() -> None:
    rows = [
        row("float", ours=False, top1=0.6, size_bytes=100, seconds=None, kind="tflite"),
        row("mine", ours=True, top1=0.55, size_bytes=3000, seconds=6.0, kind="tflite"),
        row("accurate", ours=False, top1=0.5, size_bytes=2000, seconds=9.0, kind="tflite"),
        row("quick", ours=False, top1=0.4, size_bytes=4000, seconds=4.0, kind="tflite"),
        row("other format", ours=False, top1=0.7, size_bytes=10, seconds=3.0, kind="onnx"),
        {"row": "absent", "named": "absent", "ours": False, "failed": "no environment here"},
    ]
    printed = lines(rows, {"mine.tflite": 300_000, "accurate.tflite": 200_000, "float.tflite": 1})
    assert "| mine | tflite | 55.00% | 55.00% | 20.00 | 0 of 1,200 | 3 | 0.300 | 6.0 | 256 |" in printed
    assert "mine: 0.5 KiB of the tflite file are labels and metadata." in printed
    assert "- absent: no environment here" in printed
    assert printed[-1].split(" | ")[2:7] == [
        "+5.00 (accurate)", "+5.00 (accurate)", "x1.50 (accurate)", "x1.50 (accurate)", "x2.00 (other format)",
    ]  # fmt: skip


def test_an_unknown_row_is_refused_with_the_nearest() -> None:
    assert chosen_rows("nncf,edge-fast") == ["nncf", "edge-fast"]
    with pytest.raises(UsageError, match="did you mean 'edge-fast'"):
        chosen_rows("edge-fas")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts as Linux does")
def test_a_childs_memory_is_its_own(tmp_path: Path) -> None:
    """What it holds is counted, its own children with it; what this process holds is not, and its exit code is told."""
    report = tmp_path / "usage.json"
    used = []
    for held in (0, 200):
        inner = f"b = bytearray({held} << 20)"
        code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}]); sys.exit(3)"
        command = [sys.executable, "-I", "-S", child_usage.__file__, str(report), sys.executable, "-I", "-c", code]
        assert subprocess.run(command, check=False).returncode == 3
        used.append(json.loads(report.read_text()))
    assert used[0]["peak_bytes"] < 64 << 20
    assert 200 << 20 <= used[1]["peak_bytes"] < 264 << 20
    assert used[1]["cpu_seconds"] > 0


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """Smooth coloured pictures of three classes, and a small network with random weights."""
    random = np.random.default_rng(0)
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for index in range(IMAGES):
        coarse = random.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        picture = cv2.resize(coarse, (2 * SIDE, 2 * SIDE), interpolation=cv2.INTER_LINEAR)
        assert cv2.imwrite(str(photographs / f"{index:02}.png"), picture)
    listed = tmp_path / "labels.tsv"
    listed.write_text("".join(f"{index:02}.png\t{index % 3}\n" for index in range(IMAGES)))
    graph = canonical(float_graph(Uneven().eval(), torch.zeros(1, 3, SIDE, SIDE)))
    split = image_folder(photographs, listed)
    return prepare(tmp_path / "network", graph, photographs, split, preprocess_of(SIDE), range(CALIBRATION))


@pytest.mark.unhurried
def test_our_own_row_is_exact_in_both_formats_and_made_once(given: Given) -> None:
    found = measure("edge-fast", given, 1)
    assert {kind: (file["differing"], file["values"]) for kind, file in found["files"].items()} == {
        "tflite": (0, 40),
        "onnx": (0, 40),
    }
    assert all(file["sqnr_db"] > 15 for file in found["files"].values())
    assert 0 < found["files"]["tflite"]["metadata_bytes"] < 2048 and not found["files"]["onnx"]["metadata_bytes"]
    assert found["ours"] and found["cpu_seconds"] > 0
    (given.folder / "edge-fast" / "artifact" / "model.tflite").unlink()
    assert measure("edge-fast", given, 1) == found


@pytest.mark.unhurried
def test_a_tool_that_fails_says_its_last_words(given: Given) -> None:
    (given.folder / "float.onnx").write_bytes(b"no model")
    with pytest.raises(EdgeError, match="onnx"):
        measure("onnxruntime", given, 1)
    assert not (given.folder / "onnxruntime" / ptq_peers.RESULT).exists()


def test_ai_edge_quantizers_row(given: Given, ai_edge_quantizer_python: str) -> None:
    check(given, "ai-edge-quantizer", "tflite")


def test_litert_clis_row(given: Given, litert_cli_python: str) -> None:
    check(given, "litert-cli", "tflite")


def test_nncfs_row(given: Given, nncf_python: str) -> None:
    check(given, "nncf", "onnx")


def check(given: Given, name: str, kind: str) -> None:
    """A peer's file answers much like the float network, and is held to what it promises."""
    found = measure(name, given, 1)
    file = found["files"][kind]
    assert list(found["files"]) == [kind] and not found["ours"]
    assert file["sqnr_db"] > 10 and file["values"] == 40
    assert (file["differing"] is None) == (TOOLS[name].promise is None)
