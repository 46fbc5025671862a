import pytest
import torch
from torch import nn
from torch.nn import functional

from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.models.registry import build
from edge.quantization.qat.capture import capture
from edge.quantization.qat.freeze import float_graph
from tests.support.networks import outputs_of
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet, images, trained_statistics

EXAMPLE = torch.zeros(1, 3, *SIZE_HW)


def assert_same(model: nn.Module, x: torch.Tensor) -> None:
    graph = float_graph(model, x[:1])
    with torch.no_grad():
        expected = model.eval()(x)
    for result, wanted in zip(FloatRun(graph).run([x.numpy()]), outputs_of(expected), strict=True):
        assert torch.allclose(torch.from_numpy(result), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", [TinyResNet, Branches])
def test_the_float_graph_computes_what_the_module_computes(network: type[nn.Module]) -> None:
    assert_same(trained_statistics(network()), images(2))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("mobilenet_v1", {"classes": 4, "width": 0.25, "resolution": 64, "activation": "relu"}),
        ("mobilenet_v2", {"classes": 4, "width": 0.25, "resolution": 64}),
        ("fast_scnn", {"classes": 4, "resolution_hw": (64, 96)}),
        ("deeplab_mobilenet_v1", {"classes": 4, "width": 0.25, "resolution_hw": (65, 97)}),
        ("deeplab_mobilenet_v2", {"classes": 4, "width": 0.25, "resolution_hw": (64, 96), "pyramid": True}),
        ("mobilenet_v1_ssdlite", {"classes": 4, "width": 0.25, "resolution": 72}),
        ("mobilenet_v2_ssdlite", {"classes": 4, "width": 0.25, "resolution": 72}),
    ],
)
def test_our_networks_lower_to_what_they_compute(name: str, arguments: dict[str, object]) -> None:
    model = trained_statistics(build(name, **arguments))
    shape = model.input_shape
    assert isinstance(shape, tuple)
    assert_same(model, torch.randn(1, *shape[1:]))


def test_batch_norm_folds_rectifiers_fuse_and_dropout_goes() -> None:
    graph = float_graph(TinyResNet(), EXAMPLE)
    kinds = [operator.kind for operator in graph.operators]
    assert sorted(set(kinds)) == ["Add", "Conv", "Gemm", "MaxPool", "Mean", "Reshape"]
    stem = graph.operators[0]
    assert (stem.name, stem.attributes["activation"]) == ("stem.0", "relu")
    adds = [operator for operator in graph.operators if operator.kind == "Add"]
    assert [add.attributes["activation"] for add in adds] == ["relu", "relu"]


def test_names_are_those_of_the_modules() -> None:
    graph = float_graph(TinyResNet(), EXAMPLE)
    names = [operator.name for operator in graph.operators]
    assert "layer2.shortcut.0" in names and "layer1.add" in names and "fc" in names


def test_lowering_leaves_the_model_as_it_was() -> None:
    model = TinyResNet().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    capture(model, EXAMPLE)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


