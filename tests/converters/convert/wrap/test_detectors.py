"""Detectors of others, wrapped as they are: their boxes are what a plain reading of the file's own answer gives."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.convert.wrap import WrapOptions, wrap_file
from converters.packaging.starter_card import starter_card
from converters.tflite.detection_postprocess import with_detection_postprocess
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import Artifact, open_artifact
from edge.cli.main import main
from edge.data.generated import generated_split
from edge.engines.engine import open_session
from edge.engines.table import PREFERRED
from edge.errors import RecipeError, UsageError
from edge.evaluation.box_likeness import alike_boxes
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.port import dequantize
from edge.predictor.predictor import Predictor
from edge.tasks.detect import BoxPrediction
from edge.verification.verify import Request, verify
from edge.vision.anchors import anchor_boxes, strided_grid
from edge.vision.encoding import input_encoder
from edge.vision.pixels import resize
from edge.vision.tflite_detections import PostProcess
from tests.cases.inputs import input_file, input_folder
from tests.edge.vision.test_two_output_detections import by_loops, softmax
from tests.support.onnx_models import model, node, values, written
from tests.support.preprocess_text import preprocess_text
from tests.support.yolo import yolo_file

Array = np.ndarray[Any, Any]
SPLIT = generated_split("detect", "val", 3)
FRAME = SPLIT.image(0)
SIDE = 64
STRIDES, SIZES = (32, 16), ((20.0, 30.0), (10.0,))
GRID = strided_grid((SIDE, SIDE), STRIDES, [[(side, side) for side in sides] for sides in SIZES])
ANCHORS = anchor_boxes(GRID)
NAMES = json.dumps(list(SPLIT.classes))
SSD = """form = "ssd"
boxes = "boxes"
scores = "scores"
background = "none"
order = "xywh"
variances = [0.1, 0.1, 0.2, 0.2]
threshold = 0.5
overlap = 0.5
[detection.anchors]
strides = [32, 16]
sizes = [[20, 30], [10]]"""
YOLO = """form = "yolo"
box = "cxcywh"
unit = "shares"
objectness = false
threshold = 0.4
overlap = 0.5"""


def card(folder: Path, detection: str, said: str = "", names: str = NAMES, hw: tuple[int, int] = (SIDE, SIDE)) -> Path:
    path = folder / "card.toml"
    text = preprocess_text(*hw).replace('fit = "crop"', 'fit = "stretch"')
    text = text.replace("mean = [127.5, 127.5, 127.5]", "mean = [0.0, 0.0, 0.0]").replace("std = [127.5, 127.5, 127.5]", "std = [255.0, 255.0, 255.0]")  # fmt: skip  # noqa: E501
    path.write_text(f'task = "detect"\n{said}\n{text}\n[labels]\nnames = {names}\n\n[detection]\n{detection}\n')
    return path


def wrapped(source: Path, given: Path) -> Artifact:
    artifact = wrap_file(source, source.with_name("artifact"), WrapOptions(card=given))
    assert artifact.read(f"model{source.suffix}") == source.read_bytes()
    assert open_artifact(artifact.folder).manifest == artifact.manifest
    return artifact


def real_answers(artifact: Artifact, frame: Array) -> dict[str, Array]:
    """What the file alone answers, as real numbers by meaning."""
    file, preprocess = artifact.manifest.files[0], artifact.manifest.preprocess
    session = open_session(PREFERRED[file.format], artifact.file(file.path))
    raw = input_encoder(file.inputs[0].described, preprocess)(resize(frame, preprocess)[None])
    outputs = session.run([raw])
    return {
        told.meaning: dequantize(array, told.scale, told.zero_point)
        for told, array in zip(file.outputs, outputs, strict=True)
    }


def assert_found(artifact: Artifact, boxes: Array, probabilities: Array, background: int | None) -> None:
    """The predictor's boxes are those of loops over shares of the (stretched) frame."""
    detection = artifact.manifest.detection
    assert detection is not None
    found = Predictor.load(artifact)(FRAME, format="rgb")
    assert isinstance(found, BoxPrediction)
    height, width = FRAME.shape[:2]
    expected = by_loops(boxes, probabilities, background, detection.detector.selection)
    assert len(expected) > 3 and len(found.boxes.scores) == len(expected)
    ours = np.concatenate([found.boxes.boxes, found.boxes.scores[:, None], found.boxes.labels[:, None]], axis=1)
    theirs = np.array([[*box * [width, height, width, height], score, label] for score, label, box in expected])
    order = [np.lexsort(rows.round(3).T) for rows in (ours, theirs)]
    np.testing.assert_allclose(ours[order[0]], theirs[order[1]], atol=2e-3, rtol=1e-4)


