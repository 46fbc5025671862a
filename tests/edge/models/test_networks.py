"""The networks: shapes, tracing, what they accept and refuse."""

import pytest
import torch
from torch import fx, nn

from edge.errors import UsageError
from edge.models.blocks import SamePadConv2d
from edge.models.count import count_module
from edge.models.fast_scnn import fast_scnn, uniform_pool
from edge.models.listing import list_models
from edge.models.registry import MODELS, build
from tests.support.networks import outputs_of

SMALL: dict[str, dict[str, object]] = {
    "mobilenet_v1": {"classes": 4, "width": 0.25, "resolution": 40},
    "mobilenet_v2": {"classes": 4, "width": 0.25, "resolution": 40},
    "fast_scnn": {"classes": 4, "resolution_hw": (72, 104)},
    "deeplab_mobilenet_v1": {"classes": 4, "width": 0.25, "resolution_hw": (72, 104), "output_stride": 8},
    "deeplab_mobilenet_v2": {"classes": 4, "width": 0.25, "resolution_hw": (72, 104), "pyramid": True},
    "rednet": {"classes": 4, "width": 0.25, "resolution": 40, "activation": "relu6"},
    "mobilenet_v1_ssdlite": {"classes": 3, "width": 0.25, "resolution": 72},
    "mobilenet_v2_ssdlite": {"classes": 3, "width": 0.25, "resolution": 72},
}
LOGITS_HW = {"fast_scnn": (9, 13), "deeplab_mobilenet_v1": (9, 13), "deeplab_mobilenet_v2": (5, 7)}


