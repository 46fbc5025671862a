"""16x8 artifacts: int16 activations, int8 weights, from a float network, from training and from another tool."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from converters.convert.build import build_artifact
from converters.convert.heads import append_head
from converters.onnx.file import onnx_bytes
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.artifact.model_file import Labels
from edge.artifact.scheme import Scheme, input_range
from edge.data.generated import generated_split
from edge.errors import UnsupportedError, UsageError
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.registry import build
from edge.predictor.predictor import Predictor
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.phase import CALIBRATE, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, prepare_qat, set_phase
from edge.verification.checks.runtimes import RuntimeChoice
from edge.verification.verify import Request, verify
from edge.vision.pixels import normalize, normalize_table, quantize_table, resize
from edge.vision.preprocess import Preprocess
from tests.support.one_operator import litert_outputs
from tests.support.onnx_session import cpu_session

INT16 = Scheme(activation_bits=16)
SIZES = {"classify": (32, 32), "segment": (64, 96)}


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """One thread."""
    torch.set_num_threads(1)


def preprocess_for(task: str) -> Preprocess:
    """[-1, 1], the whole frame."""
    height, width = SIZES[task]
    grey = (127.5, 127.5, 127.5)
    return Preprocess(
        colour_order="rgb",
        height=height,
        width=width,
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=grey,
        std=grey,
    )


@cache
def pixels(task: str, count: int) -> np.ndarray:
    """uint8 (n, h, w, 3)."""
    split = generated_split(task, "val", count)
    return np.stack([resize(split.image(index), preprocess_for(task)) for index in range(count)])


def inputs(task: str, count: int) -> np.ndarray:
    """float32 NCHW."""
    return np.ascontiguousarray(normalize(pixels(task, count), preprocess_for(task)).transpose(0, 3, 1, 2))


@cache
def network(task: str) -> torch.nn.Module:
    """A small network whose batch norm has seen some images."""
    torch.manual_seed(0)
    if task == "classify":
        model = build("mobilenet_v2", classes=6, width=0.35, resolution=32)
    else:
        model = build("fast_scnn", classes=6, resolution_hw=SIZES[task])
    x = torch.from_numpy(inputs(task, 8))
    with torch.no_grad():
        for _ in range(15):
            model.train()(x)
    return model.eval()


@cache
def float_of(task: str) -> Graph:
    """The float graph."""
    return float_graph(network(task), torch.from_numpy(inputs(task, 1)))


@cache
def quantized(task: str, scheme: Scheme = INT16) -> Graph:
    """After training."""
    span = input_range(normalize_table(preprocess_for(task)), scheme)
    return calibrate(float_of(task), [inputs(task, 8)], scheme=scheme, input_range=span)


def artifact_of(graph: Graph, task: str, folder: Path, head: str | None) -> Artifact:
    """The artifact with a generated provenance."""
    description = Description(
        name=task,
        task=task,  # type: ignore[arg-type]
        head=head,  # type: ignore[arg-type]
        preprocess=preprocess_for(task),
        labels=Labels(names=tuple("abcdef")),
        quantization=QuantizationInfo(method="ptq", scheme=INT16.model_dump(mode="json")),
        provenance=provenance(source=folder, folder=folder, parent=None, parent_sha256=None),
    )
    return build_artifact(graph, description, folder, images=pixels(task, 2))


@pytest.mark.unhurried
@pytest.mark.parametrize(("task", "head"), [("classify", None), ("segment", "logits"), ("segment", "class_map")])
def test_an_artifact_verifies_exactly(task: str, head: str | None, tmp_path: Path) -> None:
    """0 values differ between simulation and LiteRT, end to end and per operator; the predictor's self-test passes."""
    artifact = artifact_of(append_head(quantized(task), head or "logits"), task, tmp_path / "a", head)
    assert artifact.manifest.precision == "int16x8"
    assert {file.path for file in artifact.manifest.files} == {"model.tflite", "model.onnx"}
    assert artifact.model_file("model.tflite").inputs[0].dtype == "int16"
    allowed = artifact.manifest.selftest.allowed["model.tflite"]
    assert {key: value for key, value in allowed.items() if key.startswith("litert/")} == {
        "litert/builtin/x86_64": 0.0,
        "litert/reference/x86_64": allowed["litert/reference/x86_64"],
    }
    assert any(key.startswith("onnxruntime/") for key in artifact.manifest.selftest.allowed["model.onnx"])
    report = verify(artifact, Request(runtimes=RuntimeChoice(engines=("litert",))))
    assert report.verdict.ship, report.verdict.sentence
    judged = {finding.check: finding for finding in report.verdict.findings}
    assert judged["end to end"].passed is True and judged["end to end"].data["differing"] == 0
    assert judged["operators"].data["operators_differing"] == 0 and not judged["operators"].data["operators_skipped"]
    frame = generated_split(task, "val", 1).image(0)
    prediction = Predictor.load(artifact, engine="litert")(frame)
    assert prediction.times.total_ns > 0


