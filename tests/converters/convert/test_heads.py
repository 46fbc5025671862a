"""Heads of a segmenter: shapes, types, parameters, ties, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from converters.convert.heads import HEADS, append_head
from converters.passes.layout.nhwc import to_nhwc
from edge.artifact.manifest import open_artifact
from edge.artifact.model_file import Labels
from edge.cli.main import main
from edge.errors import UsageError
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor
from edge.recipe.recipe import Recipe
from edge.recipe.recipe_file import parse_recipe
from tests.support.one_operator import Parameters, activation, conv_graph

CLASSES = 3
SIZE_HW = (16, 24)
CELLS_HW = (2, 3)
LOGITS = Parameters(scale=0.25, zero_point=7)


def integer_logits(weight: np.ndarray | None = None) -> Graph:
    """An int8 network in NHWC: one convolution of stride 8 from 3 channels to the logits."""
    if weight is None:
        weight = np.random.default_rng(0).integers(-127, 128, (CLASSES, 3, 1, 1))
    source = activation("image", (1, *SIZE_HW, 3), Parameters(scale=0.5, zero_point=0))
    target = activation("logits", (1, *CELLS_HW, CLASSES), LOGITS)
    scales, bias = np.full(CLASSES, 0.01, np.float32), np.zeros(CLASSES, np.int32)
    return conv_graph(source, target, weight, scales, bias, strides=(8, 8))


def float_logits() -> Graph:
    """A float32 network in NCHW: the same convolution."""
    random = np.random.default_rng(0)
    constants = (
        Tensor(name="weight", shape=(CLASSES, 3, 1, 1), dtype="float32", data=random.random((CLASSES, 3, 1, 1), "f4")),
        Tensor(name="bias", shape=(CLASSES,), dtype="float32", data=np.zeros(CLASSES, np.float32)),
    )
    attributes = {"strides": (8, 8), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
    convolution = Operator(
        kind="Conv", name="conv", inputs=("image", "weight", "bias"), outputs=("logits",), attributes=attributes
    )
    image = Tensor(name="image", shape=(1, 3, *SIZE_HW), dtype="float32")
    logits = Tensor(name="logits", shape=(1, CLASSES, *CELLS_HW), dtype="float32")
    return Graph(
        name="float",
        layout="nchw",
        operators=(convolution,),
        tensors={tensor.name: tensor for tensor in (*constants, image, logits)},
        inputs=("image",),
        outputs=("logits",),
    )


def image(seed: int = 1) -> np.ndarray:
    """int8 (1, 16, 24, 3), NHWC."""
    return np.random.default_rng(seed).integers(-128, 128, (1, *SIZE_HW, 3)).astype(np.int8)


@pytest.mark.parametrize("graph", [integer_logits(), float_logits()], ids=["int8 nhwc", "float nchw"])
def test_the_logits_head_is_the_network_itself(graph: Graph) -> None:
    """The very same object."""
    assert append_head(graph, "logits") is graph


@pytest.mark.parametrize("graph", [integer_logits(), float_logits()], ids=["int8 nhwc", "float nchw"])
@pytest.mark.parametrize(("head", "shape"), [("class_map", (1, *CELLS_HW)), ("full", (1, *SIZE_HW))])
def test_a_class_map_is_int32_rows_by_columns(graph: Graph, head: str, shape: tuple[int, ...]) -> None:
    """(n, h, w) in both layouts, at the network's own size or the input's; integers without a scale."""
    extended = append_head(graph, head)
    (output,) = extended.outputs
    assert extended.tensors[output].shape == shape
    assert extended.tensors[output].dtype == "int32"
    assert extended.tensors[output].quantization is None
    assert graph.outputs == ("logits",)


def test_the_full_head_resizes_with_the_parameters_of_the_logits() -> None:
    """A Resize interpolates between the logits' own integers: same scale, same zero point."""
    extended = append_head(integer_logits(), "full")
    resized, logits = extended.tensors["full_logits"], extended.tensors["logits"]
    assert resized.shape == (1, *SIZE_HW, CLASSES) and resized.dtype == "int8"
    assert resized.quantization is not None and resized.quantization.same_as(logits.quantization)
    resize = extended.producer("full_logits")
    assert resize is not None
    assert resize.attributes == {"mode": "linear", "coordinates": "half_pixel", "size_hw": SIZE_HW}


@pytest.mark.parametrize("head", ["class_map", "full"])
def test_the_class_of_a_cell_is_that_of_its_largest_integer(head: str) -> None:
    """The arg-max over the integers that the head stands on, class by class."""
    graph = append_head(integer_logits(), head)
    values = IntegerSimulation(graph).run_all([image()])
    scores = values["logits" if head == "class_map" else "full_logits"]
    np.testing.assert_array_equal(values["class_map"], scores.argmax(axis=3))
    assert values["class_map"].dtype == np.int32
    assert len(np.unique(values["class_map"])) > 1


@pytest.mark.parametrize("head", ["class_map", "full"])
def test_a_tie_goes_to_the_lower_class(head: str) -> None:
    """Classes 1 and 2 share their weights: 2 is never answered, and where they win it is 1."""
    weight = np.array([[0, 0, 0], [90, -40, 15], [90, -40, 15]]).reshape(CLASSES, 3, 1, 1)
    graph = append_head(integer_logits(weight), head)
    outputs = [IntegerSimulation(graph).run([image(seed)])[0] for seed in range(4)]
    assert set(np.unique(outputs)) == {0, 1}


