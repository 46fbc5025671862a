"""Calibration without data: images made from batch-norm statistics stand for those that the network was trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from converters.convert.data_free import data_free_calibration
from converters.convert.options import ConvertOptions
from edge.artifact.manifest import open_artifact
from edge.artifact.model_file import Labels
from edge.cli.main import main
from edge.quantization.ptq.calibrate import prepared
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.made_images import made_images
from edge.quantization.ptq.state import Images
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import with_biases
from edge.recipe.recipe_file import parse_recipe
from edge.training.batch_norm import Norm, norms
from edge.training.checkpoint import Checkpoint, write_checkpoint
from edge.training.network import float_module
from tests.edge.training.conftest import classifier_tree
from tests.support.networks import with_statistics
from tests.support.ptq_network import SmoothImages

LABELS = Labels(names=tuple("abcdefgh"), palette=None, ignore_index=None)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def learned() -> nn.Module:
    """A network whose batch norms saw smooth images, and whose channels differ."""
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 5),
    )  # fmt: skip
    for norm in norms(model):
        nn.init.uniform_(norm.weight, 0.2, 3.0)
        nn.init.normal_(norm.bias)
        norm.momentum = None  # of all batches alike
    with torch.no_grad():
        for seed in range(4):
            model.train()(torch.from_numpy(SmoothImages(40, seed=20 + seed).pixels))
    return model.eval()


class Given:
    """Images that are there."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, indices: list[int]) -> np.ndarray:
        return self.pixels[list(indices)]


def made(model: nn.Module, count: int = 20, seed: int = 0) -> np.ndarray:
    return made_images(
        model, list(norms(model)), count=count, lows=-torch.ones(3), highs=torch.ones(3), size_hw=(24, 24), seed=seed,
        advance=lambda done, of: None,
    )  # fmt: skip


def distance(model: nn.Module, pixels: np.ndarray) -> float:
    """The mean distance of every batch norm's input from its statistics, in deviations."""
    found: list[float] = []

    def look(norm: nn.Module, given: tuple[torch.Tensor]) -> None:
        assert isinstance(norm, Norm) and norm.running_mean is not None and norm.running_var is not None
        mean = given[0].mean((0, 2, 3))
        found.append(float(((mean - norm.running_mean) / norm.running_var.sqrt()).abs().mean()))

    hooks = [norm.register_forward_pre_hook(look) for norm in norms(model)]
    with torch.no_grad():
        model(torch.from_numpy(pixels))
    for hook in hooks:
        hook.remove()
    return float(np.mean(found))


def test_made_images_have_the_statistics_and_are_the_same_again() -> None:
    model = learned()
    pixels = made(model)
    noise = np.random.default_rng(0).uniform(-1, 1, pixels.shape).astype(np.float32)
    assert pixels.shape == (20, 3, 24, 24) and np.abs(pixels).max() <= 1
    assert distance(model, pixels) < 0.3 * distance(model, noise)
    assert np.array_equal(pixels, made(model)) and not np.array_equal(pixels, made(model, seed=1))


def test_what_they_calibrate_is_near_what_images_calibrate() -> None:
    model = learned()
    graph = with_biases(prepared(float_graph(model, torch.zeros(1, 3, 24, 24))))
    judge = Judge(graph, SmoothImages(40, seed=9), decides=True)
    noise = np.random.default_rng(0).uniform(-1, 1, (20, 3, 24, 24)).astype(np.float32)

    def sqnr_db(images: Images) -> float:
        state = improve(
            graph, images, steps=(), multiply_adds=0, epochs=0, decides=True, estimator="minmax",
            input_range=(-1.0, 1.0),
        ).state  # fmt: skip
        return judge.total(state).sqnr_db

    found = sqnr_db(Given(made(model)))  # type: ignore[arg-type]
    assert found > sqnr_db(SmoothImages(20)) - 1
    assert found > sqnr_db(Given(noise)) + 1  # type: ignore[arg-type]


def test_batch_norms_that_do_not_run_are_left_out() -> None:
    model = learned()
    model.register_module("head", nn.BatchNorm2d(4))
    model.forward = lambda x: nn.Sequential(*list(model)[:-1])(x)  # type: ignore[method-assign]
    assert np.array_equal(made(model), made(learned()))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    recipe = parse_recipe(classifier_tree(), "tests")
    tensors = with_statistics(recipe).state_dict()
    write_checkpoint(
        tmp_path / "float.safetensors",
        Checkpoint(kind="float", recipe=recipe, tensors=tensors, labels=LABELS, metrics={}),
    )
    return tmp_path / "float.safetensors"


@pytest.mark.unhurried
def test_a_checkpoint_is_quantized_without_images(checkpoint: Path) -> None:
    words = ["quantize", str(checkpoint), "--data-free", "-n", "10", "--effort", "plain", "--no-verify"]
    files = []
    for name in ("a", "b"):
        assert main([*words, "-o", str(checkpoint.parent / name)]) == 0
        files.append((checkpoint.parent / name / "model.tflite").read_bytes())
    assert files[0] == files[1]
    facts = open_artifact(checkpoint.parent / "a").manifest.quantization
    assert facts.calibration_images == 10
    assert "calibrated without data, on images made from batch-norm statistics" in facts.notes


def test_made_images_are_read_as_they_are(checkpoint: Path) -> None:
    given = data_free_calibration(
        checkpoint, ConvertOptions(), images=3, ranges="mse", seed=0, advance=lambda done, of: None
    )
    preprocess = parse_recipe(classifier_tree(), "tests").preprocess
    image = given.split.image(1)
    assert len(given.split) == 3 and image.dtype == np.uint8 and image.shape == (preprocess.height, preprocess.width, 3)
    cut = preprocess.model_copy(update={"fit": "crop", "crop_fraction": 0.5})
    assert (given.read_by(cut).fit, given.read_by(cut).crop_fraction) == ("stretch", 1.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--calibration", "generated:classify:train"), "give it without --calibration and --images"),
        (("--accuracy-floor", "0.5"), "needs --validation SPLIT"),
        ((), "has no batch-norm statistics of data"),
    ],
)
def test_what_cannot_be_made_is_refused_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], message: str
) -> None:
    recipe = parse_recipe(classifier_tree(), "tests")
    fresh = Checkpoint(
        kind="float", recipe=recipe, tensors=float_module(recipe).state_dict(), labels=LABELS, metrics={}
    )
    write_checkpoint(tmp_path / "float.safetensors", fresh)
    folder = tmp_path / "int8"
    assert main(["quantize", str(tmp_path / "float.safetensors"), "--data-free", "-o", str(folder), *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and not folder.exists()


def test_an_onnx_file_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["quantize", str(tmp_path / "m.onnx"), "--data-free", "-o", str(tmp_path / "int8")]) == 2
    error = capsys.readouterr().err
    assert "--data-free takes a checkpoint" in error and error.count("\n") == 1
