"""GCT and CBAM in integers: trained with quantization or calibrated, exact in LiteRT, and never a file that dies."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from converters.convert.bare_file import convert_file
from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.ops.kernel_limits import limit_fault
from edge.models.cbam import ConvolutionalBlockAttention
from edge.models.gct import GatedChannelTransformation
from edge.models.involution import NormalizedInvolution
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.phase import TRAIN, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase
from tests.support.onnx_session import cpu_session

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


class Involved(NormalizedInvolution):
    """A 7x7 involution, of the signature of a gate."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 7)


MODULES = {"gct": GatedChannelTransformation, "cbam": ConvolutionalBlockAttention, "involution": Involved}


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
    session = cpu_session(onnxruntime_form(read_onnx(onnx_bytes(graph))))
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
        ("deeplab_mobilenet_v1", {"width": 0.25, "resolution_hw": (64, 96)}),
        ("deeplab_mobilenet_v2", {"width": 0.35, "resolution_hw": (64, 96)}),
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


class Followed(nn.Module):
    """A convolution and a function of what it gives."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv(x))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "a root": lambda x: torch.sqrt(torch.relu(x)),
    "a root of a square": lambda x: x.square().sqrt(),
    "tanh": torch.tanh,
    "normalize, channels": functional.normalize,
    "normalize, the last axis": lambda x: functional.normalize(x, dim=-1),
    "mean, positions": lambda x: x.mean((2, 3)),
    "mean, channels": lambda x: x.mean(1, keepdim=True),
    "mean, a negative axis": lambda x: x.mean(-2),
    "mean, channels and rows": lambda x: x.mean((1, -2), keepdim=True),
    "mean, all but the batch": lambda x: x.mean((-1, -2, -3)),
    "sum, positions": lambda x: x.sum((2, 3), keepdim=True),
    "sum, channels": lambda x: x.sum(1),
    "sum, a negative axis": lambda x: x.sum(-1, keepdim=True),
    "amax, positions": lambda x: x.amax((2, 3), keepdim=True),
    "amax, channels": lambda x: torch.amax(x, 1),
    "amax, negative axes": lambda x: x.amax((-1, -3)),
    "max, values": lambda x: x.max(1, keepdim=True)[0],
    "max, a negative axis": lambda x: torch.max(x, dim=-1).values,
    "amin, positions": lambda x: x.amin((2, 3)),
    "amin, negative axes": lambda x: torch.amin(x, (-3, -2), keepdim=True),
    "min, values": lambda x: x.min(-1)[0],
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS.keys())
def test_what_gates_are_made_of_trains_and_is_exact(function: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    torch.manual_seed(0)
    prepared = prepared_model(Followed(function), "learned")
    weight = prepared.layers["conv"].layer.weight
    before = weight.detach().clone()
    graph = freeze(trained(prepared))
    assert torch.isfinite(weight).all() and (weight != before).float().mean() > 0.9
    assert_exact_in_litert(graph, tmp_path)


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
        learning = {name: entry for name, entry in layers.items() if entry.requires_grad}  # a norm alone stands on ones
        assert not [name for name, entry in learning.items() if not (entry.grad.abs().sum() > 0)]
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


def filled(path: str, value: float, channels: slice = slice(None)) -> Callable[[nn.Module], None]:
    """What sets a parameter of a network, or some channels of it."""

    def fill(model: nn.Module) -> None:
        model.get_parameter(path).data[channels] = value

    return fill


DEAD: dict[str, tuple[str, Callable[[nn.Module], None]]] = {
    "a GCT of a map of zeros": ("gct", filled("stem.1.bias", -500.0)),
    "a GCT of one channel that is not dead": ("gct", filled("stem.1.bias", -500.0, slice(1, None))),
    "a GCT of one channel that is dead": ("gct", filled("stem.1.bias", -500.0, slice(1))),
    "a GCT with alpha 0": ("gct", filled("attention.embedding.weight", 0.0)),
    "a GCT whose gates are shut": ("gct", filled("attention.gate.bias", -20.0)),
    "a CBAM of a map of zeros": ("cbam", filled("stem.1.bias", -500.0)),
    "a CBAM without a hidden unit": ("cbam", filled("attention.reduce.bias", -500.0)),
    "a CBAM with one hidden unit": ("cbam", filled("attention.reduce.bias", -500.0, slice(1))),
    "a CBAM without spatial weights": ("cbam", filled("attention.spatial.weight", 0.0)),
    "a CBAM whose spatial norm is 0": ("cbam", filled("attention.norm.weight", 0.0)),
    "a CBAM whose spatial gate is shut": ("cbam", filled("attention.norm.bias", -20.0)),
}


@pytest.mark.parametrize("ranges", ["learned", "moving_average", "calibrated"])
@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_unit_makes_a_file_that_loads(dead: str, ranges: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    attention, kill = DEAD[dead]
    model = opened(Small(MODULES[attention]))
    kill(model)
    if ranges == "calibrated":
        graph = calibrate(float_graph(model.eval(), images(1)), [images(8).numpy()])
    else:
        prepared = trained(prepared_model(model, ranges), steps=2)
        assert all(torch.isfinite(entry).all() for entry in prepared.parameters())
        graph = freeze(prepared)
    assert_exact_in_litert(graph, tmp_path)