class LeafTracer(fx.Tracer):
    """PyTorch's layers and the SAME convolution are leaves."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SamePadConv2d) or super().is_leaf_module(m, module_qualified_name)


def traced(model: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(model, LeafTracer().trace(model))


def test_every_registered_model_is_tested_here() -> None:
    assert SMALL.keys() == MODELS.keys()


@pytest.mark.parametrize("name", SMALL)
def test_output_is_logits_and_attributes_say_task_and_input(name: str) -> None:
    model = build(name, **SMALL[name]).eval()
    n, c, height, width = model.input_shape
    *codes, logits = outputs_of(model(torch.zeros(2, c, height, width)))
    assert (n, c) == (1, 3)
    if model.task == "detect":
        anchors = 5 * 5 * 3 + (3 * 3 + 2 * 2 + 1 + 1 + 1) * 6
        assert logits.shape == (2, anchors, 1 + 3) and [tuple(part.shape) for part in codes] == [(2, anchors, 4)]
    elif model.task == "segment":
        assert logits.shape == (2, 4, *LOGITS_HW[name])
    else:
        assert model.task == "classify" and logits.shape == (2, 4)


@pytest.mark.parametrize("name", SMALL)
def test_a_traced_network_computes_the_same_and_holds_only_plain_operations(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, **SMALL[name]).eval()
    graph = traced(model)
    x = torch.randn(2, *model.input_shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(graph(x), model(x), rtol=0, atol=0)
    called = {
        node.target if isinstance(node.target, str) else node.target.__name__
        for node in graph.graph.nodes
        if node.op in ("call_function", "call_method")
    }
    heads = {"permute", "reshape", "getattr", "getitem"} if model.task == "detect" else set()
    sums = {"pad", "reshape", "getattr", "getitem", "sub", "mul", "sum", "floordiv"} if name == "rednet" else set()
    assert called <= {"add", "flatten", "cat", "interpolate"} | heads | sums


@pytest.mark.unhurried
@pytest.mark.parametrize("name", SMALL)
def test_a_network_learns_a_batch_by_heart(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, **SMALL[name]).train()
    for layer in model.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0

    def logits(x: torch.Tensor) -> torch.Tensor:
        found = outputs_of(model(x))[-1]
        return found.movedim(2, 1) if model.task == "detect" else found

    x = torch.randn(4, *model.input_shape[1:])
    target = torch.randint(0, 4, logits(x).argmax(1).shape)
    if model.task == "detect":  # one class at all anchors of an image
        target = target[:, :1].expand_as(target)
    rate = 0.1 if model.task == "detect" else 0.02  # the mean over all anchors of six maps changes slowly
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(logits(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("name", SMALL)
def test_signals_keep_their_size_through_an_untrained_network(name: str) -> None:
    torch.manual_seed(0)
    model = build(name, **SMALL[name]).train()
    for output in outputs_of(model(torch.randn(4, *model.input_shape[1:]))):
        assert 0.01 < output.std().item() < 100


def dilations(model: nn.Module) -> list[tuple[int, int]]:
    """Stride and dilation of the stem and of every depthwise convolution."""
    found = [module for module in model.modules() if isinstance(module, SamePadConv2d) and module.kernel_size[0] == 3]
    return [(module.stride[0], module.dilation[0]) for module in found]


@pytest.mark.parametrize(
    ("name", "output_stride", "strides", "dilated"),
    [
        ("deeplab_mobilenet_v2", 16, 4, {2: 3}),
        ("deeplab_mobilenet_v2", 8, 3, {2: 7, 4: 3}),
        ("deeplab_mobilenet_v1", 16, 4, {2: 1}),
        ("deeplab_mobilenet_v1", 8, 3, {2: 6, 4: 1}),
    ],
)
def test_layers_after_a_stride_that_was_given_up_are_dilated_by_it(name, output_stride, strides, dilated) -> None:
    """V2 gives up the strides of blocks 13 and 6, V1 of blocks 11 and 5; what gives up one is not dilated by it."""
    found = dilations(build(name, classes=2, width=0.25, resolution_hw=(64, 64), output_stride=output_stride))
    assert sum(stride == 2 for stride, _ in found) == strides
    assert all(dilation == 1 for stride, dilation in found if stride == 2)
    assert {dilation: [d for _, d in found].count(dilation) for dilation in dilated} == dilated
    assert max(dilation for _, dilation in found) == max(dilated)


@pytest.mark.parametrize("backbone", ["mobilenet_v1", "mobilenet_v2"])
def test_dilated_blocks_see_what_the_strided_ones_see(backbone: str) -> None:
    """At every second place of the map of output stride 16 stand the values of the backbone's own map at 32."""
    torch.manual_seed(0)
    plain = build(backbone, classes=2, width=0.25, resolution=289).eval()
    dilated = build(f"deeplab_{backbone}", classes=2, width=0.25, resolution_hw=(289, 289)).eval()
    dilated.load_state_dict(
        {name: value for name, value in plain.state_dict().items() if name.startswith(("stem", "blocks"))}, strict=False
    )
    x = torch.randn(1, 3, 289, 289)
    with torch.no_grad():
        torch.testing.assert_close(dilated.blocks(dilated.stem(x))[:, :, ::2, ::2], plain.blocks(plain.stem(x)))


def test_the_pyramid_is_twice_as_wide_at_output_stride_8() -> None:
    for output_stride, rates in ((16, (6, 12, 18)), (8, (12, 24, 36))):
        model = build("deeplab_mobilenet_v2", classes=2, width=0.25, output_stride=output_stride, pyramid=True)
        assert tuple(layer.conv.dilation[0] for layer in model.classifier.pyramid) == rates


