"""Padding that is not that of the weights' training is named by layer, and the right one is not (docs/position.md)."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.onnx.file import onnx_bytes
from edge.artifact.manifest import open_artifact
from edge.artifact.verdict import Finding
from edge.cli.main import main
from edge.data.open_split import open_split
from edge.explain.answers import standard_errors
from edge.explain.network import network_of_checkpoint
from edge.graph.analyses.borders import borders
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.graph.passes.repad import with_pads
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from edge.training.checkpoint import read_checkpoint
from edge.verification.checks.images import choose_images
from edge.verification.checks.padding import (
    not_zero,
    other_conventions,
    padding_findings,
    unlike_parent,
)
from edge.verification.checks.parent import Parent
from edge.verification.checks.subject import open_subject
from tests.support.preprocess_text import preprocess_text

STRIDED = ["stem.conv", *(f"blocks.{index}.depthwise.conv" for index in (1, 3, 5, 11))]


def written_card(folder: Path, task: str, text: str, names: Sequence[str]) -> Path:
    (folder / "names.txt").write_text("\n".join(names) + "\n")
    (folder / "card.toml").write_text(f'task = "{task}"\n{text}[labels]\nfile = "names.txt"\n')
    return folder / "card.toml"


def network(weights: Path | None = None, resolution: int = 64) -> Graph:
    torch.manual_seed(0)
    model = build("mobilenet_v1", classes=1000, width=0.25, resolution=resolution)
    if weights is not None:
        load_pretrained(model, weights)
    return float_graph(model.eval(), torch.zeros(model.input_shape))


def symmetric(graph: Graph) -> Graph:
    return with_pads(graph, {one.border.operator.name: one.pads for one in other_conventions(graph)})


def parent(graph: Graph) -> Parent:
    return Parent(name="parent", infos=(), predict=lambda pixels: (), graph=lambda: graph)


def test_windows_are_held_to_the_float_parents() -> None:
    right = network()
    wrong = symmetric(right)
    assert (
        unlike_parent(right, parent(right)) == unlike_parent(wrong, parent(wrong)) == unlike_parent(wrong, None) == []
    )
    found = unlike_parent(wrong, parent(right))
    assert [one.border.operator.name for one in found] == STRIDED
    assert found[0].words == (
        "Conv 'stem.conv' pads 1 above, 1 left, 1 below, 1 right (symmetric, as PyTorch's padding=1), "
        "not 0 above, 0 left, 1 below, 1 right"
    )


def test_integer_0_around_a_map_whose_zero_is_another_integer_is_named() -> None:
    """3.0 beside a ReLU6 map, where the zero point is -128."""
    step, weights = per_tensor(np.float32(6 / 255), -128), per_tensor(np.float32(0.1), 0)
    tensors = {
        "x": Tensor(name="x", shape=(1, 4, 8, 8), dtype="int8", quantization=step),
        "p": Tensor(name="p", shape=(1, 4, 10, 10), dtype="int8", quantization=step),
        "w": Tensor(
            name="w", shape=(4, 4, 3, 3), dtype="int8", data=np.ones((4, 4, 3, 3), np.int8), quantization=weights
        ),
        "y": Tensor(name="y", shape=(1, 4, 8, 8), dtype="int8", quantization=step),
    }
    pads = ((0, 0), (0, 0), (1, 1), (1, 1))
    pad = Operator(
        name="pad", kind="Pad", inputs=("x",), outputs=("p",), attributes={"pads": pads, "value": 128 * 6 / 255}
    )
    given = {"strides": (1, 1), "pads": (0,) * 4, "dilations": (1, 1), "group": 1, "activation": "none"}
    conv = Operator(name="conv", kind="Conv", inputs=("p", "w", ""), outputs=("y",), attributes=given)
    graph = Graph(name="g", layout="nchw", operators=(pad, conv), tensors=tensors, inputs=("x",), outputs=("y",))
    (found,) = not_zero(graph)
    assert found.border.operator.name == "conv" and "of 3.01" in found.words
    zero = replace(pad, attributes={"pads": pads, "value": 0.0})
    assert not_zero(replace(graph, operators=(zero, conv))) == []


def test_standard_errors_of_paired_differences() -> None:
    assert standard_errors(np.array([1.0, 3.0])) == pytest.approx(2.0)
    assert standard_errors(np.array([-1.0, -1.0])) == -np.inf and standard_errors(np.zeros(3)) == 0


def test_fewer_images_than_it_needs_are_refused(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(road / "int8"), "--padding-check"]) == 2
    assert "--padding-check needs at least 16 images" in capsys.readouterr().err


def asked(artifact: Path, images: Path, count: int | None = None) -> Finding:
    opened = open_artifact(artifact)
    chosen = choose_images(opened, open_split(images=str(images)), count)
    (found,) = padding_findings(open_subject(opened), None, chosen)
    return found


def test_a_network_that_gives_every_image_one_answer_tells_nothing_of_it(test_data: Path, tmp_path: Path) -> None:
    """MLPerf Tiny's Visual Wake Words: displaced maps make it surer, that nobody is there, and its own are right."""
    text = preprocess_text(96, 96, fit="stretch", crop_fraction=1.0)
    text = text.replace("mean = [127.5, 127.5, 127.5]", "mean = [0.0, 0.0, 0.0]")
    text = text.replace("std = [127.5, 127.5, 127.5]", "std = [255.0, 255.0, 255.0]")
    card = written_card(tmp_path, "classify", text, ["nobody", "person"])
    words = ["--card", str(card), "--no-verify", "-o", str(tmp_path / "int8")]
    assert main(["convert", str(test_data / "models" / "vww_96_int8.tflite"), *words]) == 0
    found = asked(tmp_path / "int8", test_data / "imagenet_samples" / "dev")
    assert found.passed is True and found.data["standard_errors"] < -4


