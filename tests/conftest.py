"""Fixtures that every test may use."""

import hashlib
import io
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.examples import use_profile
from tests.support.lacking import lacking
from tests.support.light import is_light
from tests.support.preprocess_text import preprocess_text

# ONNX Runtime tells its publisher of every use; tests that import it themselves must not.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# A shell starts what it runs in the background with Ctrl-C ignored, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

use_profile()
pytest_plugins = ("tests.support.environments", "tests.support.tiers")

TESTS = Path(__file__).resolve().parent
ROOT = TESTS.parent
MakeArtifact = Callable[..., Path]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m light` folders and files of other tests are left closed."""
    if config.getoption("markexpr") != "light" or not collection_path.is_relative_to(TESTS):
        return None
    if collection_path.is_file() and collection_path.suffix != ".py":
        return None
    return None if is_light(collection_path) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that draw their examples."""
    for item in items:
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("explored")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Every test starts with the same global random numbers, whichever ran before it in this process."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (what a library under test may still draw from)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(0)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photographs, CamVid and official model files: EDGE_TEST_DATA, else ../shared/data."""
    folder = Path(os.environ.get("EDGE_TEST_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (folder / "imagenet_samples").is_dir():
        lacking(f"no test data in {folder}: set EDGE_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def cuda() -> str:
    """The name of the first CUDA device; tests that take it are skipped where there is none."""
    from edge.engines.nvidia_smi import read_gpus

    gpus = read_gpus()
    if not gpus:
        pytest.skip("no CUDA device here: nvidia-smi lists none")
    return gpus[0].name


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program chromium, in which pages are opened; CI must have it."""
    found = shutil.which("chromium")
    if found is None:
        lacking("no chromium to open pages in: apt-get install chromium")
    return found


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """A function that writes an artifact by hand, from any bytes as its model file.

    Called as make_artifact(name, model=bytes, size_hw=(h, w), outputs=[array (n, ...), ...], **changes): a classifier
    with n self-test images whose expected outputs are given; `changes` replace fields of the manifest, `input` and
    `output` those of the file's only input and of every output.
    """

    def make(
        name: str = "tiny",
        *,
        model: bytes = b"0000TFL3",
        size_hw: tuple[int, int] = (8, 8),
        outputs: tuple[np.ndarray, ...] = (np.zeros((2, 3), np.int8),),
        input: Mapping[str, Any] | None = None,
        output: Mapping[str, Any] | None = None,
        file: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        from edge.artifact.manifest import Manifest, manifest_json

        folder = tmp_path / name
        folder.mkdir()
        entry = {"path": "model.tflite", "format": "tflite", "role": "run", "format_version": 3, **(file or {})}
        images = np.random.default_rng(0).integers(0, 256, (len(outputs[0]), *size_hw, 3), dtype=np.uint8)
        archive = io.BytesIO()
        expected: dict[str, Any] = {f"output_{entry['path']}_{k}": array for k, array in enumerate(outputs)}
        np.savez(archive, images=images, **expected)
        (folder / entry["path"]).write_bytes(model)
        (folder / "selftest.npz").write_bytes(archive.getvalue())
        entry |= {
            "sha256": hashlib.sha256(model).hexdigest(),
            "size_bytes": len(model),
            "inputs": [
                {
                    "name": "image",
                    "shape": (1, *size_hw, 3),
                    "dtype": "int8",
                    "layout": "nhwc",
                    "meaning": "image",
                    "scale": 1 / 255,
                    "zero_point": -128,
                    **(input or {}),
                }
            ],
            "outputs": [
                {
                    "name": f"output{k}",
                    "shape": (1, *array.shape[1:]),
                    "dtype": array.dtype.name,
                    "layout": "nc",
                    "meaning": "probabilities",
                    "scores": "exclusive",
                    "scale": 1 / 256,
                    "zero_point": -128,
                    **(output or {}),
                }
                for k, array in enumerate(outputs)
            ],
        }
        fields = {
            "schema_version": 2,
            "name": name,
            "task": "classify",
            "precision": "int8",
            "files": [entry],
            "preprocess": {
                "colour_order": "rgb",
                "height": size_hw[0],
                "width": size_hw[1],
                "interpolation": "bilinear",
                "fit": "stretch",
                "crop_fraction": 1.0,
                "mean": (0.0, 0.0, 0.0),
                "std": (255.0, 255.0, 255.0),
            },
            "labels": {"names": [f"class {index}" for index in range(outputs[0].shape[-1])]},
            "quantization": {"method": "foreign"},
            "cost": {"multiply_adds": 1000, "parameters": 10, "weights_bytes": 10, "peak_activation_bytes": 192},
            "provenance": {
                "recipe": None,
                "checkpoint_sha256": None,
                "source_path": "by hand",
                "commit": None,
                "dirty": None,
                "versions": {},
                "command": "by hand",
                "time_utc": "2026-01-01T00:00:00+00:00",
            },
            "selftest": {
                "sha256": hashlib.sha256(archive.getvalue()).hexdigest(),
                "samples": len(images),
                "allowed": {},
            },
        } | changes
        (folder / "manifest.json").write_text(manifest_json(Manifest.model_validate(fields)))
        return folder

    return make


TINY_RECIPE = (
    """
name = "tiny"

[model]
name = "mobilenet_v2"
classes = 8
width = 0.25
resolution = 32

[data]
train = "generated:classify:train:64"
val = "generated:classify:val:32"

"""
    + preprocess_text()
    + """
[train]
epochs = 1
batch_size = 16
learning_rate = 0.05

[qat]
epochs = 1
batch_size = 16
learning_rate = 0.005

"""
)


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny classifier that went the whole road by the command line.

    Holds tiny.toml, run/float.safetensors, run/qat.safetensors, and the artifacts `float` and `int8`.
    """
    from edge.cli.main import main

    folder = tmp_path_factory.mktemp("road")
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    assert main(["train", str(folder / "tiny.toml"), "-o", str(folder / "run"), "--threads", "1"]) == 0
    for kind, name in (("float", "float"), ("qat", "int8")):
        checkpoint = folder / "run" / f"{kind}.safetensors"
        assert main(["convert", str(checkpoint), "-o", str(folder / name), "--no-verify"]) == 0
    return folder


@pytest.fixture(scope="session")
def tiny_card() -> str:
    """A card for the tiny classifier's ONNX files."""
    return (
        """
task = "classify"

"""
        + preprocess_text()
        + """
[labels]
names = ["a", "b", "c", "d", "e", "f", "g", "h"]
"""
    )