def head_file(folder: Path, offset: tuple[float, ...] = (0, 0, 0, 0)) -> Path:
    """An ONNX file of two outputs: scores (1, 24, classes) of a sigmoid, boxes (1, 24, 4) about the offset."""
    classes, count = len(SPLIT.classes), len(ANCHORS)
    nodes = [node("AveragePool", "x", "p", kernel_shape=[8, 8], strides=[8, 8]), node("Reshape", "p flat", "f")]
    nodes += [node("MatMul", f"f {name}_w", f"{name}_m") for name in ("boxes", "scores")]
    nodes += [node("Reshape", f"{name}_m {name}_shape", f"{name}_r") for name in ("boxes", "scores")]
    nodes += [node("Sigmoid", "scores_r", "scores"), node("Add", "boxes_r offset", "boxes")]
    constants = {"flat": np.array([1, 192]), "offset": np.array(offset, np.float32)}
    for name, size in (("boxes", 4), ("scores", classes)):
        constants[f"{name}_w"] = values(192, count * size, seed=size) * 0.3
        constants[f"{name}_shape"] = np.array([1, count, size])
    outputs = {"scores": (1, count, classes), "boxes": (1, count, 4)}
    return written(model(nodes, outputs, constants, shape=(1, 3, SIDE, SIDE)), folder / "heads.onnx")


@pytest.fixture
def heads(tmp_path: Path) -> Path:
    """The file with codes as a network has them."""
    return head_file(tmp_path)


def decoded(codes: Array, order: str = "xywh") -> Array:
    """By the formula, number by number."""
    boxes = []
    for code, (cy, cx, high, wide) in zip(codes.astype(np.float64), ANCHORS.astype(np.float64), strict=True):
        t = dict(zip(order, code, strict=True))
        y, x = cy + 0.1 * t["y"] * high, cx + 0.1 * t["x"] * wide
        h, w = high * np.exp(0.2 * t["h"]), wide * np.exp(0.2 * t["w"])
        boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return np.array(boxes)


def test_raw_heads_by_an_anchor_recipe(heads: Path, tmp_path: Path) -> None:
    """Outputs in any order, codes in the card's; verify ships, and the manifest's anchors regenerate."""
    artifact = wrapped(heads, card(tmp_path, SSD))
    file, detection = artifact.manifest.files[0], artifact.manifest.detection
    assert [output.meaning for output in file.outputs] == ["probabilities", "box_codes"]
    assert detection is not None and detection.anchors is not None and artifact.manifest.head == "raw"
    assert detection.detector.anchors == GRID
    answer = real_answers(artifact, FRAME)
    assert_found(artifact, decoded(answer["box_codes"][0]), answer["probabilities"][0], None)
    assert verify(artifact, Request()).verdict.ship


@pytest.mark.parametrize(("form", "offset"), [("cxcywh", (30, 34, 20, 24)), ("xyxy", (10, 14, 50, 44))])
def test_boxes_as_they_are(tmp_path: Path, form: str, offset: tuple[float, ...]) -> None:
    """In pixels of the input, by centre and sides or by corners."""
    heads = head_file(tmp_path, offset)
    said = (
        f'form = "boxes"\nboxes = 1\nscores = 0\nbackground = "none"\nbox = "{form}"\nunit = "pixels"\nthreshold = 0.5'
    )
    artifact = wrapped(heads, card(tmp_path, said))
    answer = real_answers(artifact, FRAME)
    detection = artifact.manifest.detection
    assert detection is not None and detection.extent_wh == (SIDE, SIDE) and detection.box == form
    first, second = answer["boxes"][0, :, :2].astype(np.float64), answer["boxes"][0, :, 2:].astype(np.float64)
    ends = (first - second / 2, first + second / 2) if form == "cxcywh" else (first, second)
    assert_found(artifact, np.concatenate(ends, axis=1) / SIDE, answer["probabilities"][0], None)
    assert verify(artifact, Request()).verdict.ship


@pytest.fixture
def yolo(tmp_path: Path) -> Path:
    """An INT8 TFLite file with a YOLOv8-style head, its boxes decoded within the graph."""
    return yolo_file(tmp_path / "yolo.tflite", classes=len(SPLIT.classes), side=SIDE)