@pytest.mark.slow
@pytest.mark.parametrize("padding", ["right", "symmetric"])
def test_fast_scnn_is_asked_about_streets(test_data: Path, tmp_path: Path, padding: str) -> None:
    """By the mean over the cells of its map."""
    checkpoint = test_data / "models" / "fast_scnn_camvid_360x480_float.safetensors"
    graph = network_of_checkpoint(checkpoint).graph
    classes = read_checkpoint(checkpoint).labels.names
    card = written_card(tmp_path, "segment", preprocess_text(360, 480, fit="stretch", crop_fraction=1.0), classes)
    (tmp_path / "street.onnx").write_bytes(onnx_bytes(symmetric(graph) if padding == "symmetric" else graph))
    images = test_data / "camvid" / "val"
    words = ["--card", str(card), "--images", str(images), "-n", "8", "--no-verify"]
    assert (
        main(["quantize", str(tmp_path / "street.onnx"), "--effort", "plain", *words, "-o", str(tmp_path / "int8")])
        == 0
    )
    found = asked(tmp_path / "int8", images, 16)
    assert found.passed is (padding == "right")
    assert found.passed or "features.0.depthwise.conv" in found.data["layers"]


@pytest.fixture(scope="module")
def artifacts(test_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MobileNetV1's published weights in INT8, `right` with SAME padding and `wrong` with symmetric one."""
    folder = tmp_path_factory.mktemp("padding")
    samples = test_data / "imagenet_samples"
    graph = network(test_data / "models" / "mobilenet_v1_0.25_224.safetensors", 224)
    names = [line.split("\t")[2] for line in (samples / "labels.txt").read_text().splitlines()]
    card = written_card(folder, "classify", preprocess_text(224, 224, fit="crop", crop_fraction=0.875), names)
    for name, made in {"right": graph, "wrong": symmetric(graph)}.items():
        (folder / f"{name}.onnx").write_bytes(onnx_bytes(made))
        words = ["--card", str(card), "--images", str(samples / "dev"), "-n", "12", "--no-verify"]
        assert (
            main(["quantize", str(folder / f"{name}.onnx"), "--effort", "plain", *words, "-o", str(folder / name)]) == 0
        )
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "passed"), [("right", True), ("wrong", False)])
def test_a_networks_answers_tell_most_with_the_padding_of_its_training(
    artifacts: Path, test_data: Path, name: str, passed: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """The float parent has the same pads: the weights alone tell."""
    images = ["--images", str(test_data / "imagenet_samples" / "dev"), "-n", "48"]
    capsys.readouterr()
    words = ["verify", str(artifacts / name), *images, "--padding-check", "--operator-samples", "0", "--no-rank"]
    main([*words, "--json"])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = (row for row in rows if row.get("check") == "padding")
    assert found["passed"] is passed
    assert (found["standard_errors"] > 4) != passed
    if not passed:
        assert found["layers"] == STRIDED and found["pads"]["stem.conv"] == [[1, 1, 1, 1], [0, 0, 1, 1]]
        assert found["spearman_otherwise"]["horizontal"] > 0.5  # of the maps with the right pads, on other photographs
        assert [fault["operator"] for fault in rows[-1]["at_fault"]] == STRIDED
        assert rows[-1]["exit_code"] == 1 and "pad as the weights were trained" in found["detail"]


@pytest.mark.slow
def test_without_images_the_float_parents_pads_name_it(artifacts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--operator-samples", "0", "--no-rank", "--json"]
    capsys.readouterr()
    assert main(["verify", str(artifacts / "wrong"), "--parent", str(artifacts / "right.onnx"), *words]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    (found,) = (row for row in rows if row.get("check") == "padding")
    assert found["layers"] == STRIDED and "as the float parent does" in found["detail"]
    assert main(["verify", str(artifacts / "right"), "--parent", str(artifacts / "right.onnx"), *words]) == 0
    assert '"check": "padding"' not in capsys.readouterr().out
    assert all(border.convention in ("same", "either") for border in borders(network()))
