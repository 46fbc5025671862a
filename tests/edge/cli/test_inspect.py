"""edge inspect: the same counts in the table and in JSON; foreign files are refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.cli.main import main
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from tests.support.box_files import annotation, coco_image, save_images, write_coco


@pytest.fixture
def model_path(tmp_path: Path) -> Path:
    """A depthwise convolution and an operator without a rule behind it."""
    scale = np.linspace(0.01, 0.02, 4).astype(np.float32)
    along = {"zero_point": np.zeros(4, np.int64), "axis": 0}
    x, y = (Tensor(name=n, shape=(1, 6, 6, 4), dtype="int8", quantization=per_tensor(0.5, 3)) for n in ("x", "a/b/y"))
    weight = Tensor(
        name="w",
        shape=(4, 1, 3, 3),
        dtype="int8",
        data=np.ones((4, 1, 3, 3), np.int8),
        quantization=Quantization(scale=scale, **along),
    )
    bias = Tensor(
        name="b",
        shape=(4,),
        dtype="int32",
        data=np.zeros(4, np.int32),
        quantization=Quantization(scale=np.float32(0.5) * scale, **along),
    )
    attributes = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 4, "activation": "relu"}
    conv = Operator(kind="Conv", name="y", inputs=("x", "w", "b"), outputs=(y.name,), attributes=attributes)
    graph = Graph(
        name="main",
        layout="nhwc",
        operators=(conv,),
        tensors={tensor.name: tensor for tensor in (x, y, weight, bias)},
        inputs=("x",),
        outputs=(y.name,),
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    return path


def test_json_has_a_line_per_operator_and_a_total(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model_path), "--json"]) == 0
    operator, total = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert operator["entry"] == "operator"
    assert operator["kind"] == "Conv"
    assert operator["source"] == "DEPTHWISE_CONV_2D"
    assert operator["outputs"][0]["scale"] == 0.5
    assert operator["outputs"][0]["zero_point"] == 3
    assert operator["inputs"][1]["scale"] == [float(value) for value in np.linspace(0.01, 0.02, 4).astype(np.float32)]
    assert total["entry"] == "total"
    assert total["multiply_adds"] == 6 * 6 * 4 * 9
    assert total["parameters"] == 36 + 4
    assert total["unruled"] == []


def test_table_keeps_every_number_whole(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(model_path)]) == 0
    text = capsys.readouterr().out
    for part in ("Conv dw relu", "1x6x6x4", "4x1x3x3/ch", "1,296", "0.5", "a/b/y", "1 operator, "):
        assert part in text


def test_long_names_lose_their_beginning_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a" * 300 + "/the_end"
    tensors = {n: Tensor(name=n, shape=(1, 4), dtype="float32") for n in ("x", name)}
    operator = Operator(kind="Relu", name=name, inputs=("x",), outputs=(name,))
    graph = Graph(name="g", layout="nhwc", operators=(operator,), tensors=tensors, inputs=("x",), outputs=(name,))
    path = tmp_path / "long.tflite"
    path.write_bytes(tflite_bytes(graph))
    assert main(["inspect", str(path)]) == 0
    text = capsys.readouterr().out
    assert "/the_end" in text
    assert max(len(line.rstrip()) for line in text.splitlines()[2:]) <= 120


@pytest.mark.parametrize(("name", "content"), [("a.tflite", b"x" * 50), ("a.onnx", b"x" * 50), ("a.txt", b"hello")])
def test_what_is_no_model_is_refused_in_one_line(
    name: str, content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert main(["inspect", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"edge inspect: {path}: ")
    assert captured.err.count("\n") == 1


def test_an_artifact_shows_its_manifest_and_every_file(
    model_path: Path, make_artifact: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make_artifact("street", model=model_path.read_bytes())
    assert main(["inspect", str(folder)]) == 0
    text = capsys.readouterr().out
    for part in ("street", "classify", "int8", "model.tflite", "Conv dw relu", "1 operator, "):
        assert part in text
    assert main(["inspect", str(folder), "--json"]) == 0
    entries = [json.loads(line)["entry"] for line in capsys.readouterr().out.splitlines()]
    assert entries == ["manifest", "operator", "total"]


def test_a_folder_that_is_no_artifact_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path)]) == 1
    assert "not an artifact" in capsys.readouterr().err


def test_a_split_is_counted_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = save_images(tmp_path / "images", "a.png", "b.png")
    rows = [annotation(1, 3, [0, 0, 10, 4]), annotation(1, 3, [0, 0, 20, 4]), annotation(1, 7, [0, 0, 9, 9], iscrowd=1)]
    boxes = write_coco(tmp_path / "c.json", [coco_image(1, "a.png"), coco_image(2, "b.png")], rows)
    named = ["inspect", "--images", str(images), "--boxes", str(boxes)]
    assert main([*named, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["entry"], found["task"], found["images"], found["boxes"]) == ("split", "detect", 2, 2)
    assert (found["ignored"], found["without_boxes"], found["most_boxes"]) == (1, 1, 3)
    assert found["classes"] == [
        {"name": "cat", "images": 1, "boxes": 2, "ignored": 0, "width": 15.0, "height": 4.0},
        {"name": "dog", "images": 1, "boxes": 0, "ignored": 1},
    ]
    (images / "a.png").write_bytes(b"no image")
    assert main(named) == 1 and "a.png: not an image, or a damaged one" in capsys.readouterr().err
    assert main([*named, "--skip-damaged", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["images"], found["skipped_damaged"], found["boxes"]) == (1, 1, 0)


def test_splits_of_every_task_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for task, words in (("classify", "images"), ("attributes", "striped"), ("segment", "%"), ("detect", "boxes")):
        assert main(["inspect", f"generated:{task}:val:4"]) == 0
        told = capsys.readouterr().out
        assert f"generated:{task}:val: task" in told and "4 images" in told and words in told


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "nothing to inspect: give a model's file or folder, or a split"),
        (["model.tflite", "--split", "generated:detect:val:2"], "name a split themselves; give one"),
        (["generated:detect:val:2", "--batch", "3"], "--batch: of a model, not of a split"),
        (["generated:detec:val:2"], "unknown task 'detec'; did you mean 'detect'?"),
        (["gone.split.json"], "gone.split.json: no such split file"),
    ],
)
def test_a_split_that_is_none_is_refused(words: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", *words]) in (1, 2) and problem in capsys.readouterr().err
