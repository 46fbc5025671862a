"""Finished files of any form are wrapped: several outputs, no batch axis, 8 and 16 bits, float, scores per cell."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from converters.convert.bare_file import convert_file
from converters.convert.wrap import WrapOptions, wrap_file
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import Artifact, open_artifact
from edge.data.generated import generated_split
from edge.engines.engine import open_session
from edge.errors import UsageError
from edge.explain.gated import open_gated
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.predictor import Predictor
from edge.predictor.selftest_archive import read_selftest
from edge.verification.checks.parent import find_parent
from edge.verification.sensitivity.examination import Effort, examine
from edge.verification.verify import Request, verify
from edge.vision.encoding import input_encoder
from edge.vision.pixels import resize
from tests.converters.convert.wrap.conftest import MakeCard
from tests.support.onnx_models import external, model, node, values, written

FRAME = generated_split("classify", "val", 1).image(0)


def wrapped(source: Path, card: Path) -> Artifact:
    artifact = wrap_file(source, source.with_name("artifact"), WrapOptions(card=card))
    assert artifact.read(f"model{source.suffix}") == source.read_bytes()
    assert open_artifact(artifact.folder).manifest == artifact.manifest and artifact.manifest.provenance.road == "as is"
    return artifact


def raw_answer(source: Path, artifact: Artifact, place: int) -> np.ndarray:
    """What the file alone answers to FRAME."""
    preprocess = artifact.manifest.preprocess
    session = open_session("litert" if source.suffix == ".tflite" else "onnxruntime", source)
    raw = input_encoder(artifact.manifest.files[0].inputs[0].described, preprocess)(resize(FRAME, preprocess)[None])
    return session.run([raw.reshape(session.inputs[0].shape)])[place]


@pytest.mark.parametrize(("said", "place"), [('output = "p"', 1), ("output = 1", 1), ("output = 2", 2)])
@pytest.mark.parametrize("form", ["onnx", "tflite"])
def test_of_several_outputs_the_named_one_is_used(
    several: Path, card: MakeCard, form: str, said: str, place: int
) -> None:
    """All outputs are described; the predictor's class is that of the named one, and verify ships."""
    source = several
    if form == "tflite":
        source = several.with_suffix(".tflite")
        convert_file(several, source)
    artifact = wrapped(source, card(said))
    file = artifact.manifest.files[0]
    assert [output.meaning for output in file.outputs] == [
        "other",
        "probabilities" if place == 1 else "other",
        "logits" if place == 2 else "other",
    ]
    assert file.told == (place,) and set(read_selftest(artifact)) == {"images", f"output_{file.path}_{place}"}
    best = Predictor.load(artifact)(FRAME).scores.indices[0]  # type: ignore[attr-defined]
    assert best == raw_answer(source, artifact, place).argmax()
    assert verify(artifact, Request()).verdict.ship


def test_gates_of_a_wrapped_file_are_refused_with_where_they_are(without_batch: Path, card: MakeCard) -> None:
    artifact = wrapped(without_batch, card('values = "logits"\nscores = "exclusive"'))
    with pytest.raises(UsageError, match=r"no gates or kernels to read: they are those of a network of this product"):
        open_gated(artifact.folder)


def test_several_outputs_need_a_name(several: Path, card: MakeCard) -> None:
    with pytest.raises(UsageError, match=r"3 outputs; say output = NAME or PLACE .*0 'r' float32 .*2 'l'"):
        wrapped(several, card())
    with pytest.raises(UsageError, match=r"says output = 'q', and the file's are: 0 'r'"):
        wrapped(several, card('output = "q"'))


def test_a_file_without_a_batch_axis(without_batch: Path, card: MakeCard) -> None:
    """The manifest tells one; the file's own answers are the predictor's."""
    artifact = wrapped(without_batch, card())
    file = artifact.manifest.files[0]
    assert file.inputs[0].shape == (1, 8, 8, 3) and file.outputs[0].shape == (1, 3)
    answer = raw_answer(without_batch, artifact, 0)
    assert answer.shape == (3,)
    predictor = Predictor.load(artifact)
    assert np.array_equal(predictor.values(FRAME, format="rgb"), answer)
    report = verify(artifact, Request())
    assert report.verdict.ship
    assert next(finding for finding in report.verdict.findings if finding.check == "end to end").passed is True


