"""GCT and CBAM in integers: trained with quantization or calibrated, exact in LiteRT, and never a file that dies."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from converters.convert.bare_file import convert_file
from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.ops.kernel_limits import limit_fault
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.gct import GatedChannelTransformation
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.phase import TRAIN, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase

CHANNELS = 32
SIZE = 12


class Small(nn.Module):
    """A convolution, an attention module and another convolution."""

    def __init__(self, attention: type[nn.Module]) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, padding=1), nn.BatchNorm2d(CHANNELS), nn.ReLU6())
        self.attention = attention(CHANNELS)
        self.head = nn.Conv2d(CHANNELS, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.attention(self.stem(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


MODULES = {"gct": GatedChannelTransformation, "cbam": ConvolutionalBlockAttention}


def images(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def opened(model: nn.Module) -> nn.Module:
    """Gates that are not where they start."""
    generator = torch.Generator().manual_seed(1)
    for module in model.modules():
        if isinstance(module, GatedChannelTransformation):
            module.gate.weight.data.normal_(0.0, 0.5, generator=generator)
            module.gate.bias.data.normal_(0.0, 0.3, generator=generator)
            module.embedding.weight.data.normal_(1.0, 0.3, generator=generator)
    return model


def prepared_model(model: nn.Module, ranges: str) -> QuantizedModel:
    prepared = prepare_qat(model.train(), images(1), options=QatOptions(ranges=ranges))  # type: ignore[arg-type]
    with torch.no_grad():
        for seed in range(3):
            prepared(images(4, seed))
    return prepared


def trained(prepared: QuantizedModel, steps: int = 6) -> QuantizedModel:
    optimizer = torch.optim.SGD([entry for entry in prepared.parameters() if entry.requires_grad], lr=0.02)
    for step in range(steps):
        set_phase(prepared, TRAIN if step < steps // 2 else TRAIN_FOLDED)
        optimizer.zero_grad()
        (prepared(images(4, step)) - 1.0).square().mean().backward()
        optimizer.step()
    return prepared.eval()


def quantized(values: np.ndarray, graph: Graph, name: str) -> np.ndarray:
    quantization = graph.tensors[name].quantization
    assert quantization is not None
    raw = np.rint(values / quantization.scale[0]) + quantization.zero_point[0]
    return np.clip(raw, -128, 127).astype(np.int8)


def assert_exact_in_litert(graph: Graph, folder: Path) -> None:
    """The TFLite file holds integers alone and gives the simulation's values, all of them."""
    assert not any(limit_fault(operator, graph.tensors) for operator in graph.operators)
    (folder / "model.onnx").write_bytes(onnx_bytes(graph))
    made = convert_file(folder / "model.onnx", folder / "model.tflite")  # runs it in LiteRT
    assert made.check is not None and [output.differing for output in made.check.outputs] == [0]
    assert not made.floats and not {"QUANTIZE", "DEQUANTIZE"} & set(made.operators)


