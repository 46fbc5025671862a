"""What a foreign model's output means: proved by its end or said by the card, right in every verb, or refused."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest

from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.predictor.predictor import Predictor
from edge.tasks.classify import ClassPrediction, LabelsPrediction
from edge.tasks.segment import SegmentPrediction
from edge.vision.pixels import normalize, resize
from tests.support.heads import card, classifier, segmenter
from tests.support.onnx_models import model, node, values
from tests.support.onnx_session import cpu_session

PICTURES = Path(__file__).resolve().parents[3] / "calibration_data" / "classify"
PICTURE = sorted((PICTURES / "images").iterdir())[0]


def artifact(
    folder: Path, proto: onnx.ModelProto, task: str, names: tuple[str, ...], *words: str, said: str = ""
) -> Path:
    """The artifact of a model, by `edge convert`, or `edge quantize` where words say so."""
    onnx.save(proto, folder / "net.onnx")
    told = ["--card", str(card(folder / "card.toml", task, names, said)), "-o", str(folder / "made")]
    verb, *rest = words or ("convert",)
    assert main([verb, str(folder / "net.onnx"), *told, *rest]) == 0
    return folder / "made"


QUANTIZE = ("quantize", "--calibration", "generated:classify:val:8")


def truth(folder: Path, path: Path = PICTURE) -> Any:
    """What the float model itself says of a picture, by ONNX Runtime."""
    preprocess = open_artifact(folder / "made").manifest.preprocess
    pixels = resize(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), preprocess)
    given = np.ascontiguousarray(normalize(pixels[None], preprocess).transpose(0, 3, 1, 2))
    session = cpu_session(folder / "net.onnx")
    return session.run(None, {"x": given})[0]


def seen(folder: Path, engine: str, **options: Any) -> Any:
    return Predictor.load(folder, engine=engine, **options)(cv2.imread(str(PICTURE)))


@pytest.mark.parametrize("words", [("convert",), QUANTIZE, (*QUANTIZE, "--io", "uint8")])
@pytest.mark.parametrize(
    ("end", "bias"),
    [
        ("Sigmoid", -3.0),
        ("Sigmoid", 3.0),
        ("logits", -3.0),
        ("logits", 3.0),
        ("HardSigmoid", -3.0),
        ("HardSigmoid", 3.0),
    ],
)
def test_one_score_is_a_yes_or_a_no(tmp_path: Path, words: tuple[str, ...], end: str, bias: float) -> None:
    made = artifact(tmp_path, classifier(end, 1, bias=bias), "classify", ("cat",), *words)
    raw = float(truth(tmp_path)[0, 0])
    probability = raw if end != "logits" else 1 / (1 + np.exp(-raw))
    assert (probability >= 0.5) == (bias > 0)
    for engine in ("litert", "onnxruntime"):
        prediction = seen(made, engine)
        assert isinstance(prediction, ClassPrediction)
        assert prediction.label == ("cat" if bias > 0 else "not cat")
        found = dict(zip(prediction.scores.names, prediction.scores.probabilities, strict=True))
        assert found["cat"] == pytest.approx(probability, abs=0.03)
        assert found["cat"] + found["not cat"] == pytest.approx(1)


@pytest.mark.unhurried
def test_integers_that_stand_for_probabilities_alone_are_not_taken_for_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A HardSigmoid is a convolution in integer files, whose kernels have none."""
    made = artifact(tmp_path, classifier("HardSigmoid", 4), "classify", FOUR, *QUANTIZE)
    told = [str(made / "source.onnx"), "--card", str(tmp_path / "card.toml"), "-o", str(tmp_path / "again")]
    capsys.readouterr()
    assert main(["convert", *told]) == 2
    assert "which does not prove what its scores are" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("convert",), QUANTIZE])