@pytest.mark.parametrize("segment", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_integer_files_are_held_to_the_simulation(
    quantized: Callable[..., Path], card: MakeCard, bits: int, segment: bool
) -> None:
    """Scales and zero points are the file's; not one value differs, end to end and per operator."""
    source = quantized(bits, segment=segment)
    names = '["a", "b", "c", "d"]' if segment else '["a", "b", "c"]'
    artifact = wrapped(source, card(task="segment" if segment else "classify", names=names))
    session, file = open_session("litert", source), artifact.manifest.files[0]
    assert [port.scale for port in session.outputs] == [output.scale for output in file.outputs]
    assert file.inputs[0].dtype == f"int{bits}" and artifact.manifest.precision == ("int8" if bits == 8 else "int16x8")
    findings = {finding.check: finding for finding in verify(artifact, Request()).verdict.findings}
    assert findings["end to end"].passed is True and findings["end to end"].data["differing"] == 0
    assert findings["operators"].data["operators_differing"] == 0
    Predictor.load(artifact)(FRAME)


def test_an_onnx_file_of_integers_takes_its_scales_from_the_graph(tmp_path: Path, card: MakeCard) -> None:
    """ONNX Runtime tells no scale of an integer input or output; the Dequantize and Quantize beside them do."""
    scales = {name: np.array(value, np.float32) for name, value in (("s", 1 / 128), ("t", 0.0625))}
    nodes = [
        node("DequantizeLinear", "x s z", "real"),
        node("ReduceMean", "real", "m", axes=[2, 3], keepdims=0),
        node("QuantizeLinear", "m s z", "mq"),
        node("DequantizeLinear", "mq s z", "md"),
        node("DequantizeLinear", "wq t zw", "w"),
        node("MatMul", "md w", "l"),
        node("QuantizeLinear", "l t z", "y"),
    ]
    constants: dict[str, np.ndarray] = {**scales, "z": np.array(128, np.uint8), "zw": np.array(0, np.int8)}
    constants["wq"] = np.array([[16, -16, 0], [0, 16, 16], [3, 5, -7]], np.int8)
    proto = model(nodes, {"y": (1, 3)}, constants, shape=(1, 3, 8, 8), dtype=TensorProto.UINT8)
    proto.graph.output[0].type.tensor_type.elem_type = TensorProto.UINT8
    source = written(proto, tmp_path / "integers.onnx")
    artifact = wrapped(source, card(mean=128.0, std=128.0))
    given, output = artifact.manifest.files[0].inputs[0], artifact.manifest.files[0].outputs[0]
    assert (given.dtype, given.scale, given.zero_point) == ("uint8", 1 / 128, 128)
    assert (output.dtype, output.scale, output.zero_point, output.meaning) == ("uint8", 0.0625, 128, "logits")
    assert artifact.manifest.precision == "int8" and artifact.manifest.quantization.notes == ()
    found = next(finding for finding in verify(artifact, Request()).verdict.findings if finding.check == "end to end")
    assert found.data["differing"] == 0
    real = Predictor.load(artifact).values(FRAME, format="rgb")
    assert np.array_equal(real, (raw_answer(source, artifact, 0)[0].astype(np.float32) - 128) / 16)


def test_a_rectifier_that_only_the_range_says_is_one_in_float_too(
    quantized: Callable[..., Path], card: MakeCard
) -> None:
    """TensorFlow's first quantized files name no activation: layers rank as those of the file that names it."""
    source = quantized()
    graph = read_tflite(source)
    plain = [
        replace(operator, attributes={**operator.attributes, "activation": "none"})
        if operator.attributes.get("activation") == "relu"
        else operator
        for operator in graph.operators
    ]
    assert plain != list(graph.operators)
    unnamed = source.with_name("unnamed.tflite")
    unnamed.write_bytes(tflite_bytes(replace(graph, operators=tuple(plain))))
    assert unnamed.read_bytes() != source.read_bytes()
    noises = []
    for file in (source, unnamed):
        ranking = examine(wrap_file(file, file.with_suffix(""), WrapOptions(card=card())), Request(), Effort()).ranking
        noises.append({cost.layer.name: cost.alone_noise_share for cost in ranking.layers})
    assert noises[0] == noises[1]


def test_what_the_simulation_does_not_cover_is_said_and_decides_nothing(tmp_path: Path, card: MakeCard) -> None:
    nodes = [
        node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0),
        node("CumSum", "m axis", "y"),
    ]
    source = tmp_path / "cumsum.onnx"
    written(model(nodes, {"y": (1, 3)}, {"axis": np.array(1)}, shape=(1, 3, 8, 8)), source)
    with pytest.raises(UsageError, match="ends in CumSum 'CumSum:y', which does not prove what its scores are"):
        wrapped(source, card())
    artifact = wrapped(source, card('values = "logits"\nscores = "exclusive"'))
    report = verify(artifact, Request())
    found = next(finding for finding in report.verdict.findings if finding.check == "end to end")
    assert found.passed is None and "CumSum" in found.data["not_covered"]
    assert report.verdict.ship


@pytest.mark.parametrize(
    ("said", "numbers", "told"),
    [
        ("", {"std": 2.0}, r"pixels are -63\.75 to 63\.75, and input 'x' holds -0\.9961 to 1\.004"),
        ('values = "class_map"', {}, "says values = 'class_map', and the file ends in Gemm"),
        ('output = "y"', {}, r"says output = 'y', and the file's are: 0 'l' int8 \(1, 3\)"),
    ],
)
def test_a_card_that_contradicts_the_file_is_refused(
    quantized: Callable[..., Path], card: MakeCard, said: str, numbers: dict[str, float], told: str
) -> None:
    source = quantized()
    with pytest.raises(UsageError, match=told):
        wrapped(source, card(said, **numbers))
    assert not source.with_name("artifact").exists()


