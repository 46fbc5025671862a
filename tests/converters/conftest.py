"""Artifacts of a checkpoint, float and INT8, for modules that say which: they define the fixture `checkpoint`."""

from pathlib import Path

import pytest

from converters.convert.calibration import Calibration
from converters.convert.convert import convert_source
from converters.convert.quantize import quantize_source
from edge.artifact.manifest import Artifact
from edge.data.open_split import open_split
from edge.training.checkpoint import read_checkpoint


@pytest.fixture(scope="module")
def real(checkpoint: Path) -> Artifact:
    """Float, beside the checkpoint."""
    return convert_source(checkpoint, checkpoint.with_name("real"))


@pytest.fixture(scope="module")
def int8(checkpoint: Path) -> Artifact:
    """Calibrated on 8 images of what the checkpoint's recipe trains on, beside the checkpoint."""
    split = open_split(split=f"{read_checkpoint(checkpoint).recipe.data.train.split}:8")
    return quantize_source(checkpoint, checkpoint.with_name("int8"), Calibration(split=split, images=8))