@pytest.mark.parametrize(("backbone", "channels"), [("mobilenet_v2", (576, 1280)), ("mobilenet_v1", (512, 1024))])
def test_a_detector_reads_the_backbone_at_strides_16_and_32(backbone: str, channels: tuple[int, int]) -> None:
    """The first map of V2 is within a block, and the rest of the network reads that block's result as ever."""
    torch.manual_seed(0)
    plain = build(backbone, classes=2, resolution=96).eval()
    detector = build(f"{backbone}_ssdlite", classes=2, resolution=96).eval()
    detector.load_state_dict(
        {name: value for name, value in plain.state_dict().items() if not name.startswith("classifier")}, strict=False
    )
    given: list[torch.Tensor] = []
    detector.classifier.register_forward_pre_hook(lambda module, inputs: given.extend(inputs))
    x = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        detector(x)
        last = plain.blocks(plain.stem(x))
        last = plain.head(last) if backbone == "mobilenet_v2" else last
    assert [(part.shape[1], part.shape[2]) for part in given] == [(channels[0], 6), (channels[1], 3)]
    torch.testing.assert_close(given[1], last, rtol=0, atol=0)


def test_a_row_of_a_detectors_outputs_belongs_to_one_place_of_one_map() -> None:
    """With 3x3 kernels that see nothing but their centre a place of a map decides its anchors' rows alone."""
    torch.manual_seed(0)
    head = build("mobilenet_v2_ssdlite", classes=2, width=0.25, resolution=96).eval().classifier
    for predictor in (*head.boxes, *head.scores):
        predictor.depthwise.conv.weight.data *= torch.tensor([[0.0] * 3, [0, 1, 0], [0.0] * 3])
    channels = [predictor.predict.in_channels for predictor in head.boxes]
    first, second = torch.rand(1, channels[0], 6, 6), torch.rand(1, channels[1], 3, 3)
    changed = first.clone()
    changed[:, :, 2, 4] += 1
    with torch.no_grad():
        for before, after in zip(head(first, second), head(changed, second), strict=True):
            differing = (before != after).any(dim=2)[0].nonzero().flatten().tolist()
            assert differing == [(2 * 6 + 4) * 3 + anchor for anchor in range(3)]


def test_v1_takes_relu_instead_of_relu6() -> None:
    model = build("mobilenet_v1", classes=2, width=0.25, resolution=96, activation="relu")
    kinds = {type(module) for module in model.modules()}
    assert nn.ReLU in kinds and nn.ReLU6 not in kinds


@pytest.mark.parametrize("size_hw", [(12, 15), (4, 8), (32, 64), (7, 7), (2, 2)])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_pyramid_windows_are_alike_and_cover_every_pixel(size_hw: tuple[int, int], bins: int) -> None:
    pooled = uniform_pool(size_hw, bins)(torch.ones(1, 1, *size_hw))
    assert pooled.shape[2:] == tuple(min(bins, size) for size in size_hw)
    x = torch.ones(1, 1, *size_hw, requires_grad=True)
    uniform_pool(size_hw, bins)(x).sum().backward()
    assert x.grad is not None and (x.grad > 0).all()


def test_pyramid_windows_are_adaptive_poolings_where_sizes_divide() -> None:
    x = torch.randn(1, 2, 12, 18)
    for bins in (1, 2, 3, 6):
        torch.testing.assert_close(uniform_pool((12, 18), bins)(x), nn.AdaptiveAvgPool2d(bins)(x))


def test_camvid_size_works_as_it_is() -> None:
    model = fast_scnn(classes=11, resolution_hw=(360, 480), auxiliary=True).eval()
    with torch.no_grad():
        main, shallow, deep = model.forward_with_auxiliary(torch.zeros(1, 3, 360, 480))
    assert main.shape == shallow.shape == (1, 11, 45, 60)
    assert deep.shape == (1, 11, 12, 15)


@pytest.mark.unhurried
def test_auxiliary_heads_change_neither_the_output_nor_the_counts() -> None:
    plain = fast_scnn(classes=3, resolution_hw=(64, 96)).eval()
    model = fast_scnn(classes=3, resolution_hw=(64, 96), auxiliary=True).eval()
    assert count_module(plain) == count_module(model)
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model(x), model.forward_with_auxiliary(x)[0])
    with pytest.raises(UsageError, match="without auxiliary heads"):
        plain.forward_with_auxiliary(x)


