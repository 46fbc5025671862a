"""The artifact folder: what its manifest says is what its files hold, and a failing build changes nothing."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.convert.build import build_artifact
from converters.convert.convert import load_source, selftest_images
from converters.convert.options import ConvertOptions
from converters.packaging.description import Description
from converters.packaging.integer_only import require_integer_only
from converters.packaging.package import precision_of, write_model_files, written_cost
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import Artifact, open_artifact, parse_manifest
from edge.cli.main import main
from edge.engines.output_difference import FLOAT_TOLERANCE
from edge.errors import ArtifactError, FileError, UnsupportedError, UsageError
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.counts import count_graph
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.selftest import model_input, read_selftest
from tests.converters.tflite.test_banded_convolution import CASES, graph_of_case
from tests.support.one_operator import Parameters, activation, conv_graph
from tests.support.sick_models import in_float

INT8_FILES = ("model.tflite", "model.onnx", "source.onnx")


@pytest.fixture(scope="module")
def int8(road: Path) -> Artifact:
    """The INT8 artifact of the road."""
    return open_artifact(road / "int8")


@pytest.fixture(scope="module")
def float32(road: Path) -> Artifact:
    """The float artifact of the road."""
    return open_artifact(road / "float")


@pytest.fixture(scope="module")
def loaded(road: Path) -> tuple[Graph, Description]:
    """The float checkpoint as a graph with its description."""
    return load_source(road / "run" / "float.safetensors", road / "again", ConvertOptions(name="again"))


def test_an_int8_artifact_has_two_files_to_run_and_their_source(int8: Artifact) -> None:
    """TFLite and ONNX for devices, and the QDQ ONNX that they were written from; nothing else in the folder."""
    roles = {file.path: (file.format, file.role) for file in int8.manifest.files}
    assert roles == {
        "model.tflite": ("tflite", "run"),
        "model.onnx": ("onnx", "run"),
        "source.onnx": ("onnx", "source"),
    }
    found = {path.name for path in int8.folder.iterdir()}
    assert found == {*INT8_FILES, "manifest.json", "selftest.npz"}


def test_a_float_artifact_has_no_separate_source(float32: Artifact) -> None:
    """Its ONNX file is the source and runs as it is."""
    assert [(file.path, file.role) for file in float32.manifest.files] == [
        ("model.tflite", "run"),
        ("model.onnx", "run"),
    ]
    assert float32.manifest.precision == "float32" and float32.manifest.quantization.method == "none"


@pytest.mark.parametrize("name", INT8_FILES)
def test_hash_and_size_are_those_of_the_file(int8: Artifact, name: str) -> None:
    """SHA-256 and bytes."""
    data = int8.file(name).read_bytes()
    entry = int8.model_file(name)
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert entry.size_bytes == len(data)


@pytest.mark.parametrize(
    ("name", "shape", "layout", "dtype"),
    [
        ("model.tflite", (1, 32, 32, 3), "nhwc", "int8"),
        ("model.onnx", (1, 3, 32, 32), "nchw", "uint8"),
        ("source.onnx", (1, 3, 32, 32), "nchw", "int8"),
    ],
)
def test_inputs_and_outputs_are_described_as_the_file_has_them(
    int8: Artifact, name: str, shape: tuple[int, ...], layout: str, dtype: str
) -> None:
    """Shape, layout, type, scale and zero point, read again from the file; a classifier has no stride."""
    path = int8.file(name)
    graph = read_tflite(path) if name.endswith(".tflite") else read_onnx(path)
    (given,), (output,) = int8.model_file(name).inputs, int8.model_file(name).outputs
    assert (given.shape, given.layout, given.dtype, given.meaning) == (shape, layout, dtype, "image")
    assert (output.shape, output.layout, output.dtype, output.meaning) == ((1, 8), "nc", dtype, "logits")
    assert given.stride is None and output.stride is None
    for info in (given, output):
        quantization = graph.tensors[info.name].quantization
        assert quantization is not None
        assert (info.scale, info.zero_point) == (float(quantization.scale[0]), int(quantization.zero_point[0]))


def test_the_uint8_form_has_the_zero_points_of_the_int8_one_plus_128(int8: Artifact) -> None:
    """The same reals."""
    tflite, onnx = int8.model_file("model.tflite"), int8.model_file("model.onnx")
    for first, second in ((tflite.inputs[0], onnx.inputs[0]), (tflite.outputs[0], onnx.outputs[0])):
        assert first.zero_point is not None and second.zero_point is not None
        assert (first.scale, first.zero_point + 128) == (second.scale, second.zero_point)


def test_cost_is_counted_from_the_tflite_file(int8: Artifact) -> None:
    """Multiply-adds, parameters, weight bytes, peak activations; nothing without a rule."""
    counted = count_graph(read_tflite(int8.file("model.tflite")))
    cost = int8.manifest.cost
    assert cost.multiply_adds == counted.multiply_adds > 100_000
    assert cost.parameters == counted.parameters
    assert cost.weights_bytes == counted.weights_bytes
    assert cost.peak_activation_bytes == counted.peak_activation_bytes
    assert cost.unruled == ()


def test_zeros_that_a_file_multiplies_are_not_counted() -> None:
    """A 7x7 convolution from two channels to one that is written as a band matrix costs what it costs unwritten."""
    graph = graph_of_case(CASES["a spatial gate"], 0)
    file = read_tflite(tflite_bytes(graph))
    cost, counted = written_cost(graph, file), count_graph(file)
    assert (cost.multiply_adds, cost.parameters) == (12 * 9 * 98, 98 + 1)
    assert (counted.multiply_adds, counted.parameters) == (12 * 9 * 7 * 18, 9 * 7 * 18 + 9)
    assert cost.weights_bytes == counted.weights_bytes and cost.peak_activation_bytes == counted.peak_activation_bytes


def test_expected_outputs_are_those_of_the_integer_simulation(int8: Artifact) -> None:
    """Per file in its own integers: int8 as simulated, uint8 128 higher."""
    arrays = read_selftest(int8)
    assert len(arrays["images"]) == int8.manifest.selftest.samples == 3
    graph = read_tflite(int8.file("model.tflite"))
    raw = model_input(arrays["images"], int8.model_file("model.tflite"), int8.manifest.preprocess)
    simulated = IntegerSimulation(graph).run([raw])[0]
    np.testing.assert_array_equal(arrays["output_model.tflite_0"], simulated)
    np.testing.assert_array_equal(arrays["output_model.onnx_0"], simulated.astype(np.int16) + 128)
    assert "output_source.onnx_0" not in arrays


def test_xnnpack_may_not_differ_and_unmeasured_kernels_as_much_as_the_worst_measured(int8: Artifact) -> None:
    """0 quanta for XNNPACK here; `*` is at least 1 quantum and covers every measured set."""
    allowed = int8.manifest.selftest.allowed
    assert set(allowed) == {"model.tflite", "model.onnx"}
    assert all(bound == 0.0 for key, bound in allowed["model.tflite"].items() if key.startswith("litert/xnnpack/"))
    for bounds in allowed.values():
        assert bounds["*"] >= 1.0
        assert bounds["*"] == max(1.0, *bounds.values())


def test_a_file_that_computes_in_float_between_integers_promises_no_exactness(
    int8: Artifact, loaded: tuple[Graph, Description], tmp_path: Path
) -> None:
    """A float sum rounds as its kernel and processor do: 1 quantum at least, and `edge verify --record` keeps it."""
    graph = in_float(read_onnx(int8.file("source.onnx")), 1)
    images = selftest_images(loaded[1].preprocess)
    built = build_artifact(graph, loaded[1], tmp_path / "island", images=images, allow_float=frozenset({"Sin"}))
    assert all(bound >= 1.0 for bounds in built.manifest.selftest.allowed.values() for bound in bounds.values())
    main(["verify", str(built.folder), "--record"])
    recorded = open_artifact(built.folder).manifest
    assert recorded.fidelity and recorded.selftest.allowed["model.tflite"]["litert/xnnpack/x86_64"] >= 1.0


def test_a_float_file_may_differ_by_a_thousandth_of_the_largest_output(float32: Artifact) -> None:
    """One bound for every kernel set."""
    arrays = read_selftest(float32)
    for name, bounds in float32.manifest.selftest.allowed.items():
        largest = float(np.abs(arrays[f"output_{name}_0"].astype(np.float64)).max())
        assert bounds == {"*": pytest.approx(FLOAT_TOLERANCE * largest)}


def test_provenance_leads_to_checkpoint_and_parent(road: Path, int8: Artifact) -> None:
    """Paths are relative to the folder; hashes are those of the files."""
    provenance = int8.manifest.provenance
    assert (int8.folder / provenance.source_path).resolve() == (road / "run" / "qat.safetensors").resolve()
    assert provenance.parent_path is not None
    parent = (int8.folder / provenance.parent_path).resolve()
    assert parent == (road / "run" / "float.safetensors").resolve()
    assert provenance.parent_sha256 == hashlib.sha256(parent.read_bytes()).hexdigest()
    assert provenance.recipe is not None and provenance.recipe["name"] == "tiny"


def test_the_manifest_fits_the_published_schema(int8: Artifact) -> None:
    """docs/manifest.schema.json names every key that is written, and the model refuses any other."""
    schema = json.loads((Path(__file__).parents[3] / "docs" / "manifest.schema.json").read_text())
    written = json.loads((int8.folder / "manifest.json").read_text())
    assert set(written) <= set(schema["properties"])
    assert set(schema["required"]) <= set(written)
    written["colour"] = "blue"
    with pytest.raises(ArtifactError, match="colour"):
        parse_manifest(json.dumps(written).encode(), "manifest.json")


def integer_graph_with_a_float_tail() -> Graph:
    """NHWC: an int8 convolution, a Dequantize, and a Sigmoid over floats."""
    source = activation("image", (1, 4, 4, 3), Parameters(scale=0.02, zero_point=0))
    target = activation("logits", (1, 4, 4, 2), Parameters(scale=0.1, zero_point=3))
    weight = np.ones((2, 3, 1, 1), np.int8)
    graph = conv_graph(source, target, weight, np.full(2, 0.01, np.float32), np.zeros(2, np.int32))
    tail = (
        Operator(kind="Dequantize", name="back", inputs=("logits",), outputs=("reals",), attributes={}),
        Operator(kind="Sigmoid", name="squash", inputs=("reals",), outputs=("scores",), attributes={}),
    )
    reals = [Tensor(name=name, shape=(1, 4, 4, 2), dtype="float32") for name in ("reals", "scores")]
    tensors = {**graph.tensors, **{tensor.name: tensor for tensor in reals}}
    return replace(graph, operators=(*graph.operators, *tail), tensors=tensors, outputs=("scores",))


def test_float_operators_are_refused_by_kind_and_name_with_the_option_that_allows_them() -> None:
    """The Dequantize before it comes along, and is not named."""
    graph = integer_graph_with_a_float_tail()
    assert [operator.name for operator in float_operators(graph)] == ["back", "squash"]
    with pytest.raises(UnsupportedError) as refused:
        require_integer_only(graph)
    assert str(refused.value) == (
        "1 operator would stay in float: Sigmoid (squash); allow it with --allow-float Sigmoid"
    )


def test_what_is_allowed_by_kind_or_name_may_stay_in_float_and_nothing_else() -> None:
    """The rest is still refused by name."""
    graph = integer_graph_with_a_float_tail()
    require_integer_only(graph, allowed=frozenset({"squash"}))
    with pytest.raises(UnsupportedError, match=r"1 operator would stay in float: Sigmoid \(squash\); allow it with"):
        require_integer_only(graph, allowed=frozenset({"Dequantize"}))


def test_an_integer_network_has_no_float_operator(int8: Artifact) -> None:
    """Neither in the source nor in the TFLite file."""
    assert float_operators(to_nhwc(read_onnx(int8.file("source.onnx")))) == []
    assert float_operators(read_tflite(int8.file("model.tflite"))) == []


def test_precision_is_that_of_the_activations(int8: Artifact, loaded: tuple[Graph, Description]) -> None:
    """An integer graph is int8, a graph of reals float32."""
    assert precision_of(read_onnx(int8.file("source.onnx"))) == "int8"
    assert precision_of(loaded[0]) == "float32"


def test_writing_twice_gives_the_same_bytes(loaded: tuple[Graph, Description]) -> None:
    """Model files depend on the graph alone."""
    first, second = (write_model_files(*loaded, allow_float=frozenset()) for _ in range(2))
    assert first.contents == second.contents


def test_images_of_another_size_are_refused(loaded: tuple[Graph, Description], tmp_path: Path) -> None:
    """In one line that says both sizes, and nothing is written."""
    with pytest.raises(UsageError, match=r"uint8 \(1, 16, 16, 3\), the model takes"):
        build_artifact(*loaded, tmp_path / "out", images=np.zeros((1, 16, 16, 3), np.uint8))
    assert not list(tmp_path.iterdir())


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder and of those in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_build_that_fails_leaves_the_old_artifact_as_it_was(
    loaded: tuple[Graph, Description], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An operator that cannot be written, and a disk that fills up while the folder is written."""
    graph, description = loaded
    images = selftest_images(description.preprocess)
    folder = tmp_path / "artifact"
    build_artifact(graph, description, folder, images=images)
    before = contents(tmp_path)

    last = graph.operators[-1]
    strange = replace(graph, operators=(*graph.operators[:-1], replace(last, kind="Erf", attributes={})))
    with pytest.raises(UnsupportedError, match="Erf"):
        build_artifact(strange, description, folder, images=images)
    assert contents(tmp_path) == before

    def full(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(FileError, match="artifact: cannot be written: No space left on device"):
        build_artifact(graph, description, folder, images=images)
    monkeypatch.undo()
    assert contents(tmp_path) == before
    open_artifact(folder)


def test_a_better_build_replaces_the_old_artifact_whole(road: Path, int8: Artifact, tmp_path: Path) -> None:
    """Float over INT8: no file of the old one is left."""
    folder = tmp_path / "artifact"
    for kind in ("qat", "float"):
        assert main(["convert", str(road / "run" / f"{kind}.safetensors"), "-o", str(folder), "--no-verify"]) == 0
    assert open_artifact(folder).manifest.precision == "float32"
    assert not (folder / "source.onnx").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["artifact"]


def test_a_folder_that_holds_anything_else_is_refused_and_kept(road: Path, tmp_path: Path) -> None:
    """The run's own folder, for one: its checkpoints stay."""
    run = tmp_path / "run"
    shutil.copytree(road / "run", run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    assert main(["convert", str(run / "qat.safetensors"), "-o", str(run), "--no-verify"]) == 1
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_float_operator_is_allowed_by_name_and_compared_to_a_tolerance(
    road: Path, tiny_card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An INT8 network that ends in a float Sin: refused by default, and with --allow-float judged as floats."""
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load(road / "int8" / "source.onnx")
    last = model.graph.output[0].name
    tensor = read_onnx(road / "int8" / "source.onnx").tensors[last]
    assert tensor.quantization is not None
    model.graph.initializer.append(helper.make_tensor("s", TensorProto.FLOAT, (), tensor.quantization.scale.tolist()))
    zero = tensor.quantization.zero_point.tolist()
    model.graph.initializer.append(helper.make_tensor("z", TensorProto.INT8, (), zero))
    model.graph.node.append(helper.make_node("DequantizeLinear", [last, "s", "z"], ["real"]))
    model.graph.node.append(helper.make_node("Sin", ["real"], ["waves"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("waves", TensorProto.FLOAT, tensor.shape))
    onnx.save(model, tmp_path / "soft.onnx")
    (tmp_path / "card.toml").write_text(f'scores = "exclusive"\nvalues = "logits"\n{tiny_card}')
    source, card = str(tmp_path / "soft.onnx"), str(tmp_path / "card.toml")
    words = ["convert", source, "-o", str(tmp_path / "soft"), "--card", card]
    assert main(words) == 1
    assert "--allow-float" in capsys.readouterr().err
    assert main([*words, "--allow-float", "Sin,Dequantize"]) == 0
    said = capsys.readouterr().err
    assert "largest difference from the float reference" in said
    assert "0 of 0 values" not in said


def test_class_names_that_do_not_fit_the_scores_are_refused(
    road: Path, tiny_card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A card with a name missing: one line with both numbers, nothing written."""
    (tmp_path / "card.toml").write_text(tiny_card.replace(', "h"', ""))
    words = ["convert", str(road / "int8" / "source.onnx"), "--card", str(tmp_path / "card.toml")]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert "7 class names for a model with 8 scores" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_segmenters_card_on_a_classifier_is_refused(
    road: Path, tiny_card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is written."""
    (tmp_path / "card.toml").write_text(tiny_card.replace('"classify"', '"segment"'))
    words = ["convert", str(road / "int8" / "source.onnx"), "--card", str(tmp_path / "card.toml")]
    assert main([*words, "-o", str(tmp_path / "out")]) == 2
    assert "task 'segment' for a model whose output is (1, 8)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_misspelt_kind_is_not_allowed_to_stay_in_float() -> None:
    """The nearest one is named."""
    with pytest.raises(UsageError, match="unknown operator 'Sigmod'; did you mean 'Sigmoid'"):
        require_integer_only(integer_graph_with_a_float_tail(), allowed=frozenset({"Sigmod"}))
