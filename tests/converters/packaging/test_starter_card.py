"""A card begun from a file: what the file says is right, what it does not say is refused until a person says it."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.packaging.metadata import with_metadata
from converters.packaging.starter_card import starter_card
from converters.tflite.writer import tflite_bytes
from edge.artifact.card import Card, read_card
from edge.artifact.model_file import Labels, TensorInfo
from edge.cli.main import main
from edge.errors import RecipeError
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.vision.preprocess import Preprocess
from tests.support.onnx_models import model, node, values, written

SAID = {"interpolation": '"bilinear"', "fit": '"stretch"', "colour_order": '"rgb"'}


def tflite_file(path: Path, scale: float, zero_point: int, dtype: str = "int8") -> Path:
    """A Softmax over three of 2x2 pixels' channels: (1, 2, 2, 3) in, (1, 3) out."""
    x = Tensor(name="x", shape=(1, 2, 2, 3), dtype=dtype, quantization=per_tensor(scale, zero_point))
    m = Tensor(name="m", shape=(1, 3), dtype=dtype, quantization=per_tensor(scale, zero_point))
    lowest = np.iinfo(dtype).min
    y = Tensor(name="y", shape=(1, 3), dtype=dtype, quantization=per_tensor(1 / 256, int(lowest)))
    mean = Operator(
        kind="Mean", name="m", inputs=("x",), outputs=("m",), attributes={"axes": (1, 2), "keepdims": False}
    )
    softmax = Operator(kind="Softmax", name="y", inputs=("m",), outputs=("y",), attributes={"axis": 1})
    graph = Graph(
        name="main",
        layout="nhwc",
        operators=(mean, softmax),
        tensors={tensor.name: tensor for tensor in (x, m, y)},
        inputs=("x",),
        outputs=("y",),
    )
    path.write_bytes(tflite_bytes(graph))
    return path


def filled(source: Path, **said: str) -> Card:
    """The card of a file once a person said what stands open."""
    card = source.with_name("card.toml")
    lines = starter_card(source)
    for key, value in {**SAID, **said}.items():
        lines = [re.sub(rf'^{key} = "FILL IN"', f"{key} = {value}", line) for line in lines]
    card.write_text("\n".join(lines))
    return read_card(card)


@pytest.mark.parametrize(
    ("dtype", "scale", "zero_point", "mean", "std"),
    [
        ("int8", 1 / 255, -128, 0.0, 255.0),
        ("int8", 1 / 127.5, -1, 127.0, 127.5),
        ("uint8", 1 / 128, 128, 128.0, 128.0),
        ("uint8", 0.02, 100, 100.0, 50.0),
    ],
)
def test_integers_that_are_pixels_give_mean_and_std(
    tmp_path: Path, dtype: str, scale: float, zero_point: int, mean: float, std: float
) -> None:
    """By the card every pixel value becomes itself, less 128 where integers are signed."""
    source = tflite_file(tmp_path / "m.tflite", scale, zero_point, dtype)
    card = filled(source, file='"labels.txt"') if (tmp_path / "labels.txt").write_text("a\nb\nc") else None
    assert card is not None and card.task == "classify" and card.labels.names == ("a", "b", "c")
    assert (card.preprocess.height, card.preprocess.width) == (2, 2)
    assert (card.preprocess.mean, card.preprocess.std) == ((mean,) * 3, (std,) * 3)
    pixels = np.arange(256)
    levels = np.rint((pixels - mean) / std / scale + zero_point)
    assert np.array_equal(levels, pixels - (128 if dtype == "int8" else 0))


