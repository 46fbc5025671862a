"""What was trained is what ships: the module's parameters in the QDQ ONNX, the TFLite file and the runtime form."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.engine import open_session
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.registry import build
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.phase import TRAIN
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase

pytestmark = pytest.mark.unhurried

NETWORKS: dict[str, dict[str, object]] = {
    "mobilenet_v1": {"classes": 5, "width": 0.25, "resolution": 32},
    "mobilenet_v2": {"classes": 5, "width": 0.35, "resolution": 32},
    "fast_scnn": {"classes": 5, "resolution_hw": (64, 96)},
    "deeplab_mobilenet_v2": {"classes": 5, "width": 0.25, "resolution_hw": (64, 96), "pyramid": True},
}


def images(model: nn.Module, count: int, seed: int) -> torch.Tensor:
    shape = model.input_shape
    assert isinstance(shape, tuple)
    return torch.rand(count, *shape[1:], generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module", params=list(NETWORKS))
def trained(request: pytest.FixtureRequest) -> QuantizedModel:
    """A network after two steps of quantization-aware training."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build(request.param, **NETWORKS[request.param])
    example = images(model, 1, 0)
    prepared = prepare_qat(model.train(), example, options=QatOptions(ranges="learned"))
    prepared(images(model, 4, 1))
    set_phase(prepared, TRAIN)
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    for step in range(2):
        loss = prepared(images(model, 4, step)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return prepared.eval()


def assert_identical(module: QuantizedModel, graph: Graph, *, shift: int = 0) -> None:
    for name in module.group_of:
        quantization, quantizer = graph.tensors[name].quantization, module.quantizer(name)
        assert quantization is not None, name
        assert quantization.scale.tobytes() == quantizer.scale.reshape(1).numpy().tobytes(), name
        assert int(quantization.zero_point[0]) == int(quantizer.zero_point) + shift, name
    frozen = freeze(module)
    for operator in frozen.operators:
        for name in operator.inputs:
            tensor, found = frozen.tensors[name], graph.tensors[name]
            if tensor.data is not None:
                assert found.quantization is not None and tensor.quantization is not None
                assert found.quantization.scale.tobytes() == tensor.quantization.scale.tobytes(), name
                assert np.array_equal(found.data, tensor.data), name  # type: ignore[arg-type]


def test_scales_and_zero_points_are_the_modules_in_every_file(trained: QuantizedModel) -> None:
    source = read_onnx(onnx_bytes(freeze(trained)))
    assert_identical(trained, source)
    assert_identical(trained, read_tflite(tflite_bytes(to_nhwc(source), description="trained")))
    assert_identical(trained, read_onnx(onnxruntime_form(source)), shift=128)


def test_litert_answers_what_the_frozen_graph_says(trained: QuantizedModel, tmp_path: Path) -> None:
    graph = freeze(trained)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(graph), description="trained"))
    session = open_session("litert", path, threads=1)
    shape = graph.tensors[graph.inputs[0]].shape
    raw = np.random.default_rng(0).integers(-128, 128, (3, *shape[1:]), dtype=np.int8)
    (expected,) = IntegerSimulation(graph).run([raw])
    for index in range(3):
        (output,) = session.run([np.ascontiguousarray(raw[index : index + 1].transpose(0, 2, 3, 1))])
        nchw = output.transpose(0, 3, 1, 2) if output.ndim == 4 else output
        assert np.array_equal(nchw, expected[index : index + 1])
