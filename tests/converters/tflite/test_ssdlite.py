"""SSDLite through the house's converter: two outputs, no TRANSPOSE, XNNPACK but for two joins, 0 values differ."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.data.open_split import open_split
from edge.engines.litert import open_litert
from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.phase import TRAIN
from edge.quantization.qat.prepare import QatOptions, prepare_qat, set_phase

pytestmark = pytest.mark.unhurried

SMALL: dict[str, dict[str, object]] = {
    "mobilenet_v1_ssdlite": {"classes": 3, "width": 0.25, "resolution": 96},
    "mobilenet_v2_ssdlite": {"classes": 3, "width": 0.25, "resolution": 96},
    "mobilenet_v2_ssdlite cbam": {"classes": 3, "width": 0.25, "resolution": 96, "attention": "cbam"},
    "mobilenet_v2_ssdlite gct": {"classes": 3, "width": 0.25, "resolution": 96, "attention": "gct"},
}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other work may share the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seen(model: nn.Module, images: Tensor, rounds: int) -> nn.Module:
    """The network, its batch norms with statistics of these images: else nothing of an image reaches the outputs."""
    with torch.no_grad():
        for _ in range(rounds):
            model.train()(images)
    return model.eval()


def images(resolution: int, count: int) -> Tensor:
    """Smooth noise in [-1, 1]: it differs from place to place, as photographs do."""
    noise = torch.rand(count, 3, 12, 12, generator=torch.Generator().manual_seed(5)) * 2 - 1
    return nn.functional.interpolate(noise, size=(resolution, resolution), mode="bilinear")


def assert_exact(source: Graph, inputs: list[np.ndarray], path: Path) -> Difference:
    """Written as TFLite: integers only, two outputs, no TRANSPOSE, and LiteRT gives the simulation's integers."""
    path.write_bytes(tflite_bytes(to_nhwc(source)))
    file = read_tflite(path)
    assert float_operators(file) == []
    kinds = Counter(operator.source for operator in file.operators)
    joins = sum(operator.source == "CONCATENATION" and len(operator.inputs) == 6 for operator in file.operators)
    assert kinds["TRANSPOSE"] == 0 and joins == 2
    assert [file.tensors[name].shape[2] for name in file.outputs] == [4, 4]
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(source)
    if "SQRT" not in kinds:  # GCT's operators are built-in kernels
        # XNNPACK joins five at most.
        assert session.info.delegated_operators == len(file.operators) - joins == session.info.operators - joins
    total = Difference()
    for x in inputs:
        found = session.run([np.ascontiguousarray(x.transpose(0, 2, 3, 1))])
        for expected, values in zip(simulation.run([x]), found, strict=True):
            total += integer_difference(expected, values)
            assert len(np.unique(values)) > 20  # a saturated or constant output would prove nothing
    return total


def integers(graph: Graph, real: Tensor) -> np.ndarray:
    parameters = graph.tensors[graph.inputs[0]].quantization
    assert parameters is not None
    levels = np.rint(real.numpy() / parameters.scale[0]) + parameters.zero_point[0]
    return np.clip(levels, -128, 127).astype(np.int8)


@pytest.mark.parametrize("name", SMALL)
def test_calibrated_networks_are_exact(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    given = images(96, 8)
    model = seen(build(name.split()[0], **SMALL[name]), given, 40)
    source = read_onnx(onnx_bytes(calibrate(float_graph(model, given[:1]), [given.numpy()], estimator="minmax")))
    total = assert_exact(source, [integers(source, x[None]) for x in given], tmp_path / "model.tflite")
    assert total.values > 0 and total.differing == 0


@pytest.mark.parametrize("name", ["mobilenet_v2_ssdlite"])
def test_networks_trained_in_integers_are_exact(name: str, tmp_path: Path) -> None:
    """Two steps of training with quantization in the loop, both outputs in the loss; then frozen."""
    torch.manual_seed(0)
    given = images(96, 8)
    model = seen(build(name, **SMALL[name]), given, 20).train()
    prepared = prepare_qat(model, given[:1], options=QatOptions(ranges="learned"))
    prepared(given)
    set_phase(prepared, TRAIN)
    optimizer = torch.optim.SGD(prepared.parameters(), lr=1e-4)
    for _ in range(2):
        codes, logits = prepared(given)
        optimizer.zero_grad()
        (codes.square().mean() + logits.square().mean()).backward()
        optimizer.step()
    source = read_onnx(onnx_bytes(freeze(prepared.eval())))
    with torch.no_grad():
        shown = prepared(given[:1])
    frozen = IntegerSimulation(source).run([integers(source, given[:1])])
    for real, values, output in zip(shown, frozen, source.outputs, strict=True):
        parameters = source.tensors[output].quantization
        assert parameters is not None
        quanta = real.numpy() / parameters.scale[0] + parameters.zero_point[0] - values
        assert np.abs(quanta).mean() < 0.5
    total = assert_exact(source, [integers(source, x[None]) for x in given], tmp_path / "model.tflite")
    assert total.values > 0 and total.differing == 0


@pytest.mark.slow
@pytest.mark.data
def test_the_published_size_is_exact_on_photographs(test_data: Path, tmp_path: Path) -> None:
    """320 pixels, 80 classes, on MobileNetV2's published weights, the head with statistics of photographs."""
    torch.manual_seed(0)
    split = open_split(images=test_data / "imagenet_samples" / "dev")
    pixels = [split.image(index) for index in range(12)]
    squares = [cv2.resize(image, (320, 320), interpolation=cv2.INTER_AREA) for image in pixels]
    given = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).float() / 127.5 - 1
    model = build("mobilenet_v2_ssdlite", classes=80)
    load_pretrained(model, test_data / "models" / "mobilenet_v2_1.0_224.safetensors", reinitialize_head=True)
    with torch.no_grad():  # the backbone's folded statistics stay, the head's are new
        model.eval()
        for _ in range(12):
            model.classifier.train()
            model(given[:6])
    model.eval()
    calibration = [given[start : start + 1].numpy() for start in range(6)]
    source = read_onnx(onnx_bytes(calibrate(float_graph(model, given[:1]), calibration, estimator="minmax")))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(source)))
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(source)
    total = Difference()
    for x in given[6:]:
        raw = integers(source, x[None])
        found = session.run([np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])
        for expected, values in zip(simulation.run([raw]), found, strict=True):
            total += integer_difference(expected, values)
    assert total.values == 6 * 2034 * (4 + 81) and total.differing == 0
