"""The wheel holds the product, neither test nor measurement, and works outside the tree on Python 3.11 and 3.13."""

import json
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.wheel import ROOT, build_wheel, install_wheel, run, tracked

pytestmark = pytest.mark.unhurried  # a wheel is built and installed

SPLIT = "generated:classify:val:16"
SMALL = ("train.epochs=1", "train.warmup_epochs=0", "qat.epochs=1", f"data.val={SPLIT}")
SMALL += ("data.train=generated:classify:train:32",)


@dataclass(frozen=True, kw_only=True)
class Installed:
    """The product in an environment of its own; every command runs in a folder with nothing of the source tree."""

    programs: Path
    folder: Path

    def edge(self, *words: str | Path) -> str:
        """Standard output of a command that has to succeed."""
        done = run(self.programs / "edge", *words, cwd=self.folder)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout


def held(wheel: Path) -> set[str]:
    """The files of the packages in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name and ".data/" not in name}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def product(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """For this Python, with what it has."""
    folder = tmp_path_factory.mktemp("installed")
    return Installed(programs=install_wheel(wheel, sys.executable, folder / "environment"), folder=folder)


@pytest.fixture(scope="module")
def artifact(product: Installed) -> Path:
    """What the installed product trains, by a recipe of its own, and converts."""
    changes = [word for change in SMALL for word in ("--set", change)]
    product.edge("train", "mobilenet_v2_generated", "-o", "run", "--threads", "1", *changes)
    product.edge("convert", "run/qat.safetensors", "-o", "int8")
    return product.folder / "int8"


@pytest.fixture(scope="module")
def product_3_13(wheel: Path, newer_python: str, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """For Python 3.13, where there is one: light, and `edge inspect`."""
    folder = tmp_path_factory.mktemp("installed")
    return Installed(programs=install_wheel(wheel, newer_python, folder / "environment"), folder=folder)


def test_every_file_of_the_packages_is_in_it(wheel: Path) -> None:
    """Recipes, pages and programs in C too: whatever is kept beside the code is there beside it."""
    assert held(wheel) == set(tracked("edge", "converters", "device_bench"))


def test_neither_a_test_nor_a_measurement_is_in_it(wheel: Path) -> None:
    parts = {part for name in held(wheel) for part in Path(name).parts}
    assert not parts & {"tests", "benchmarks", "calibration_data", "conftest.py"}
    assert not [part for part in parts if part.startswith("test_")]


def test_the_schemas_of_the_docs_are_installed_with_it(product: Installed) -> None:
    schemas = product.programs.parent / "share" / "edge-deploy"
    texts = {path.name: path.read_text("utf-8") for path in schemas.iterdir()}
    assert texts == {Path(name).name: (ROOT / name).read_text("utf-8") for name in tracked("docs/*.schema.json")}


def test_its_recipes_are_found_by_name(product: Installed) -> None:
    names = [json.loads(line)["name"] for line in product.edge("recipes", "--json").splitlines()]
    assert names == sorted(Path(name).stem for name in tracked("edge/recipes"))
    assert 'name = "mobilenet_v2_generated"' in product.edge("recipes", "mobilenet_v2_generated")


def test_what_it_trains_and_converts_is_measured_outside_the_tree(product: Installed, artifact: Path) -> None:
    assert "top1" in product.edge("eval", artifact, "--split", SPLIT)
    assert "multiply-adds" in product.edge("inspect", artifact)


def test_a_device_runs_the_artifact_with_the_light_part_alone(
    wheel: Path, light_python: str, artifact: Path, tmp_path: Path
) -> None:
    device = Installed(programs=install_wheel(wheel, light_python, tmp_path / "environment"), folder=tmp_path)
    device.edge("camera", artifact, "--source", "generated:classify:val:2", "--out", "drawn")
    assert len(list(tmp_path.glob("drawn/*.png"))) == 2
    done = run(device.programs / "edge", "inspect", artifact / "model.tflite", cwd=tmp_path)
    assert done.returncode == 1 and "pip install" in done.stderr


def test_python_3_13_runs_the_artifact_as_a_device_does(product_3_13: Installed, artifact: Path) -> None:
    assert "top1" in product_3_13.edge("eval", artifact, "--split", SPLIT)
    assert "multiply-adds" in product_3_13.edge("inspect", artifact)
    product_3_13.edge("camera", artifact, "--source", "generated:classify:val:2", "--out", "drawn")
    assert len(list(product_3_13.folder.glob("drawn/*.png"))) == 2


def test_python_3_13_has_no_tflite_runtime_and_says_so(product_3_13: Installed, artifact: Path) -> None:
    words = ("camera", artifact, "--source", SPLIT, "--engine", "tflite-runtime")
    done = run(product_3_13.programs / "edge", *words, cwd=product_3_13.folder)
    assert done.returncode == 1 and "its successor is ai_edge_litert: pip install ai-edge-litert==" in done.stderr
