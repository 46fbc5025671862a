"""An artifact whose manifest says other scales than its files: every verb refuses it in one line, whatever runs it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from edge.cli.main import main
from tests.support.heads import card, classifier

PICTURES = Path(__file__).resolve().parents[3] / "calibration_data" / "classify"
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small INT8 classifier of three classes."""
    folder = tmp_path_factory.mktemp("sound")
    onnx.save(classifier("logits", 3), folder / "net.onnx")
    told = ["--card", str(card(folder / "card.toml", "classify", ("a", "b", "c"))), "-o", str(folder / "int8")]
    assert main(["quantize", str(folder / "net.onnx"), *told, "--calibration", "generated:classify:val:4"]) == 0
    return folder / "int8"


def every(part: str, **changes: Any) -> Edit:
    def edit(tree: dict[str, Any]) -> None:
        for file in tree["files"]:
            file[part][0].update({key: change(file[part][0][key]) for key, change in changes.items()})

    return edit


EDITS: dict[str, Edit] = {
    "output scale times 10": every("outputs", scale=lambda scale: 10 * scale),
    "output scale times -1": every("outputs", scale=lambda scale: -scale),
    "output scale 0": every("outputs", scale=lambda scale: 0.0),
    "output scale NaN": every("outputs", scale=lambda scale: float("nan")),
    "output zero point": every("outputs", zero_point=lambda zero_point: zero_point - 1),
    "input scale": every("inputs", scale=lambda scale: 2 * scale),
    "names in another number": lambda tree: tree["labels"].update(names=["a", "b"]),
}


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
@pytest.mark.parametrize("verb", ["camera", "bench", "verify", "eval"])
@pytest.mark.parametrize("what", EDITS)
def test_every_verb_refuses_it_in_one_line(
    sound: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, verb: str, engine: str
) -> None:
    folder = tmp_path / "spoilt"
    shutil.copytree(sound, folder)
    tree = json.loads((folder / "manifest.json").read_text())
    EDITS[what](tree)
    (folder / "manifest.json").write_text(json.dumps(tree))
    words = {
        "camera": ["--source", str(PICTURES / "images"), "--frames", "1"],
        "bench": ["--min-seconds", "0", "--warmup-seconds", "0", "--min-runs", "1", "--rounds", "1"],
        "verify": [],
        "eval": ["--images", str(PICTURES / "images"), "--labels", str(PICTURES / "labels.tsv"), "-n", "2"],
    }
    assert main([verb, str(folder), *words[verb], "--engine", engine]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.err.startswith(f"edge {verb}: ") and captured.err.count("\n") == 1
    assert "ship" not in captured.out


def test_the_sound_one_runs_in_every_verb(sound: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for engine in ("litert", "onnxruntime"):
        assert (
            main(["camera", str(sound), "--source", str(PICTURES / "images"), "--frames", "1", "--engine", engine]) == 0
        )
    assert main(["verify", str(sound)]) == 0
    assert main(["inspect", str(sound)]) == 0
    capsys.readouterr()
