"""An artifact is opened only if its manifest holds and every hash matches."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from edge.artifact.manifest import Manifest, open_artifact
from edge.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[3]


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    """A manifest for these files, as plain data."""
    image = {"name": "x", "shape": [1, 4, 4, 3], "dtype": "float32", "layout": "nhwc", "meaning": "image"}
    scores = {"name": "y", "shape": [1, 4], "dtype": "float32", "layout": "nc", "meaning": "logits"}
    entries = [
        {
            "path": name,
            "format": "tflite",
            "role": "run",
            "sha256": hashlib.sha256(data).hexdigest(),
            "size_bytes": len(data),
            "format_version": 3,
            "inputs": [image],
            "outputs": [{**scores, "scores": "exclusive"}],
        }
        for name, data in files.items()
        if name.endswith(".tflite")
    ]
    return {
        "schema_version": 2,
        "name": "net",
        "task": "classify",
        "precision": "float32",
        "files": entries,
        "preprocess": {
            "colour_order": "rgb",
            "height": 4,
            "width": 4,
            "interpolation": "bilinear",
            "fit": "stretch",
            "crop_fraction": 1.0,
            "mean": [0.0, 0.0, 0.0],
            "std": [255.0, 255.0, 255.0],
        },
        "labels": {"names": ["a", "b", "c", "d"]},
        "quantization": {"method": "none"},
        "cost": {"multiply_adds": 1, "parameters": 1, "weights_bytes": 4, "peak_activation_bytes": 4},
        "provenance": {
            "recipe": None,
            "checkpoint_sha256": None,
            "source_path": "net.onnx",
            "commit": None,
            "dirty": None,
            "versions": {},
            "command": "edge convert",
            "time_utc": "2026-01-01T00:00:00+00:00",
        },
        "selftest": {
            "sha256": hashlib.sha256(files["selftest.npz"]).hexdigest(),
            "samples": 1,
            "allowed": {"model.tflite": {"*": 0.0}},
        },
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An artifact folder whose files are not models: opening checks hashes, not content."""
    files = {"model.tflite": b"model", "selftest.npz": b"selftest"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest_of(files)))
    return tmp_path


def test_a_whole_artifact_opens(folder: Path) -> None:
    """And its manifest survives the round trip."""
    artifact = open_artifact(folder)
    again = Manifest.model_validate_json(artifact.manifest.model_dump_json())
    assert again == artifact.manifest
    assert artifact.file("model.tflite") == folder / "model.tflite"


@pytest.mark.parametrize("name", ["model.tflite", "selftest.npz"])
def test_one_changed_byte_is_refused(folder: Path, name: str) -> None:
    """The message names the file."""
    (folder / name).write_bytes(b"Model")
    with pytest.raises(ArtifactError, match=rf"{name}: changed"):
        open_artifact(folder)


def test_a_byte_order_mark_before_the_manifest_is_nothing(folder: Path) -> None:
    """Some editors leave one."""
    manifest = folder / "manifest.json"
    without = open_artifact(folder).manifest
    manifest.write_bytes(b"\xef\xbb\xbf" + manifest.read_bytes())
    assert open_artifact(folder).manifest == without


def test_a_missing_file_is_refused(folder: Path) -> None:
    """The message names the file."""
    (folder / "model.tflite").unlink()
    with pytest.raises(ArtifactError, match=r"model\.tflite: missing"):
        open_artifact(folder)


@pytest.mark.parametrize("cut", [0, 1, 100, 500])
def test_a_truncated_manifest_is_one_line(folder: Path, cut: int) -> None:
    """However short."""
    data = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(data[:cut])
    with pytest.raises(ArtifactError) as caught:
        open_artifact(folder)
    assert "manifest.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("field", ["mean", "fit", "height"])
def test_a_forgotten_preprocessing_field_is_an_error(folder: Path, field: str) -> None:
    """Preprocessing has no defaults."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["preprocess"][field]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=rf"preprocess\.{field}"):
        open_artifact(folder)


def test_a_file_name_that_leaves_the_folder_is_refused(folder: Path) -> None:
    """Paths of the manifest are names, not ways out."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["path"] = "../model.tflite"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ArtifactError, match=r"files\.0\.path"):
        open_artifact(folder)


def test_the_published_schema_is_the_one_that_is_checked() -> None:
    """docs/manifest.schema.json is Manifest's own schema (make schema writes it)."""
    published = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
    assert published == Manifest.model_json_schema()