def test_counting_leaves_the_network_as_it_was() -> None:
    model = build("mobilenet_v2", classes=3, width=0.25, resolution=32).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_module(model)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


class Scaled(nn.Module):
    """A layer of somebody's own, with parameters beside those of the layer inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4, 1, 1))
        self.inner = nn.Conv2d(4, 4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x) * self.scale


def test_a_layer_without_a_rule_is_named_not_counted_as_nothing() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU(), Scaled())
    model.input_shape = (1, 3, 8, 8)
    found = count_module(model)
    assert found.unruled == ("PReLU (1)", "Scaled (2)")
    assert found.multiply_adds == 36 * (4 * 27 + 4 * 4)
    assert found.parameters == 4 * 28 + 1 + 4 + 4 * 5


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("mobilenet_v3", {"classes": 2}, "unknown model 'mobilenet_v3'; did you mean 'mobilenet_v"),
        ("mobilenet_v2", {"classes": 2, "widht": 1.0}, "unknown argument 'widht'; did you mean 'width'"),
        ("mobilenet_v2", {}, "model 'mobilenet_v2': 'classes' is missing"),
        ("mobilenet_v2", {"classes": 0}, "classes is 0"),
        ("mobilenet_v2", {"classes": 2, "width": 9}, "width is 9; it must be a number from 0.1 to 4"),
        ("mobilenet_v2", {"classes": 2, "resolution": 31}, "resolution is 31"),
        ("mobilenet_v2", {"classes": 2, "resolution": 96.0}, "resolution is 96.0"),
        ("mobilenet_v2", {"classes": 2, "dropout": 1.0}, "dropout is 1.0"),
        ("mobilenet_v1", {"classes": 2, "activation": "relu7"}, "unknown activation 'relu7'; did you mean 'relu"),
        ("fast_scnn", {"classes": 2, "resolution_hw": (63, 64)}, "height is 63; it must be an integer from 64"),
        ("fast_scnn", {"classes": 2, "resolution_hw": (64, 56)}, "width is 56"),
        ("fast_scnn", {"classes": 2, "resolution_hw": 512}, "resolution_hw is 512; it must be height and width"),
        ("fast_scnn", {"classes": 2, "resolution_hw": (64, 64, 3)}, "it must be height and width"),
        ("mobilenet_v2_ssdlite", {"classes": 1001}, "classes is 1001; it must be an integer from 1 to 1,000"),
        ("mobilenet_v1_ssdlite", {"classes": 2, "resolution": 63}, "resolution is 63"),
        ("deeplab_mobilenet_v2", {"classes": 2, "output_stride": 32}, "output_stride is 32; it must be 16 or 8"),
        ("deeplab_mobilenet_v2", {"classes": 2, "pyramid": 1}, "pyramid is 1; it must be true or false"),
        ("deeplab_mobilenet_v1", {"classes": 2, "resolution_hw": (63, 64)}, "height is 63"),
        ("deeplab_mobilenet_v1", {"classes": 2, "resolution_hw": 513}, "it must be height and width"),
    ],
)
def test_what_cannot_be_built_is_refused_with_the_value(name, arguments, message) -> None:
    with pytest.raises(UsageError) as refusal:
        build(name, **arguments)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


@pytest.mark.unhurried
def test_listing_keeps_the_grid_and_refuses_unknown_names() -> None:
    grid = [("fast_scnn", {"classes": 2, "resolution_hw": (64, 96)}), ("mobilenet_v2", {"classes": 2})]
    listed = list_models(grid)
    assert [entry.model for entry in listed] == ["fast_scnn", "mobilenet_v2"]
    assert listed[0].resolution_wh == (96, 64)
    assert [entry.model for entry in list_models(grid, ["mobilenet_v2"])] == ["mobilenet_v2"]
    with pytest.raises(UsageError, match="did you mean 'fast_scnn'"):
        list_models(grid, ["fast_scn"])
