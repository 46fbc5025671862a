"""A captured network is the module: changes in place, hooks and what a trace loses are followed or refused by name."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations, prune
from torch.optim.swa_utils import AveragedModel

from edge.errors import UnsupportedError
from edge.quantization.qat import capture_calls
from edge.quantization.qat.capture import capture
from edge.quantization.qat.phase import FLOAT
from edge.quantization.qat.prepare import prepare_qat, set_phase
from tests.support.quantization_networks import trained_statistics

EXAMPLE = torch.zeros(1, 3, 8, 8)
IMAGES = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


class Called(nn.Module):
    """A module whose forward is the given function of itself and x."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.relu, self.relu6 = nn.ReLU(inplace=True), nn.ReLU6(inplace=True)
        self.clip, self.drop = nn.Hardtanh(0.0, 6.0, inplace=True), nn.Dropout(0.5, inplace=True)
        self.norm = nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def assert_right(model: nn.Module) -> None:
    model = trained_statistics(model)
    prepared = prepare_qat(model, EXAMPLE)
    set_phase(prepared, FLOAT)
    with torch.no_grad():
        expected, found = model(IMAGES.clone()), prepared(IMAGES.clone())
    pairs = zip(expected, found, strict=True) if isinstance(expected, tuple) else [(expected, found)]
    assert all(torch.allclose(one, other, rtol=1e-5, atol=1e-5) for one, other in pairs)


def skip_reads_rectified(self, x):
    y = self.a(x)
    return self.b(self.relu(y)) + y


def called_for_its_effect(self, x):
    y = self.a(x)
    self.relu(y)
    return self.b(y) + y


def by_method(self, x):
    y = self.a(x)
    y.relu_()
    y.add_(self.b(y))
    y.mul_(y)
    y.sub_(self.b(y))
    return y + self.b(y)


def by_function(self, x):
    y = self.a(x)
    functional.relu6(y, inplace=True)
    z = self.b(y)
    torch.sigmoid_(z)
    torch.relu_(y)
    functional.hardtanh_(y, 0.0, 6.0)
    return z + y


def augmented(self, x):
    y = self.a(x)
    z = y
    z += self.b(y)
    z -= self.b(z)
    z *= y
    return self.b(z) * y


def through_names(self, x):
    y = self.a(x)
    d = self.drop(y)
    self.relu6(d)
    v = y.view(y.shape).contiguous()
    self.clip(v)
    return self.b(d) + y


def clone_is_another(self, x):
    y = self.a(x)
    c = y.clone()
    c.relu_()
    return y * c


def norm_before_the_change(self, x):
    y = self.a(x)
    z = self.norm(y)
    y.relu_()
    return z + self.norm(y)


def input_itself(self, x):
    x.relu_()
    return self.a(x)


def two_outputs(self, x):
    y = self.a(x)
    return y, self.b(self.relu(y))


def size_arithmetic(self, x):
    y = self.a(x)
    height = y.size(2)
    height //= 2
    return functional.interpolate(y, size=(height, height))


@pytest.mark.parametrize(
    "function",
    [
        skip_reads_rectified,
        called_for_its_effect,
        by_method,
        by_function,
        augmented,
        through_names,
        clone_is_another,
        norm_before_the_change,
        input_itself,
        two_outputs,
        size_arithmetic,
    ],
)
def test_a_change_in_place_is_what_later_readers_see(function: Callable[[nn.Module, Tensor], Tensor]) -> None:
    assert_right(Called(function))


def view_of_a_part(self, x):
    y = self.a(x)
    y[:, :2].relu_()
    return self.b(y)


def whole_under_a_view(self, x):
    y = self.a(x)
    v = y.flatten(1)
    y.relu_()
    return v


def by_index(self, x):
    y = self.a(x)
    y[:, :2] = 0
    return y


def a_buffer(self, x):
    y = self.a(x)
    self.norm.running_mean.mul_(y.mean((2, 3)).view(4))
    return self.norm(y)


def data(self, x):
    y = self.a(x)
    y.data.relu_()
    return y + self.b(y)


