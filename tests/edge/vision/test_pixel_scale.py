"""Values that can be meant of pixels 0..255 but seldom are: they are noted with what they would be, and hold."""

from pathlib import Path

import pytest

from edge.recipe.recipe_file import read_recipe
from edge.recipe.shipped_recipes import find_recipe
from edge.vision.pixel_scale import pixel_scale_doubt, pixel_scale_problem


def test_pixels_as_they_are_are_doubted_and_not_refused() -> None:
    zero, one = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    assert pixel_scale_problem(zero, one) is None
    doubt = pixel_scale_doubt(zero, one)
    assert doubt is not None and doubt.endswith("mean = [0, 0, 0], std = [255, 255, 255]")
    assert pixel_scale_doubt((0.5, 0.5, 0.5), one) is not None
    assert pixel_scale_doubt((103.9, 116.8, 123.7), one) is None  # Caffe's
    assert pixel_scale_doubt((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)) is None


def test_a_recipe_that_says_so_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes = ["preprocess.mean=[0, 0, 0]", "preprocess.std=[1, 1, 1]"]
    read_recipe(find_recipe("mobilenet_v2_generated"), overrides=changes)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("note: ") and "[preprocess] mean = [0, 0, 0], std = [1, 1, 1]: the model gets pixels" in line
