"""The shortened form of the distillation benchmark, on real weights and photographs."""

from pathlib import Path

import numpy as np
import pytest
import torch

from edge.data.open_split import open_split
from edge.evaluation.classification import agreement
from edge.recipe.recipe_file import read_recipe, split_arguments
from edge.training.float_phase import FLOAT_NAME
from edge.vision.pixels import resize
from tests.benchmarks.distillation_halves import halves, run_file, run_float, simulate, trained

RECIPE = Path(__file__).parents[2] / "edge" / "recipes" / "mobilenet_v1_025_distillation.toml"


@pytest.mark.data
@pytest.mark.slow
def test_the_int8_model_answers_as_its_float_network_on_unseen_photographs(test_data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    overrides = ("qat.epochs=1", "qat.eval_epochs=1", "qat.rounding_images=75", "qat.observe_batches=3")
    recipe = read_recipe(RECIPE, overrides=overrides, data_root=str(test_data))
    split = open_split(**split_arguments(recipe.data.train, recipe.data.root))
    learn, test = halves(split)
    graph = trained(recipe, split.subset(learn[:75]), 1, tmp_path / "run")
    pixels = np.stack([resize(split.image(index), recipe.preprocess) for index in test[:100]])
    int8 = run_file(graph, recipe, pixels)
    np.testing.assert_array_equal(simulate(graph, recipe, pixels), int8)
    # Nearest rounding agrees on about 70 %.
    assert agreement(run_float(tmp_path / "run" / FLOAT_NAME, recipe, pixels), int8) >= 0.82