class Called(nn.Module):
    """A module whose forward is the given function of itself and x."""

    def __init__(self, function: object, **parts: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(self, x)  # type: ignore[operator,no-any-return]


def _first(pair: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    values, _ = pair
    return values


@pytest.mark.parametrize(
    "function",
    [
        lambda self, x: functional.relu(self.norm(x)),  # batch norm with no layer before it
        lambda self, x: self.conv(self.conv(x)),  # one layer, called twice
        lambda self, x: functional.adaptive_avg_pool2d(self.conv(x), (3, 4)),
        lambda self, x: torch.add(x, self.conv(x)).mean((2, 3)),
        lambda self, x: functional.max_pool2d(functional.relu(self.conv(x)), 2).flatten(1),
        lambda self, x: functional.interpolate(self.conv(x), scale_factor=2, mode="nearest"),
        lambda self, x: functional.avg_pool2d(self.conv(x), 3, 2, 1),  # padding that counts
        lambda self, x: functional.avg_pool2d(self.conv(x), 3, 1, 1, count_include_pad=False),
        lambda self, x: functional.avg_pool2d(self.conv(x), 5, 4, ceil_mode=True),  # reaches over the edge
        lambda self, x: functional.avg_pool2d(self.conv(x), 5, 4, 1, ceil_mode=True),
        lambda self, x: functional.avg_pool2d(self.conv(x), 5, 4, 2, ceil_mode=True, count_include_pad=False),
        lambda self, x: functional.pad(self.conv(x), (1, 2, 0, 3)),
        lambda self, x: self.conv(x) * torch.sigmoid(x) - x,
        lambda self, x: self.linear(x.mean((2, 3)).reshape(x.shape[0], -1)).softmax(1),
        lambda self, x: functional.dropout(self.conv(x), 0.5, self.training)[:, :, ::2, 1:],
        lambda self, x: self.conv(x).mean(1, keepdim=True) * torch.amax(x, (1, 3), keepdim=True),
        lambda self, x: torch.tanh(self.conv(x)).sum(-1),
        lambda self, x: self.conv(x).min(-2)[0] - torch.amin(x, (-2,)),
        lambda self, x: torch.sqrt(functional.relu(self.conv(x)).square() + x**2).max(1, keepdim=True)[0],
        lambda self, x: _first(self.conv(x).min(1, keepdim=True)) + x,
        lambda self, x: functional.normalize(self.conv(x), dim=1) - torch.max(x, dim=1, keepdim=True).values,
    ],
)
def test_a_usual_way_of_writing_it_lowers(function: object) -> None:
    parts = {"conv": nn.Conv2d(3, 3, 3, padding=1), "norm": nn.BatchNorm2d(3), "linear": nn.Linear(3, 4)}
    assert_same(trained_statistics(Called(function, **parts)), images(2))


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda self, x: functional.gelu(self.conv(x)), r"gelu \(gelu\) cannot be quantized"),
        (lambda self, x: self.act(x), r"SiLU \(act\) cannot be quantized"),
        (lambda self, x: self.conv(x) + 1.5, r"Add \(add\) with a constant operand"),
        (lambda self, x: self.conv(x).clamp(-1, 1), r"clamp \(clamp\) cannot be quantized"),
        (lambda self, x: self.reflect(x), "reflect: padding mode 'reflect'"),
        (lambda self, x: functional.interpolate(x, scale_factor=1.3, mode="bilinear"), "does not give whole pixels"),
        (lambda self, x: functional.adaptive_avg_pool2d(x, 5), "does not divide into"),
        (lambda self, x: functional.avg_pool2d(x, 2, divisor_override=3), "omit divisor_override"),
        (lambda self, x: functional.dropout(self.conv(x)), "dropout is active in evaluation mode too"),
        (lambda self, x: self.conv(x.flatten(2).reshape(3, 24, 32)), "must stay the batch"),
        (lambda self, x: functional.max_pool2d(x.flatten(2), 1), "is needed"),
        (lambda self, x: functional.avg_pool2d(x.flatten(2), 1, padding=0), "is needed"),
        (lambda self, x: functional.interpolate(x.flatten(2), size=99), "is needed"),
        (lambda self, x: x[:, :, : self.conv(x).mean((2, 3)).argmax(1).item()], "item reads a tensor's values"),
        (lambda self, x: self.conv(x)[:1], "slicing the first axis, the batch"),
        (lambda self, x: self.conv(x)[:, :1].permute(1, 0, 2, 3), "the first axis must stay the batch"),
        (lambda self, x: self.conv(x).mean((0, 2)), "over the batch has no operator; name the other axes"),
        (lambda self, x: self.conv(x).sum(), "over the batch has no operator"),
        (lambda self, x: torch.max(self.conv(x), x), "max over everything, or of two tensors"),
        (lambda self, x: torch.max(self.conv(x), 1)[1], "the indices of max have no operator; use argmax"),
        (lambda self, x: self.conv(x).min(), "min over everything, or of two tensors"),
        (lambda self, x: self.conv(x).amin((0, 1)), "over the batch has no operator; name the other axes"),
        (lambda self, x: self.conv(x) ** 3, "the power 3 has no operator; 2 and 0.5 have"),
        (lambda self, x: functional.normalize(self.conv(x), p=1), "normalize with p 1, dim 1"),
        (lambda self, x: functional.normalize(self.conv(x), eps=1e-3), "eps of at most 1e-06"),
        (lambda self, x: functional.hardtanh(x), r"a clip to \[-1.0, 1.0\]"),
        (lambda self, x: x if x.sum() > 0 else -x, "control flow"),
        (lambda self, x: self.conv(x).reshape(-1, 3), "the first axis must stay the batch"),
        (lambda self, x: x[:, 0], "indexing with anything but slices"),
        (lambda self, x: self.conv(x[:, :2]), "the model does not run on .* but got 2 channels instead$"),
    ],
)
def test_what_cannot_be_quantized_is_refused_by_name(function: object, problem: str) -> None:
    parts = {
        "conv": nn.Conv2d(3, 3, 3, padding=1),
        "act": nn.SiLU(),
        "reflect": nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
    }
    with pytest.raises(UnsupportedError, match=problem):
        float_graph(Called(function, **parts), EXAMPLE)


def test_a_layer_that_overrides_its_forward_is_not_taken_for_the_plain_one() -> None:
    class Standardized(nn.Conv2d):
        def forward(self, input: torch.Tensor) -> torch.Tensor:
            return functional.conv2d(input, self.weight - self.weight.mean(), self.bias)

    with pytest.raises(UnsupportedError, match="conv2d"):
        float_graph(nn.Sequential(Standardized(3, 4, 1)), EXAMPLE)