def state(self, x):
    self.norm.running_mean.add_(1.0)
    return self.norm(self.a(x))


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (view_of_a_part, "'relu_' changes in place a part of 'a', which is read afterwards"),
        (whole_under_a_view, "'relu_' changes in place a part of 'flatten'"),
        (by_index, "'setitem' changes 'a' in place"),
        (a_buffer, "the first axis must stay the batch"),
        (data, r"getattr \(getattr\) cannot be quantized"),
        (state, "Called gives other values at every call"),
        (lambda self, x: torch.add(y := self.a(x), self.b(y), out=y), r"add \(add\) writes to out="),
        (lambda self, x: self.a(x) if x.shape[2] > 4 else x, "Called cannot be traced by torch.fx.*control flow"),
        (lambda self, x: self.relu(self.a(x)).zero_(), "zero_"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(function: object, problem: str) -> None:
    with pytest.raises(UnsupportedError, match=problem):
        prepare_qat(Called(function).eval(), EXAMPLE)  # type: ignore[arg-type]


def test_a_wrong_rule_is_found_by_the_first_module_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {**capture_calls.MODULES, nn.ReLU: capture_calls.MODULES[nn.ReLU6]}
    monkeypatch.setattr("edge.quantization.qat.capture.MODULES", rules)
    inner = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    inner[0].weight.data.mul_(100.0)
    capture(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU6(), nn.Softmax(1)), EXAMPLE)
    with pytest.raises(UnsupportedError, match=r"^1\.1 \(ReLU\) was captured as something else"):
        capture(nn.Sequential(nn.Conv2d(3, 4, 1), inner, nn.Softmax(1)), EXAMPLE)


def test_a_difference_in_a_function_is_named_by_the_module_that_calls_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = {**capture_calls.METHODS, "relu": capture_calls.METHODS["sigmoid"]}
    monkeypatch.setattr("edge.quantization.qat.capture.METHODS", rules)
    block = Called(lambda self, x: self.b(self.a(x).relu()))
    with pytest.raises(UnsupportedError, match=r"^0\.b \(Conv2d\) was captured"):
        capture(nn.Sequential(block), EXAMPLE)


def test_capturing_disturbs_nothing() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Dropout(0.5)).train()
    model(IMAGES).sum().backward()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    gradient, randomness = model[1].weight.grad.clone(), torch.get_rng_state()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        prepare_qat(model, EXAMPLE)
    assert model.training and torch.equal(randomness, torch.get_rng_state())
    assert torch.equal(gradient, model[1].weight.grad)
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def conv() -> nn.Conv2d:
    return nn.Conv2d(3, 4, 1)


def pruned() -> nn.Module:
    module = conv()
    prune.l1_unstructured(module, "weight", amount=0.5)
    return module


def hooked(register: str) -> nn.Module:
    module = conv()
    getattr(module, register)(lambda *arguments: None)
    return module


def with_attribute(name: str, value: object) -> nn.Module:
    module = conv()
    delattr(module, name) if hasattr(module, name) else None
    setattr(module, name, value)
    return module


def gradient_hook() -> nn.Module:
    module = conv()
    module.weight.register_hook(lambda gradient: gradient)
    return module


@pytest.mark.filterwarnings("ignore:.*(weight_norm|torch.jit).*")
@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: nn.utils.weight_norm(conv()), r"remove_weight_norm\(module\)"),
        (lambda: nn.utils.spectral_norm(conv()), r"remove_spectral_norm\(module\)"),
        (pruned, r"prune\.remove\(module, 'weight'\)"),
        (lambda: parametrizations.weight_norm(conv()), "remove_parametrizations"),
        (lambda: parametrizations.spectral_norm(conv()), "remove_parametrizations"),
        (lambda: hooked("register_forward_pre_hook"), "has a forward pre-hook"),
        (lambda: hooked("register_forward_hook"), "has a forward hook"),
        (lambda: hooked("register_full_backward_hook"), "has a backward hook"),
        (gradient_hook, "a hook on the gradient of 'weight'"),
        (lambda: with_attribute("weight", torch.ones(4, 3, 1, 1)), "a weight that is not a parameter"),
        (lambda: with_attribute("last", conv()(EXAMPLE)), "keeps a computed tensor, 'last'"),
        (lambda: with_attribute("kept", [conv()(EXAMPLE)]), "cannot be copied"),
        (lambda: nn.LazyConv2d(4, 1), "run one batch through the model first"),
        (lambda: torch.jit.script(nn.ReLU()), "the module it was scripted or traced from"),
        (lambda: torch.compile(conv()), "take the uncompiled module"),
        (lambda: nn.DataParallel(conv()), r"take its \.module"),
        (lambda: AveragedModel(conv()), r"take its \.module"),
        (lambda: prepare_qat(nn.Sequential(conv()), EXAMPLE), "is prepared already"),
    ],
)
def test_a_module_that_is_not_plain_is_refused_with_what_to_do(make: Callable[[], nn.Module], problem: str) -> None:
    module = make()
    for model in (module, nn.Sequential(module, nn.Identity())):
        with pytest.raises(UnsupportedError, match=problem):
            prepare_qat(model, EXAMPLE)


def test_what_was_baked_in_or_materialized_is_plain() -> None:
    baked = pruned()
    prune.remove(baked, "weight")
    lazy = nn.LazyConv2d(4, 1)
    lazy(EXAMPLE)
    compiled_in_place = conv()
    compiled_in_place.compile(backend="eager")
    for module in (baked, lazy, compiled_in_place):
        assert_right(nn.Sequential(module, nn.ReLU()))