def test_a_yolo_head_in_int8(yolo: Path, tmp_path: Path) -> None:
    """One output in one scale; 0 values differ from the simulation, and a half-made float reading finds the same."""
    artifact = wrapped(yolo, card(tmp_path, YOLO, 'values = "probabilities"'))
    output = artifact.manifest.files[0].outputs[0]
    assert (output.meaning, output.layout, output.dtype) == ("cells", "columns_cells", "int8")
    answer = real_answers(artifact, FRAME)["cells"][0]
    x, y, w, h = answer[:4].astype(np.float64)
    boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    assert_found(artifact, boxes, answer[4:].T, None)
    report = verify(artifact, Request())
    findings = {finding.check: finding for finding in report.verdict.findings}
    assert report.verdict.ship and findings["end to end"].data["differing"] == 0
    assert findings["operators"].data["operators_differing"] == 0


def test_what_is_wrapped_is_evaluated_and_watched(
    yolo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`edge eval`, `edge verify --split` and `edge camera` take a wrapped detector; two runs of it decide alike."""
    artifact = wrapped(yolo, card(tmp_path, YOLO, 'values = "probabilities"'))
    main(["eval", str(artifact.folder), "--split", "generated:detect:val:3", "--json"])
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any("map" in entry or entry.get("metric") == "map" for entry in told), told
    predictor = Predictor.load(artifact)
    once, again = (predictor.values(FRAME, format="rgb") for _ in range(2))
    assert alike_boxes(once, again) == (len(once), len(once))
    picture = tmp_path / "frame.png"
    import cv2

    cv2.imwrite(str(picture), FRAME[..., ::-1])
    assert main(["camera", str(artifact.folder), "--source", str(picture), "--json"]) in (0, None)
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert any(entry.get("boxes") for entry in shown)


def reordered(data: bytes, order: tuple[int, ...]) -> bytes:
    """The file with its outputs in another order."""
    made = schema().ModelT.InitFromPackedBuf(data)
    graph = made.subgraphs[0]
    graph.outputs = np.array([graph.outputs[place] for place in order], np.int32)
    made.signatureDefs = []
    for place in graph.outputs:
        graph.tensors[place].shape = np.zeros(0, np.int32)  # published files leave them to the runtime
    return pack(made)


@pytest.mark.parametrize("regular", [True, False])
def test_the_four_outputs_of_a_post_process(heads: Path, tmp_path: Path, regular: bool) -> None:
    """Taken as they are: LiteRT runs the operator, and the card tells their order."""
    from converters.passes.layout.nhwc import to_nhwc
    from edge.graph.importers.onnx.reader import read_onnx

    graph = to_nhwc(read_onnx(heads))
    swapped = graph.__class__(**{**graph.__dict__, "outputs": ("boxes", "scores")})
    options = PostProcess(classes=len(SPLIT.classes), most=20, regular=regular, threshold=0.3, overlap=0.5)
    source = tmp_path / "post.tflite"
    source.write_bytes(reordered(with_detection_postprocess(tflite_bytes(swapped), ANCHORS, options), (2, 0, 3, 1)))
    said = 'form = "postprocess"\nscores = 0\nboxes = 1\ncount = 2\nclasses = 3\nthreshold = 0.55'
    artifact = wrapped(source, card(tmp_path, said))
    one_name = card(tmp_path, said, names='["fish"]')
    with pytest.raises(UsageError, match=f"names 1, and .* knows {len(SPLIT.classes)} classes"):
        wrap_file(source, tmp_path / "refused", WrapOptions(card=one_name))
    begun = "\n".join(starter_card(source))
    assert "scores = 0 " in begun and "classes = 3 " in begun and f"{len(SPLIT.classes)} names" in begun
    assert artifact.manifest.head == "postprocess" and artifact.manifest.cost.multiply_adds > 0
    answer = real_answers(artifact, FRAME)
    count = int(answer["count"][0])
    wanted = np.flatnonzero(answer["scores"][0, :count] >= 0.55)
    found = Predictor.load(artifact)(FRAME, format="rgb")
    assert isinstance(found, BoxPrediction) and 0 < len(wanted) <= 20
    height, width = FRAME.shape[:2]
    expected = answer["boxes"][0, wanted][:, [1, 0, 3, 2]].clip(0, 1) * [width, height, width, height]
    np.testing.assert_allclose(np.sort(found.boxes.boxes, axis=0), np.sort(expected, axis=0), rtol=1e-5, atol=1e-3)
    assert verify(artifact, Request()).verdict.ship


def test_published_face_detector(tmp_path: Path) -> None:
    """UltraFace without its decoding: 4,420 anchors by the pixels of its training, the background first."""
    source = input_file("ultraface_rfb_320_simplified_opset17.onnx", input_folder())
    if source is None:
        pytest.skip("ultraface_rfb_320_simplified_opset17.onnx is not there; EDGE_TEST_CASES names its folder")
    said = (
        'form = "ssd"\nboxes = "boxes"\nscores = "scores"\nbackground = 0\norder = "xywh"\nthreshold = 0.02\n'
        "variances = [0.1, 0.1, 0.2, 0.2]\noverlap = 0.3\n[detection.anchors]\nstrides = [8, 16, 32, 64]\n"
        "sizes = [[10, 16, 24], [32, 48], [64, 96], [128, 192, 256]]\nclipped = true"
    )
    local = tmp_path / "ultraface.onnx"
    local.write_bytes(source.read_bytes())
    given = card(tmp_path, said, 'scores = "exclusive"', '["face"]', (240, 320))
    given.write_text(given.read_text().replace("[0.0, 0.0, 0.0]", "[127.0, 127.0, 127.0]").replace("[255.0, 255.0, 255.0]", "[128.0, 128.0, 128.0]"))  # fmt: skip  # noqa: E501
    artifact = wrapped(local, given)
    answer = real_answers(artifact, FRAME)
    grid = strided_grid((240, 320), (8, 16, 32, 64), [[(s, s) for s in sides] for sides in ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))], clipped=True)  # fmt: skip  # noqa: E501
    cy, cx, high, wide = anchor_boxes(grid).astype(np.float64).T
    tx, ty, tw, th = answer["box_codes"][0].astype(np.float64).T
    x, y, w, h = cx + 0.1 * tx * wide, cy + 0.1 * ty * high, wide * np.exp(0.2 * tw), high * np.exp(0.2 * th)
    boxes = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    assert_found(artifact, boxes, answer["probabilities"][0], 0)
    report = verify(artifact, Request())
    assert report.verdict.ship
    assert softmax(np.log(answer["probabilities"][0] + 1e-9)).sum(axis=1) == pytest.approx(1)


REFUSED: dict[str, tuple[str, str, type[Exception], str]] = {
    "anchors": (SSD.replace("[[20, 30], [10]]", "[[20], [10]]"), "", UsageError, "20 anchors and"),
    "unknown output": (
        SSD.replace('boxes = "boxes"', 'boxes = "bboxes"'),
        "",
        UsageError,
        "says .detection. boxes = 'bboxes'",
    ),
    "background": (SSD.replace('"none"', "0"), "", UsageError, "names and the background make"),
    "a stride over 64 images": (SSD.replace("strides = [32", "strides = [16384"), "", UsageError, r"maps\.0\.step_hw"),
    "an anchor over 64 images": (
        SSD.replace("[[20, 30], [10]]", "[[20, 1e5], [10]]"),
        "",
        UsageError,
        r"heads\.onnx.*\[detection\], as a manifest has it: maps\.0\.sizes_hw\.1\.0.*64",
    ),
    "no anchor": (SSD.replace("[[20, 30], [10]]", "[[20, 30], []]"), "", UsageError, r"heads\.onnx.* with 0 anchors"),
    "variances": (
        SSD.replace("variances = [0.1, 0.1, 0.2, 0.2]", "variances = [1e-9, 0.1, 0.2, 0.2]"),
        "",
        UsageError,
        r"as a manifest has it: x_scale.*1000000",
    ),
    "missing": (SSD.replace('order = "xywh"\n', ""), "", RecipeError, "form = 'ssd' needs order"),
    "another form's key": (SSD.replace("threshold", 'box = "xyxy"\nthreshold'), "", RecipeError, "has no box"),
    "columns": (YOLO, 'output = "scores"\nvalues = "logits"', UsageError, "the output is"),
    "no section": ("", "", RecipeError, "form"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_card_that_does_not_fit_is_refused_in_one_line(heads: Path, tmp_path: Path, what: str) -> None:
    said, top, kind, told = REFUSED[what]
    with pytest.raises(kind, match=told):
        wrapped(heads, card(tmp_path, said, top))
    assert not heads.with_name("artifact").exists()


def test_starter_cards_are_begun(heads: Path, yolo: Path, run_starter: Callable[[Path], str]) -> None:
    """A card of two outputs, or of one, tells what the file says, and leaves the rest open."""
    two, one = run_starter(heads), run_starter(yolo)
    assert 'task = "detect"' in two and "boxes = 1 " in two and "scores = 0 " in two and 'form = "FILL IN"' in two
    assert 'form = "yolo"' in one and 'box = "FILL IN"' in one and 'values = "FILL IN"' in one


@pytest.fixture
def run_starter() -> Callable[[Path], str]:
    return lambda path: "\n".join(starter_card(path))
