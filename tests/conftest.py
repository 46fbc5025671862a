"""Fixtures that every test may use."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real photographs, CamVid and official model files: EDGE_TEST_DATA, else ../shared/data."""
    folder = Path(os.environ.get("EDGE_TEST_DATA") or ROOT.parent / "shared" / "data").resolve()
    if not (folder / "imagenet_samples").is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"EDGE_TEST_DATA: {folder} holds no test data, and CI must have it")
        pytest.skip(f"no test data in {folder}; set EDGE_TEST_DATA")
    return folder