NAMES = ("keys", "values", "items", "update", "clear", "pop", "graph", "code", "layers", "a/b", "a~b", "x", "weight")


class Named(nn.Module):
    """A sum over convolutions of any names, one of them nested as `a.b`."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Module()
        self.a.b = conv()
        for name in NAMES:
            self.add_module(name, conv())

    def forward(self, values: Tensor) -> Tensor:
        total = self.a.b(values)
        for name in NAMES:
            total = total + getattr(self, name)(values)
        return total


def test_any_name_of_a_module_will_do() -> None:
    assert_right(Named())
    model = Named().eval()
    one, other = prepare_qat(model, EXAMPLE), prepare_qat(Named(), EXAMPLE)
    assert {"layers.keys.layer.weight", "layers.a/b.layer.weight", "layers.a~1b.layer.weight"} <= set(one.state_dict())
    other.load_state_dict(one.state_dict())
    assert torch.equal(other.eval()(IMAGES), one(IMAGES))


@pytest.mark.parametrize("name", ["values", "keys", "type", "training", "forward", "clear", "graph"])
def test_any_name_of_the_argument_will_do(name: str) -> None:
    made: dict[str, type[nn.Module]] = {}
    source = f"class Argument(Named):\n    def forward(self, {name}):\n        return self.keys({name})"
    exec(source, {"Named": Named}, made)
    assert_right(made["Argument"]())


class Shared(nn.Module):
    """One convolution under two names, one norm behind two convolutions, one rectifier everywhere, tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.c, self.d, self.e = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.again, self.norm, self.relu = self.c, nn.BatchNorm2d(3), nn.ReLU(inplace=True)
        self.e.weight = self.d.weight

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm(self.c(x)))
        y = self.relu(self.norm(self.again(y)))
        return self.relu(self.norm(self.d(y))) + self.e(y)


def test_modules_used_twice_are_shared() -> None:
    assert_right(Shared())
    prepared = prepare_qat(Shared(), EXAMPLE)
    assert prepared.layers["d+norm"].layer.weight is prepared.layers["e"].layer.weight
    assert prepared.layers["d+norm"].norm is prepared.layers["c+norm"].norm


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.BatchNorm1d(8), nn.ReLU()),
        nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2)),
        nn.Sequential(conv(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2)),
        nn.Sequential(conv(), nn.Flatten(2), nn.Linear(64, 8), nn.BatchNorm1d(4), nn.ReLU()),
        nn.Sequential(nn.Flatten(2), nn.BatchNorm1d(3)),
    ],
)
def test_batch_norm_1d_is_pytorchs_wherever_it_stands(model: nn.Module) -> None:
    assert_right(model)
    prepared = prepare_qat(model, EXAMPLE).train()
    norm = next(module for module in prepared.modules() if isinstance(module, nn.BatchNorm1d))
    expected = model.train()(IMAGES)
    assert torch.allclose(prepared(IMAGES), expected, atol=1e-5)
    theirs = next(module for module in model.modules() if isinstance(module, nn.BatchNorm1d))
    assert torch.allclose(norm.running_var, theirs.running_var, atol=1e-5)


def test_padded_average_pooling_is_prepared_whether_its_pads_count_or_not() -> None:
    assert_right(nn.Sequential(conv(), nn.AvgPool2d(3, 2, 1)))
    assert_right(nn.Sequential(conv(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)))  # TensorFlow's SAME
    assert_right(nn.Sequential(conv(), nn.AvgPool2d(3, 2, 1, count_include_pad=False)))


def test_parameters_that_are_frozen_stay_frozen() -> None:
    model = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1))
    model[0].requires_grad_(False)
    model[1].requires_grad_(False)
    prepared = prepare_qat(model, EXAMPLE)
    trained = {name for name, parameter in prepared.named_parameters() if parameter.requires_grad}
    assert trained == {"layers.3.layer.weight", "layers.3.layer.bias"}


class TwoInputs(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


class AnotherIfGiven(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return x if mask is None else x + mask


class AnyNumber(nn.Module):
    def forward(self, *images: Tensor) -> Tensor:
        return images[0] + images[0]


@pytest.mark.parametrize(
    ("model", "name"), [(TwoInputs(), "y"), (AnotherIfGiven(), "mask"), (AnyNumber(), r"\*images")]
)
def test_arguments_beside_the_image_are_refused_by_name(model: nn.Module, name: str) -> None:
    with pytest.raises(UnsupportedError, match=f"forward takes '{name}' beside one image"):
        prepare_qat(model, EXAMPLE)


class Unread(nn.Module):
    def forward(self, x: Tensor, mask: Tensor | None = None, *more: Tensor, **options: bool) -> Tensor:
        return x + x


def test_arguments_that_nothing_reads_may_stay() -> None:
    assert_right(Unread())