def test_equal_logits_everywhere_are_class_0() -> None:
    """All weights zero."""
    graph = append_head(integer_logits(np.zeros((CLASSES, 3, 1, 1))), "class_map")
    assert not IntegerSimulation(graph).run([image()])[0].any()


@pytest.mark.parametrize("head", ["class_map", "full"])
def test_the_head_of_a_float_network_decides_by_its_reals(head: str) -> None:
    """The arg-max of the float logits."""
    graph = append_head(float_logits(), head)
    pixels = np.random.default_rng(2).normal(0, 1, (1, 3, *SIZE_HW)).astype(np.float32)
    values = run_float(graph, [pixels])
    scores = np.asarray(values["logits" if head == "class_map" else "full_logits"])
    np.testing.assert_array_equal(np.asarray(values["class_map"]), scores.argmax(axis=1))


@pytest.mark.parametrize("head", ["class_map", "full"])
def test_head_before_or_after_the_change_of_layout_is_the_same(head: str) -> None:
    """The NHWC form of a head in NCHW has no Transpose and gives the same map."""
    graph = append_head(float_logits(), head)
    changed = to_nhwc(graph)
    assert "Transpose" not in {operator.kind for operator in changed.operators}
    pixels = np.random.default_rng(3).normal(0, 1, (1, 3, *SIZE_HW)).astype(np.float32)
    first = run_float(graph, [pixels])["class_map"]
    second = run_float(changed, [np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))])["class_map"]
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_an_unknown_head_is_refused_with_the_nearest_one() -> None:
    """A misspelling."""
    with pytest.raises(UsageError, match="unknown head 'classmap'; did you mean 'class_map'"):
        append_head(integer_logits(), "classmap")


def test_a_network_that_ends_in_rows_is_refused() -> None:
    """A second head on a class map, which has three axes."""
    with pytest.raises(UsageError, match="head 'full' needs a model that ends in one 4-D tensor"):
        append_head(append_head(integer_logits(), "class_map"), "full")


RECIPE = {
    "name": "tiny_street",
    "model": {"name": "fast_scnn", "classes": 8, "resolution_hw": [64, 96]},
    "data": {"train": "generated:segment:train:8"},
    "preprocess": {
        "colour_order": "rgb",
        "height": 64,
        "width": 96,
        "interpolation": "bilinear",
        "fit": "stretch",
        "crop_fraction": 1.0,
        "mean": [127.5, 127.5, 127.5],
        "std": [127.5, 127.5, 127.5],
    },
    "train": {"epochs": 1, "batch_size": 4, "learning_rate": 0.01},
    "export": {"head": "class_map"},
}


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A float checkpoint of an untrained Fast-SCNN, whose recipe asks for the head `class_map`."""
    import torch

    from edge.training.checkpoint import Checkpoint, write_checkpoint
    from edge.training.network import float_module

    torch.set_num_threads(1)
    torch.manual_seed(0)
    recipe: Recipe = parse_recipe(RECIPE, "recipe")
    path = tmp_path_factory.mktemp("street") / "float.safetensors"
    labels = Labels(names=tuple(f"class {index}" for index in range(8)))
    tensors = float_module(recipe).state_dict()
    write_checkpoint(path, Checkpoint(kind="float", recipe=recipe, tensors=tensors, labels=labels, metrics={}))
    return path


@pytest.mark.unhurried
@pytest.mark.parametrize(
    ("options", "head", "shape", "stride"),
    [
        ((), "class_map", (1, 8, 12), 8),
        (("--head", "logits"), "logits", (1, 8, 12, 8), 8),
        (("--head", "full"), "full", (1, 64, 96), 1),
    ],
)
def test_convert_writes_the_head_into_the_manifest(
    street: Path, tmp_path: Path, options: tuple[str, ...], head: str, shape: tuple[int, ...], stride: int
) -> None:
    """`--head` goes before the recipe's head; the output says what it means and how coarse it is."""
    assert main(["convert", str(street), "-o", str(tmp_path / "out"), "--no-verify", *options]) == 0
    manifest = open_artifact(tmp_path / "out").manifest
    assert manifest.head == head
    output = next(file for file in manifest.files if file.format == "tflite").outputs[0]
    assert (output.shape, output.stride) == (shape, stride)
    assert output.meaning == ("logits" if head == "logits" else "class_map")
    assert output.dtype == ("float32" if head == "logits" else "int32")


@pytest.mark.unhurried
def test_convert_refuses_an_unknown_head(street: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, the nearest name, nothing written."""
    assert main(["convert", str(street), "-o", str(tmp_path / "out"), "--head", "ful"]) == 2
    assert "did you mean 'full'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("head", HEADS)
def test_convert_refuses_a_head_for_a_classifier(
    road: Path, tmp_path: Path, head: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every head, even the one that changes nothing: exit code 2, nothing written."""
    source = road / "run" / "float.safetensors"
    assert main(["convert", str(source), "-o", str(tmp_path / "out"), "--head", head]) == 2
    assert f"--head {head}: only a segmenter or a detector has one" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_classifier_has_no_head(road: Path) -> None:
    """null in the manifest."""
    assert json.loads((road / "int8" / "manifest.json").read_text())["head"] is None