def test_labels_of_a_sigmoid_hold_one_by_one(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("cat", "dog", "bird", "fish")
    made = artifact(tmp_path, classifier("Sigmoid", 4), "classify", names, *words)
    probabilities = truth(tmp_path)[0]
    holding = {name for name, value in zip(names, probabilities, strict=True) if value >= 0.5}
    assert 0 < len(holding) < 4
    for engine in ("litert", "onnxruntime"):
        prediction = seen(made, engine)
        assert isinstance(prediction, LabelsPrediction)
        assert set(prediction.labels) == holding
    capsys.readouterr()
    assert main(["camera", str(made), "--source", str(PICTURE), "--json", "-o", str(tmp_path / "drawn")]) == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert set(first["labels"]) == holding
    assert {entry["name"]: entry["probability"] for entry in first["classes"]} == pytest.approx(
        dict(zip(names, probabilities.tolist(), strict=True)), abs=0.03
    )


@pytest.mark.unhurried
def test_independent_labels_are_evaluated_by_average_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tuple(line.split("\t")[-1] for line in (PICTURES / "classes.txt").read_text().splitlines() if line)
    made = artifact(tmp_path, classifier("Sigmoid", len(names)), "classify", names)
    data = ["--images", str(PICTURES / "images"), "--labels", str(PICTURES / "labels.tsv")]
    capsys.readouterr()
    assert main(["eval", str(made), *data, "--json"]) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert "top1" not in metrics and 0 <= metrics["mean_average_precision"] <= 1 and 0 <= metrics["label_accuracy"] <= 1
    assert main(["verify", str(made), *data, "--json"]) == 1  # nobody trained it
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    accuracy = [row for row in rows if row.get("check") == "accuracy"]
    assert {row["metric"] for row in accuracy} == {"mean_average_precision"}
    assert all(row["value"] == pytest.approx(metrics["mean_average_precision"], abs=1e-3) for row in accuracy)
    assert {row["check"] for row in rows if row.get("passed") is False} == {"chance"}


@pytest.mark.parametrize("words", [("convert",), QUANTIZE, ("convert", "--head", "full_logits")])
@pytest.mark.parametrize("end", ["Sigmoid", "logits"])
@pytest.mark.parametrize("names", [("person",), ("background", "person")])
def test_a_mask_of_one_channel_is_on_from_one_half_on(
    tmp_path: Path, words: tuple[str, ...], end: str, names: tuple[str, ...]
) -> None:
    made = artifact(tmp_path, segmenter(end, 1), "segment", names, *words)
    on = truth(tmp_path)[0, 0] >= (0.5 if end == "Sigmoid" else 0)
    assert 0.05 < on.mean() < 0.95
    maps = []
    for engine in ("litert", "onnxruntime"):
        prediction = seen(made, engine)
        assert isinstance(prediction, SegmentPrediction)
        assert prediction.names == (names if len(names) == 2 else ("not person", "person"))
        maps.append(prediction.class_map)
    at_cells = cv2.resize(maps[0], (16, 16), interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.mean(at_cells == on) > 0.85
    assert np.mean(maps[0] == maps[1]) > 0.99


def test_an_argmax_at_the_end_is_a_class_map(tmp_path: Path) -> None:
    proto = segmenter("logits", 3)
    proto.graph.node.append(node("ArgMax", "y", "map", axis=1, keepdims=0))
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info("map", onnx.TensorProto.INT64, (1, 16, 16)))
    made = artifact(tmp_path, proto, "segment", ("a", "b", "c"))
    assert open_artifact(made).manifest.files[0].outputs[0].meaning == "class_map"
    prediction = seen(made, "litert")
    expected = truth(tmp_path)[0].astype(np.uint8)
    assert np.array_equal(cv2.resize(prediction.class_map, (16, 16), interpolation=cv2.INTER_NEAREST_EXACT), expected)


def two_heads() -> onnx.ModelProto:
    nodes = [
        node("Conv", "x w", "c", strides=[16, 16]),
        node("Softmax", "c", "scores", axis=1),
        node("Relu", "c", "boxes"),
    ]
    shape = (1, 4, 2, 2)
    return model(nodes, {"scores": shape, "boxes": shape}, {"w": values(4, 3, 1, 1)}, shape=(1, 3, 32, 32))


def anchors() -> onnx.ModelProto:
    proto = segmenter("logits", 4)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, -1, 4]), "s"))
    proto.graph.node.append(node("Reshape", "y s", "rows"))
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, (1, 256, 4)))
    return proto


def squashed(kind: str) -> onnx.ModelProto:
    """A classifier whose scores end in something that proves nothing."""
    proto = classifier("Sigmoid", 4)
    proto.graph.node.append(node(kind, "y y" if kind in ("Mul", "Div", "Max") else "y", "last"))
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, (1, 4)))
    return proto


def complement(end: str, kind: str) -> onnx.ModelProto:
    """A classifier whose scores are sums of bounded ones: 1 - Sigmoid, 1 + Tanh, ..."""
    proto = classifier(end, 4)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.float32(1), "one"))
    proto.graph.node.append(node(kind, "one y", "sum"))
    proto.graph.node.append(node("Relu", "sum", "last"))
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_tensor_value_info("last", onnx.TensorProto.FLOAT, (1, 4)))
    return proto