def test_a_wrapped_float_file_is_a_parent(quantized: Callable[..., Path], several: Path, card: MakeCard) -> None:
    """By its own mean and std, its own output and layout; another size of images or other classes are refused."""
    artifact = wrapped(quantized(), card())
    source = several.with_name("float.tflite")
    convert_file(several, source)
    for file in (several, source):
        parent = wrap_file(
            file, file.with_name(f"parent_{file.suffix[1:]}"), WrapOptions(card=card("output = 2", mean=127.0))
        )
        found = find_parent(artifact, parent.folder)
        assert (
            found is not None
            and found.infos == (parent.manifest.files[0].outputs[2],)
            and len(found.graph().outputs) == 3
        )
        pixels = resize(FRAME, artifact.manifest.preprocess)[None]
        (predicted,) = found.predict(pixels)
        assert np.abs(predicted - raw_answer(file, parent, 2)).max() < 1e-6 and predicted.shape == (1, 3)
        report = verify(artifact, Request(parent=parent.folder))
        assert report.parent == str(parent.folder) and report.verdict.ship
    four = card("output = 0", task="segment", names='["a", "b", "c", "d"]')
    other = wrap_file(several, several.with_name("other"), WrapOptions(card=four))
    with pytest.raises(UsageError, match="has 4 classes, the artifact 3"):
        find_parent(artifact, other.folder)
    with pytest.raises(UsageError, match=r"a checkpoint or an \.onnx file; wrap it"):
        find_parent(artifact, source)


def test_half_of_the_steps_is_noted(quantized: Callable[..., Path], card: MakeCard) -> None:
    artifact = wrapped(quantized(), card(mean=0.0, std=255.0))
    assert any(note.startswith("images use 50% of the steps") for note in artifact.manifest.quantization.notes)


def test_a_file_that_keeps_constants_beside_it_is_refused(tmp_path: Path, card: MakeCard) -> None:
    nodes = [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("MatMul", "m fc", "y")]
    proto = model(nodes, {"y": (1, 3)}, {"fc": values(3, 3)}, shape=(1, 3, 8, 8))
    source = external(proto, tmp_path / "two.onnx")
    with pytest.raises(UsageError, match=r"keeps constants in weights\.bin; only a file that is whole is wrapped"):
        wrapped(source, card())


def test_sizes_left_open_are_refused_but_the_batch(tmp_path: Path, card: MakeCard) -> None:
    nodes = [node("ReduceMean", "x", "m", axes=[2, 3], keepdims=0), node("MatMul", "m fc", "y")]
    proto = model(nodes, {"y": (1, 3)}, {"fc": values(3, 3)}, shape=(1, 3, 8, 8))
    sizes = proto.graph.input[0].type.tensor_type.shape.dim
    for place in (0, 2):
        sizes[place].dim_param = f"n{place}"
    source = written(proto, tmp_path / "open.onnx")
    with pytest.raises(UsageError, match=r"input 'x' has sizes left open, .* or convert it without --as-is"):
        wrapped(source, card())
    sizes[2].dim_value = 8
    wrapped(written(proto, source), card())


def test_a_detector_is_refused(tmp_path: Path, card: MakeCard) -> None:
    nodes = [
        node("GlobalAveragePool", "x", "g"),
        *(node("Reshape", f"g {name}_shape", f"{name}_g") for name in ("boxes", "scores")),
        *(node("MatMul", f"{name}_g {name}_w", name) for name in ("boxes", "scores")),
        node("ReduceMean", "scores", "classes", axes=[2], keepdims=0),
        node("ReduceMean", "classes", "count", axes=[1], keepdims=0),
    ]
    shapes = {name: np.array([1, 3, 1]) for name in ("boxes_shape", "scores_shape")}
    outputs = {"boxes": (1, 3, 4), "classes": (1, 3), "scores": (1, 3, 2), "count": (1,)}
    constants = {**shapes, "boxes_w": values(1, 4), "scores_w": values(1, 2)}
    source = written(model(nodes, outputs, constants, shape=(1, 3, 8, 8)), tmp_path / "detector.onnx")
    with pytest.raises(UsageError, match="4 outputs, a detector's; a card of the task detect says how they"):
        wrapped(source, card())


def test_given_images_are_the_selftest(quantized: Callable[..., Path], card: MakeCard) -> None:
    source, split = quantized(), generated_split("classify", "val", 10)
    artifact = wrap_file(source, source.with_name("a"), WrapOptions(card=card(), selftest=split, samples=5))
    images = read_selftest(artifact)["images"]
    wanted = [resize(split.image(index), artifact.manifest.preprocess) for index in (0, 2, 4, 6, 8)]
    assert np.array_equal(images, np.stack(wanted))
