"""docs/training.md, "A network of your own": its commands run as they stand, and what they write is exact."""

import re
import shlex
from pathlib import Path

import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main

PAGE = Path(__file__).parents[3] / "docs" / "training.md"


def blocks() -> dict[str, str]:
    """The section's blocks by their language; the shell command's is ''."""
    section = PAGE.read_text("utf-8").split("## A network of your own\n")[1].split("\n## ")[0]
    return dict(re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL))


def test_the_documented_way_from_a_module_to_an_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parts = blocks()
    exec(compile(parts["python"], str(PAGE), "exec"), {})
    Path("card.toml").write_text(parts["toml"], "utf-8")
    command, *arguments = shlex.split(parts[""])
    assert command == "edge" and main(arguments) == 0
    artifact = open_artifact(Path("artifacts/own"))
    assert {file.format for file in artifact.manifest.files} == {"tflite", "onnx"}