FOUR = ("a", "b", "c", "d")
REFUSED = {
    "two outputs": (two_heads(), "classify", FOUR, "", "1 inputs and 2 outputs (scores, boxes)"),
    "two outputs of a segmenter": (two_heads(), "segment", FOUR, "", "1 inputs and 2 outputs"),
    "scores per anchor": (anchors(), "classify", FOUR, "", "is (1, 256, 4); a classifier ends in (1, classes)"),
    "rows as a map": (anchors(), "segment", FOUR, "", "a segmenter ends in one map"),
    "a map as scores": (segmenter("logits", 4), "classify", FOUR, "", "a classifier ends in (1, classes)"),
    "scores as a map": (
        classifier("logits", 4),
        "segment",
        FOUR,
        "",
        "task 'segment' for a model whose output is (1, 4)",
    ),
    "other names": (classifier("logits", 3), "classify", FOUR, "", "4 class names for a model with 3 scores"),
    "names for one score": (classifier("Sigmoid", 1), "classify", FOUR, "", "4 class names for a model with 1 scores"),
    "one score of a softmax": (classifier("Softmax", 1), "classify", ("a", "b"), "", "one score cannot exclude others"),
    "masks that overlap": (segmenter("Sigmoid", 4), "segment", FOUR, "", "masks that overlap make no class map"),
    "a product": (squashed("Mul"), "classify", FOUR, "", "ends in Mul"),
    "an exponential": (squashed("Exp"), "classify", FOUR, "", "say values = 'logits' or 'probabilities' and scores ="),
    "a complement": (complement("Sigmoid", "Sub"), "classify", FOUR, "", "does not prove what its scores are"),
    "a shifted tangent": (complement("Tanh", "Add"), "classify", FOUR, "", "does not prove what its scores are"),
    "a logarithm": (squashed("Log"), "classify", FOUR, "", "ends in Log"),
    "a tangent": (classifier("Tanh", 4), "classify", FOUR, "", "ends in Tanh"),
    "a rectified logit": (classifier("Relu", 1), "classify", ("a", "b"), "", "one score cannot exclude others"),
    "rectified labels": (classifier("Relu", 4), "classify", FOUR, 'scores = "independent"', "ends in Gemm"),
    "half said": (squashed("Exp"), "classify", FOUR, 'scores = "exclusive"', "does not prove what its scores are"),
    "a contradiction": (classifier("Softmax", 4), "classify", FOUR, 'scores = "independent"', "ends in Softmax"),
    "another": (classifier("Sigmoid", 4), "classify", FOUR, 'values = "logits"', "ends in Sigmoid"),
}


@pytest.mark.parametrize("verb", ["convert", "quantize"])
@pytest.mark.parametrize("what", REFUSED)
def test_what_no_predictor_could_answer_with_is_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str, verb: str
) -> None:
    proto, task, names, said, message = REFUSED[what]
    onnx.save(proto, tmp_path / "net.onnx")
    told = ["--card", str(card(tmp_path / "card.toml", task, names, said)), "-o", str(tmp_path / "made")]
    more = ["--calibration", "generated:classify:val:2"] if verb == "quantize" else []
    capsys.readouterr()
    assert main([verb, str(tmp_path / "net.onnx"), *told, *more]) == 2
    captured = capsys.readouterr()
    assert message in captured.err and captured.err.count("\n") == 1
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("proto", "said", "scores", "meaning"),
    [
        (classifier("logits", 4), "", "exclusive", "logits"),
        (classifier("logits", 4), 'scores = "independent"', "independent", "logits"),
        (classifier("Sigmoid", 4), 'scores = "exclusive"', "exclusive", "probabilities"),
        (classifier("Softmax", 4), "", "exclusive", "probabilities"),
        (squashed("Max"), 'scores = "independent"\nvalues = "probabilities"', "independent", "probabilities"),
    ],
)
def test_the_manifest_says_what_was_proved_or_said(
    tmp_path: Path, proto: onnx.ModelProto, said: str, scores: str, meaning: str
) -> None:
    made = artifact(tmp_path, proto, "classify", FOUR, "convert", "--no-verify", said=said)
    for file in open_artifact(made).manifest.files:
        assert (file.outputs[0].scores, file.outputs[0].meaning) == (scores, meaning)


def test_a_class_map_of_one_channel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would be 0 everywhere."""
    onnx.save(segmenter("Sigmoid", 1), tmp_path / "net.onnx")
    told = ["--card", str(card(tmp_path / "card.toml", "segment", ("person",))), "-o", str(tmp_path / "made")]
    for head in ("class_map", "full"):
        assert main(["convert", str(tmp_path / "net.onnx"), *told, "--head", head]) == 2
        assert "one score per cell" in capsys.readouterr().err