def test_what_the_metadata_says_is_taken(tmp_path: Path) -> None:
    """Names and the order of colours; mean and std of three channels, which an unusual range leaves to a person."""
    source = tflite_file(tmp_path / "m.tflite", 0.0187, -14)
    assert any(line.startswith('mean = "FILL IN"') and "-2.132 to 2.637" in line for line in starter_card(source))
    mean, std = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    preprocess = Preprocess(
        colour_order="rgb", height=2, width=2, interpolation="bilinear", fit="stretch", crop_fraction=1.0,
        mean=mean, std=std,
    )  # fmt: skip
    ports = [
        TensorInfo(name="x", shape=(1, 2, 2, 3), dtype="int8", layout="nhwc", meaning="image"),
        TensorInfo(name="y", shape=(1, 3), dtype="int8", layout="nc", meaning="probabilities", scores="exclusive"),
    ]
    labels = Labels(names=('a "b"', "tom\\jerry", "große Trappe"))
    source.write_bytes(
        with_metadata(
            source.read_bytes(),
            task="classify",
            preprocess=preprocess,
            labels=labels,
            given=ports[0],
            outputs=ports[1:],
        )
    )
    card = filled(source, colour_order='"bgr"')
    assert card.labels.names == labels.names and card.preprocess.colour_order == "rgb"
    assert card.preprocess.mean == mean and card.preprocess.std == std


def test_what_stands_open_is_refused_with_every_such_key(tmp_path: Path) -> None:
    source = tflite_file(tmp_path / "m.tflite", 1 / 255, -128)
    card = tmp_path / "card.toml"
    card.write_text("\n".join(starter_card(source)))
    with pytest.raises(RecipeError) as caught:
        read_card(card)
    keys = "[preprocess] colour_order, [preprocess] interpolation, [preprocess] fit, [labels] file"
    assert str(caught.value) == f'{card}: fill in what stands as "FILL IN": {keys}'


@pytest.fixture
def exported(tmp_path: Path) -> Callable[..., Path]:
    """Makes an ONNX file of a convolution and whatever stands behind it."""

    def make(*nodes: str, shape: tuple[Any, ...] = (1, 3, 8, 8), **outputs: tuple[Any, ...]) -> Path:
        ends = [node(*text.split("|")) for text in nodes]
        conv = node("Conv", "x w", "c", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        constants = {"w": values(4, shape[1], 3, 3)}
        return written(model([conv, *ends], outputs, constants, shape=shape), tmp_path / "m.onnx")

    return make


def test_an_exported_segmenter(exported: Callable[..., Path]) -> None:
    lines = starter_card(exported(c=(1, 4, 8, 8)))
    assert lines[2].startswith('task = "segment"') and "ends in Conv 'Conv:c'" in lines[2]


def test_of_several_outputs_a_person_names_one(exported: Callable[..., Path]) -> None:
    lines = starter_card(exported("Relu|c|r", r=(1, 4, 8, 8), c=(1, 4, 8, 8)))
    assert lines[2].startswith('task = "FILL IN"') and lines[3].startswith('output = "FILL IN"')
    assert "0 'r' float32 (1, 4, 8, 8), 1 'c' float32" in lines[3]


@pytest.mark.parametrize(
    ("shape", "told"),
    [((1, 4, 8, 8), "input 'x' is (1, 4, 8, 8), no colour image"), ((2, 3, 8, 8), "input 'x' is (2, 3, 8, 8), no col")],
)
def test_what_no_card_fits_is_one_line(
    exported: Callable[..., Path], capsys: pytest.CaptureFixture[str], shape: tuple[int, ...], told: str
) -> None:
    source = exported(shape=shape, c=(shape[0], 4, 8, 8))
    assert main(["inspect", str(source), "--starter-card"]) == 2
    error = capsys.readouterr().err
    assert told in error and len(error.splitlines()) == 1


def test_sizes_left_open_are_said(exported: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    source = exported(shape=("n", 3, "h", "w"), c=("n", 4, "h", "w"))
    assert main(["inspect", str(source), "--starter-card"]) == 1
    assert "say it with --input-shape" in capsys.readouterr().err
    assert main(["inspect", str(source), "--starter-card", "--input-shape", "x=1x3x16x24"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "height = 16" in out and "width = 24" in out


def test_the_command_prints_the_card_alone(
    exported: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = exported(c=(1, 4, 8, 8))
    assert main(["inspect", str(source), "--starter-card"]) == 0
    assert capsys.readouterr().out.splitlines() == starter_card(source)
    assert main(["inspect", str(source), "--starter-card", "--json"]) == 2
    assert main(["inspect", str(tmp_path), "--starter-card"]) == 2
    assert "is for a model file" in capsys.readouterr().err