def assert_near_in_onnx_runtime(graph: Graph) -> None:
    """ONNX Runtime rounds means, norms and gates by itself: at most a few quanta off, seldom."""
    session = onnxruntime.InferenceSession(
        onnxruntime_form(read_onnx(onnx_bytes(graph))), providers=["CPUExecutionProvider"]
    )
    x = quantized(images(8, seed=7).numpy(), graph, graph.inputs[0])
    feed = session.get_inputs()[0]
    batches = x if feed.type == "tensor(int8)" else (x.astype(np.int16) + 128).astype(np.uint8)
    found = np.concatenate([session.run(None, {feed.name: batch[None]})[0] for batch in batches]).astype(int)
    expected = IntegerSimulation(graph).run([x])[0].astype(int)
    apart = np.abs(found - (0 if found.min() < 0 else 128) - expected)
    assert apart.max() <= 3 and (apart > 1).mean() < 0.02


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
@pytest.mark.parametrize("attention", MODULES)
def test_a_trained_gate_is_exact(attention: str, ranges: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    graph = freeze(trained(prepared_model(opened(Small(MODULES[attention])), ranges)))
    assert_exact_in_litert(graph, tmp_path)
    assert_near_in_onnx_runtime(graph)


@pytest.mark.parametrize("attention", MODULES)
def test_a_calibrated_gate_is_exact(attention: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = opened(Small(MODULES[attention])).eval()
    graph = calibrate(float_graph(model, images(1)), [images(8).numpy()])
    assert_exact_in_litert(graph, tmp_path)
    assert_near_in_onnx_runtime(graph)


@pytest.mark.unhurried
@pytest.mark.parametrize("attention", MODULES)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mobilenet_v1", {"width": 0.25, "resolution": 32}),
        ("mobilenet_v2", {"width": 0.35, "resolution": 32}),
        ("fast_scnn", {"resolution_hw": (64, 96)}),
    ],
)
def test_networks_with_gates_are_exact(name: str, arguments: dict[str, object], attention: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = opened(build(name, classes=4, attention=attention, **arguments)).train()
    x = torch.randn(4, *model.input_shape[1:])
    prepared = prepare_qat(model, x[:1], options=QatOptions(ranges="learned"))
    with torch.no_grad():
        prepared(x)
    set_phase(prepared, TRAIN)
    prepared(x).square().mean().backward()
    assert_exact_in_litert(freeze(prepared.eval()), tmp_path)


@pytest.mark.parametrize("road", ["learned", "moving_average", "calibrated"])
def test_gct_starts_as_the_identity_to_the_integer(road: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Small(GatedChannelTransformation)
    if road == "calibrated":
        graph = calibrate(float_graph(model.eval(), images(1)), [images(8).numpy()])
    else:
        graph = freeze(prepared_model(model, road).eval())
    x = quantized(images(16, seed=3).numpy(), graph, graph.inputs[0])
    values = IntegerSimulation(graph).run_all([x])
    before, after = values["stem.2"], values["attention.mul_1"]
    assert before.size == 16 * CHANNELS * SIZE * SIZE and len(np.unique(before)) > 100
    assert int((before != after).sum()) == 0
    assert_exact_in_litert(graph, tmp_path)


def test_twice_a_sigmoid_has_the_integers_of_the_sigmoid() -> None:
    torch.manual_seed(0)
    graph = calibrate(float_graph(opened(Small(GatedChannelTransformation)).eval(), images(1)), [images(8).numpy()])
    quantization = graph.tensors["attention.add"].quantization
    assert quantization is not None and (quantization.scale[0], quantization.zero_point[0]) == (1 / 128, -128)
    values = IntegerSimulation(graph).run_all([quantized(images(16).numpy(), graph, graph.inputs[0])])
    assert len(np.unique(values["attention.sigmoid"])) > 10
    assert np.array_equal(values["attention.sigmoid"], values["attention.add"])


class Root(nn.Module):
    """A root of what cannot be negative."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(torch.relu(self.conv(x)))


def test_training_rounds_a_root_down_as_the_kernel_does() -> None:
    torch.manual_seed(0)
    prepared = trained(prepared_model(Root(), "learned"))
    graph = freeze(prepared)
    x = images(4, seed=5)
    with torch.no_grad():
        forward = quantized(prepared(x).numpy(), graph, graph.outputs[0])
    (simulated,) = IntegerSimulation(graph).run([quantized(x.numpy(), graph, graph.inputs[0])])
    assert len(np.unique(simulated)) > 50 and (forward != simulated).mean() < 0.01


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
def test_a_gate_that_starts_at_zero_opens_both_ways(ranges: str) -> None:
    prepared = trained(prepared_model(Small(GatedChannelTransformation), ranges), steps=10)
    gate = prepared.layers["attention/gate"].layer
    assert (gate.weight > 0.001).any() and (gate.weight < -0.001).any()
    scale, zero_point = prepared.quantizer("attention.gate").parameters_now()
    assert abs(zero_point) < 60 and 1.0 < 255 * scale < 16.0


def test_every_parameter_of_a_gate_trains_with_quantization() -> None:
    for module in MODULES.values():
        torch.manual_seed(0)
        prepared = prepared_model(opened(Small(module)), "learned")
        set_phase(prepared, TRAIN)
        prepared(images(8)).square().mean().backward()
        layers = dict(prepared.layers.named_parameters())
        assert not [name for name, entry in layers.items() if not (entry.grad.abs().sum() > 0)]
        assert all(torch.isfinite(entry.grad).all() for entry in prepared.parameters() if entry.grad is not None)


@pytest.mark.parametrize("attention", MODULES)
def test_the_forward_agrees_with_the_integer_simulation(attention: str) -> None:
    torch.manual_seed(0)
    prepared = trained(prepared_model(opened(Small(MODULES[attention])), "learned"))
    graph = freeze(prepared)
    x = images(16, seed=9)
    with torch.no_grad():
        forward = quantized(prepared(x).numpy(), graph, graph.outputs[0]).astype(int)
    (simulated,) = IntegerSimulation(graph).run([quantized(x.numpy(), graph, graph.inputs[0])])
    difference = np.abs(forward - simulated)
    assert difference.max() <= 2 and (difference != 0).mean() < 0.05


@pytest.mark.parametrize("ranges", ["learned", "moving_average"])
@pytest.mark.parametrize("dead", ["hidden", "map", "alpha"])
def test_a_dead_unit_makes_a_file_that_loads(dead: str, ranges: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = opened(Small(ConvolutionalBlockAttention if dead == "hidden" else GatedChannelTransformation))
    if dead == "hidden":
        nn.init.constant_(model.attention.reduce.bias, -500.0)
    elif dead == "map":
        nn.init.constant_(model.stem[1].bias, -500.0)  # every channel is 0 everywhere
    else:
        nn.init.zeros_(model.attention.embedding.weight)
    prepared = trained(prepared_model(model, ranges), steps=2)
    assert all(torch.isfinite(entry).all() for entry in prepared.parameters())
    assert_exact_in_litert(freeze(prepared), tmp_path)