@pytest.mark.unhurried
@pytest.mark.parametrize("task", ["classify", "segment"])
def test_int16_is_closer_to_float_than_int8(task: str) -> None:
    """The error of the logits against float falls by a quarter at least; the rest is the weights' rounding."""
    x, graph = inputs(task, 4), float_of(task)
    wanted = run_float(graph, [x])[graph.outputs[0]]
    errors = []
    for scheme in (INT16, Scheme()):
        made = quantized(task, scheme)
        given = made.tensors[made.inputs[0]].quantization
        found = made.tensors[made.outputs[0]].quantization
        assert given is not None and found is not None
        table = quantize_table(
            preprocess_for(task), float(given.scale[0]), int(given.zero_point[0]), scheme.activation_dtype
        )
        raw = np.stack([table[c][pixels(task, 4)[..., c]] for c in range(3)], axis=1)
        output = IntegerSimulation(made).run([raw])[0].astype(np.float64) - found.zero_point[0]
        errors.append(float(np.abs(output * float(found.scale[0]) - wanted).mean()))
    assert errors[0] < 0.75 * errors[1]


def test_the_onnx_file_reads_back_the_same_and_runs_in_onnx_runtime() -> None:
    """Operator set 21, int16 parameters bit for bit; ONNX Runtime is within a few quanta of the integers."""
    graph = quantized("classify")
    data = onnx_bytes(graph)
    assert onnx.load_from_string(data).opset_import[0].version == 21
    read = read_onnx(data)
    for name, tensor in graph.tensors.items():
        assert tensor.quantization is None or tensor.quantization.same_as(read.tensors[name].quantization)
        assert tensor.dtype == read.tensors[name].dtype
    raw = np.random.default_rng(0).integers(-32767, 32768, graph.tensors[graph.inputs[0]].shape).astype(np.int16)
    session = cpu_session(data)
    output = session.run(None, {graph.inputs[0]: raw})[0]
    assert np.abs(output.astype(int) - IntegerSimulation(graph).run([raw])[0]).max() <= 50


def test_the_tflite_file_has_wide_biases_with_the_same_integers() -> None:
    """int64 in the file, as TFLite's 16x8 kernels add in 64 bits."""
    graph = read_onnx(onnx_bytes(quantized("classify")))
    from converters.tflite.writer import tflite_bytes

    file = read_tflite(tflite_bytes(to_nhwc(graph)))
    biases = [operator.inputs[2] for operator in file.operators if operator.kind in ("Conv", "Gemm")]
    assert biases
    for name in biases:
        assert file.tensors[name].dtype == "int64"
        assert np.array_equal(file.constant(name), graph.constant(name))


def test_training_ships_what_it_rounds() -> None:
    """QAT with 16 bits: symmetric ranges; the frozen graph equals LiteRT, and is close to the training forward."""
    x = torch.from_numpy(inputs("classify", 8))
    span = input_range(normalize_table(preprocess_for("classify")), INT16)
    prepared = prepare_qat(network("classify"), x[:1], INT16, QatOptions(input_range=span))
    prepared.train()
    set_phase(prepared, CALIBRATE)
    prepared(x)
    set_phase(prepared, TRAIN_FOLDED)
    prepared(x).square().mean().backward()
    graph = freeze(prepared.eval())
    given = graph.tensors[graph.inputs[0]].quantization
    assert given is not None and graph.tensors[graph.inputs[0]].dtype == "int16"
    raw = np.rint(inputs("classify", 1) / given.scale[0]).astype(np.int16)
    simulated = IntegerSimulation(graph).run([raw])[0]
    output = litert_outputs(to_nhwc(graph), [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])[0][0]
    assert np.array_equal(simulated, output)
    found = graph.tensors[graph.outputs[0]].quantization
    assert found is not None
    with torch.no_grad():
        trained = prepared(x[:1]).numpy()
    assert np.abs(trained / found.scale[0] - simulated).max() < 60


def test_learned_ranges_of_16_bits_are_refused() -> None:
    """There is nothing to learn in 65,535 steps."""
    with pytest.raises(UsageError, match="take 'moving_average'"):
        prepare_qat(network("classify"), torch.zeros(1, 3, 32, 32), INT16, QatOptions(ranges="learned"))


class Reader(CalibrationDataReader):
    """Some images for ONNX Runtime's quantizer."""

    def __init__(self, name: str, values: np.ndarray) -> None:
        self._left = [{name: values[index : index + 1]} for index in range(len(values))]

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next one."""
        return self._left.pop() if self._left else None


@pytest.mark.unhurried
@pytest.mark.parametrize("symmetric", [True, False])
def test_onnx_runtimes_16_bit_files_convert_with_their_parameters(symmetric: bool, tmp_path: Path) -> None:
    """QInt16 activations with QInt8 weights; asymmetric ones, which no 16x8 kernel has, are refused by name."""
    graph = float_of("classify")
    source, target = tmp_path / "float.onnx", tmp_path / "int16.onnx"
    source.write_bytes(onnx_bytes(graph))
    quantize_static(
        source,
        target,
        Reader(graph.inputs[0], inputs("classify", 4)),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt16,
        weight_type=QuantType.QInt8,
        per_channel=True,
        extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, "UseQDQContribOps": True},
    )
    read = read_onnx(target)
    if not symmetric:
        with pytest.raises(UnsupportedError, match="quantize with ActivationSymmetric"):
            canonical(read)
        return
    foreign = canonical(read)
    kinds = {operator.kind for operator in foreign.operators}
    assert "Dequantize" not in kinds and foreign.tensors[foreign.inputs[0]].dtype == "int16"
    raw = np.random.default_rng(0).integers(-32767, 32768, foreign.tensors[foreign.inputs[0]].shape).astype(np.int16)
    output = litert_outputs(to_nhwc(foreign), [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])[0][0]
    assert np.array_equal(IntegerSimulation(foreign).run([raw])[0], output)
