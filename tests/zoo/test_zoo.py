"""A part of the zoo is written the same twice; its files without training are the ones that are listed beside it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.zoo.hashes import content_sha256
from tests.zoo.write import hashes_of

pytestmark = pytest.mark.unhurried  # the small zoo is built

LISTED = Path(__file__).with_name("small.sha256")
ROOT = Path(__file__).resolve().parents[2]


def listed() -> dict[str, str]:
    return {name: sha256 for sha256, name in (line.split("  ", 1) for line in LISTED.read_text().splitlines())}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return dict(hashes_of(["small"], tmp_path_factory.mktemp("small")))


def test_the_files_made_without_training_are_the_listed_ones(small: dict[str, str]) -> None:
    """After a change that is meant to alter them: `python -m tests.zoo --part small | grep tflite$` writes the list."""
    assert {name: sha256 for name, sha256 in small.items() if name.endswith(".tflite")} == listed()


def test_another_process_prints_the_same(small: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.zoo", "--part", "kept"]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ}, capture_output=True, text=True, check=True)
    expected = [f"{sha256}  {name}" for name, sha256 in small.items() if name.startswith("kept/")]
    assert done.stdout.splitlines() == expected


@pytest.mark.slow
def test_training_gives_the_same_files_twice(tmp_path: Path) -> None:
    once, again = (dict(hashes_of(["v1"], tmp_path / name)) for name in ("once", "again"))
    assert once == again and any(name.endswith("qat.safetensors") for name in once)


@pytest.mark.parametrize("key", ["provenance", "seconds", "times_ns", "age_ns"])
def test_what_a_file_says_of_its_making_does_not_count_and_everything_else_does(key: str, tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    hashes = []
    for fields in ({"a": [{key: 1, "b": 2}]}, {"a": [{"b": 2, key: 3}]}, {"a": [{"b": 4}]}):
        path.write_text(json.dumps(fields))
        hashes.append(content_sha256(path))
    assert hashes[0] == hashes[1] != hashes[2]


def test_an_archive_counts_by_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "selftest.npz"
    array = np.arange(4, dtype=np.int8)
    hashes = []
    for save, values in ((np.savez, array), (np.savez_compressed, array), (np.savez, array.astype(np.int16))):
        save(path, images=values)
        hashes.append(content_sha256(path))
    assert hashes[0] == hashes[1] != hashes[2]
