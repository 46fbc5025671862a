"""Pretrained weights load by every published naming, exactly, and what does not fit is refused in one line."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edge.errors import CheckpointError
from edge.models.blocks import ConvNorm
from edge.models.pretrained import load_pretrained
from edge.models.registry import build

CLASSES = 5


def network(name: str = "mobilenet_v2", *, seed: int = 0, classes: int = CLASSES) -> nn.Module:
    """A small network whose batch norms have seen data: every tensor of it matters."""
    torch.manual_seed(seed)
    size: dict[str, object] = {"resolution": 32, "width": 0.25}
    if name == "fast_scnn":
        size = {"resolution_hw": (64, 64)}
    elif name.endswith("ssdlite"):
        size = {"resolution": 96, "width": 0.25}
    elif name.startswith("deeplab"):
        size = {"resolution_hw": (64, 64), "width": 0.25}
    model = build(name, classes=classes, **size)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.3)
            module.running_mean = torch.randn(module.num_features) * 0.3
            module.running_var = torch.rand(module.num_features) + 0.2
    return model.eval()


def outputs(model: nn.Module) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return model.eval()(torch.randn(2, *model.input_shape[1:], generator=generator))


def saved(tensors: dict[str, Tensor], path: Path) -> Path:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def folded(model: nn.Module) -> dict[str, Tensor]:
    """The layers with batch norm folded, by their paths: `blocks.0.depthwise.weight`."""
    tensors: dict[str, Tensor] = {}
    for path, module in model.named_modules():
        if hasattr(module, "norm"):
            norm = module.norm
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            name = f"{path}.conv" if path in ("stem", "head") else path
            tensors[f"{name}.weight"] = (module.conv.weight * gain[:, None, None, None]).detach()
            tensors[f"{name}.bias"] = (norm.bias - norm.running_mean * gain).detach()
    tensors["classifier.weight"] = model.classifier.linear.weight.detach()
    tensors["classifier.bias"] = model.classifier.linear.bias.detach()
    return tensors


def torchvision_name(name: str) -> str:
    """Our name of a tensor as torchvision writes it: `features.2.conv.1.0.weight`."""
    parts = name.split(".")
    tensor = parts[-1]
    if parts[0] in ("stem", "head"):
        return f"features.{0 if parts[0] == 'stem' else 18}.{0 if parts[1] == 'conv' else 1}.{tensor}"
    if parts[0] == "classifier":
        return f"classifier.1.{tensor}"
    index, layer, kind = int(parts[1]), parts[2], parts[3]
    first = {"expand": 0, "depthwise": 0 if index == 0 else 1, "project": 1 if index == 0 else 2}[layer]
    if layer == "project":
        return f"features.{index + 1}.conv.{first if kind == 'conv' else first + 1}.{tensor}"
    return f"features.{index + 1}.conv.{first}.{0 if kind == 'conv' else 1}.{tensor}"


def timm_name(name: str) -> str:
    """Our name of a tensor as timm writes it: `blocks.1.0.conv_pwl.weight`."""
    parts = name.split(".")
    tensor = parts[-1]
    if parts[0] == "stem":
        return f"{'conv_stem' if parts[1] == 'conv' else 'bn1'}.{tensor}"
    if parts[0] == "head":
        return f"{'conv_head' if parts[1] == 'conv' else 'bn2'}.{tensor}"
    if parts[0] == "classifier":
        return f"classifier.{tensor}"
    places = [(stage, repeat) for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1)) for repeat in range(count)]
    stage, repeat = places[int(parts[1])]
    if stage == 0:
        theirs = {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")}[parts[2]]
    else:
        theirs = {"expand": ("conv_pw", "bn1"), "depthwise": ("conv_dw", "bn2"), "project": ("conv_pwl", "bn3")}[
            parts[2]
        ]
    return f"blocks.{stage}.{repeat}.{theirs[0] if parts[3] == 'conv' else theirs[1]}.{tensor}"


def test_published_names_of_torchvision_and_timm() -> None:
    """Names copied from the two libraries' own state dicts, so that the naming rules above are not only ours."""
    assert torchvision_name("blocks.0.project.conv.weight") == "features.1.conv.1.weight"
    assert torchvision_name("blocks.1.depthwise.norm.running_var") == "features.2.conv.1.1.running_var"
    assert torchvision_name("blocks.16.project.norm.bias") == "features.17.conv.3.bias"
    assert timm_name("blocks.0.project.conv.weight") == "blocks.0.0.conv_pw.weight"
    assert timm_name("blocks.1.project.norm.bias") == "blocks.1.0.bn3.bias"
    assert timm_name("blocks.16.depthwise.conv.weight") == "blocks.6.0.conv_dw.weight"


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "fast_scnn", "deeplab_mobilenet_v2"])
def test_our_own_state_dict_gives_identical_outputs(name: str, tmp_path: Path) -> None:
    source, target = network(name), network(name, seed=9)
    report = load_pretrained(target, saved(source.state_dict(), tmp_path / "w.safetensors"))
    assert (report.layout, report.folded, report.head, report.ignored) == ("edge", 0, "loaded", ())
    assert torch.equal(outputs(source), outputs(target))


@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2"])
def test_folded_weights_compute_what_batch_norm_computed(name: str, tmp_path: Path) -> None:
    source, target = network(name), network(name, seed=9)
    report = load_pretrained(target, saved(folded(source), tmp_path / "w.safetensors"))
    assert report.layout == "folded" and report.folded == report.layers - 1
    torch.testing.assert_close(outputs(target), outputs(source), rtol=1e-4, atol=1e-5)


def test_a_folded_batch_norm_is_the_bias_to_the_last_bit(tmp_path: Path) -> None:
    target = network()
    tensors = folded(network(seed=3))
    load_pretrained(target, saved(tensors, tmp_path / "w.safetensors"))
    x = torch.randn(4, 8, 16, 16)
    with torch.no_grad():
        convolved = target.stem.conv(x[:, :3])
        assert torch.equal(target.stem.norm(convolved), convolved + tensors["stem.conv.bias"][:, None, None])


@pytest.mark.parametrize(("layout", "rename"), [("torchvision", torchvision_name), ("timm", timm_name)])
def test_other_libraries_weights_compute_the_same_with_their_epsilon(layout, rename, tmp_path: Path) -> None:
    source, target = network(), network(seed=9)
    tensors = {rename(name): tensor for name, tensor in source.state_dict().items()}
    report = load_pretrained(target, saved(tensors, tmp_path / "w.safetensors"))
    assert (report.layout, report.folded, report.ignored) == (layout, 0, ())
    for module in source.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5
    torch.testing.assert_close(outputs(target), outputs(source), rtol=1e-5, atol=1e-6)


AS_A_BACKBONE = pytest.mark.parametrize(
    ("backbone", "layout", "tensors_of"),
    [
        ("mobilenet_v1", "folded", folded),
        ("mobilenet_v2", "folded", folded),
        ("mobilenet_v2", "edge", lambda model: dict(model.state_dict())),
        ("mobilenet_v2", "torchvision", lambda model: {torchvision_name(k): v for k, v in model.state_dict().items()}),
        ("mobilenet_v2", "timm", lambda model: {timm_name(k): v for k, v in model.state_dict().items()}),
    ],
)


@AS_A_BACKBONE
def test_a_classifiers_weights_are_the_backbone_of_a_segmenter(backbone, layout, tensors_of, tmp_path: Path) -> None:
    """Its own last layers stay behind by name, and the segmenter's head starts anew, if that is asked for."""
    source, target = network(backbone), network(f"deeplab_{backbone}", seed=9)
    head = {name: value.clone() for name, value in target.classifier.state_dict().items()}
    path = saved(tensors_of(source), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="is missing"):
        load_pretrained(target, path)
    report = load_pretrained(target, path, reinitialize_head=True)
    assert (report.layout, report.head, report.classifier) == (layout, "initialized", None)
    assert report.layers == sum(isinstance(module, ConvNorm) for module in [source.stem, *source.blocks.modules()])
    assert {name.split(".")[-1] for name in report.ignored} >= {"weight", "bias"}
    assert all(torch.equal(value, head[name]) for name, value in target.classifier.state_dict().items())
    if layout in ("folded", "edge"):  # others have another epsilon
        x = torch.randn(1, 3, 289, 289)
        with torch.no_grad():
            expected, found = (model.blocks(model.stem(x)) for model in (source, target))
        torch.testing.assert_close(found[:, :, ::2, ::2], expected, rtol=1e-3, atol=1e-4)


@AS_A_BACKBONE
def test_a_classifiers_weights_are_the_backbone_of_a_detector(backbone, layout, tensors_of, tmp_path: Path) -> None:
    """With V2's last convolution, which a segmenter leaves behind; the linear layer stays behind, the rest is new."""
    source, target = network(backbone), network(f"{backbone}_ssdlite", seed=9)
    head = {name: value.clone() for name, value in target.classifier.state_dict().items()}
    path = saved(tensors_of(source), tmp_path / "w.safetensors")
    report = load_pretrained(target, path, reinitialize_head=True)
    assert (report.layout, report.head, report.classifier) == (layout, "initialized", None)
    assert report.layers == sum(isinstance(module, ConvNorm) for module in source.modules())
    assert len(report.ignored) == 2  # weight and bias of the linear layer
    assert all(torch.equal(value, head[name]) for name, value in target.classifier.state_dict().items())
    if layout in ("folded", "edge"):  # others have another epsilon
        x = torch.randn(1, 3, 96, 96)
        given: list[Tensor] = []
        target.classifier.register_forward_pre_hook(lambda module, inputs: given.extend(inputs))
        with torch.no_grad():
            target(x)
            expected = source.blocks(source.stem(x))
            expected = source.head(expected) if backbone == "mobilenet_v2" else expected
        torch.testing.assert_close(given[1], expected, rtol=1e-3, atol=1e-4)


def test_a_detector_for_other_classes_keeps_all_but_its_last_scores(tmp_path: Path) -> None:
    source, target = network("mobilenet_v2_ssdlite"), network("mobilenet_v2_ssdlite", seed=9, classes=CLASSES + 1)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    path = saved(source.state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match="reset_head = true"):
        load_pretrained(target, path)
    load_pretrained(target, path, reinitialize_head=True)
    for name, value in target.state_dict().items():
        last = ".scores." in name and ".predict." in name
        assert torch.equal(value, before[name] if last else source.state_dict()[name]), name


def test_float16_files_load_as_float32(tmp_path: Path) -> None:
    source, target = network(), network(seed=9)
    tensors = {name: tensor.half() for name, tensor in folded(source).items()}
    load_pretrained(target, saved(tensors, tmp_path / "w.safetensors"))
    assert torch.equal(target.classifier.linear.weight, tensors["classifier.weight"].float())
    assert {tensor.dtype for tensor in target.parameters()} == {torch.float32}


def test_background_row_of_1001_classes_is_dropped(tmp_path: Path) -> None:
    source, target = network(classes=1001), network(seed=9, classes=1000)
    report = load_pretrained(target, saved(folded(source), tmp_path / "w.safetensors"))
    assert report.head == "background dropped"
    torch.testing.assert_close(outputs(target), outputs(source)[:, 1:], rtol=1e-4, atol=1e-5)


def test_another_number_of_classes_needs_to_be_asked_for(tmp_path: Path) -> None:
    path = saved(folded(network(classes=7)), tmp_path / "w.safetensors")
    target = network(seed=9)
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(CheckpointError, match="its classifier has 7 classes, the model 5; with reset_head = true"):
        load_pretrained(target, path)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())
    report = load_pretrained(target, path, reinitialize_head=True)
    assert report.head == "initialized"
    assert torch.equal(target.classifier.linear.weight, before["classifier.linear.weight"])
    assert not torch.equal(target.stem.conv.weight, before["stem.conv.weight"])


def test_auxiliary_heads_stay_behind_or_start_new(tmp_path: Path) -> None:
    with_heads = build("fast_scnn", classes=3, resolution_hw=(64, 64), auxiliary=True)
    without = build("fast_scnn", classes=3, resolution_hw=(64, 64))
    report = load_pretrained(without, saved(with_heads.state_dict(), tmp_path / "with.safetensors"))
    assert report.ignored and all(name.startswith("auxiliary_") for name in report.ignored)
    path = saved(without.state_dict(), tmp_path / "without.safetensors")
    with pytest.raises(CheckpointError, match=r"'auxiliary_shallow\.0.conv\.weight' is missing"):
        load_pretrained(with_heads, path)
    assert load_pretrained(with_heads, path, reinitialize_head=True).head == "loaded"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("blocks.3.expand.weight"), "'blocks.3.expand.weight' is missing"),
        (lambda t: t.pop("blocks.3.expand.bias"), "layer 'blocks.3.expand' has no bias"),
        (lambda t: t.pop("classifier.bias"), "'classifier.bias' is missing"),
        (lambda t: t.update(extra=torch.ones(1)), "1 tensors that the model has no place for, first 'extra'"),
        (lambda t: t.update({"stem.conv.weight": torch.ones(32, 3, 3, 3)}), r"is \(32, 3, 3, 3\), the model needs"),
        (lambda t: t.update({"stem.conv.bias": torch.full((8,), torch.nan)}), "'stem.conv.bias' holds values that are"),
        (lambda t: t.update({"stem.conv.bias": torch.ones(8, dtype=torch.int8)}), "is torch.int8, not a float type"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_one_line(change, message: str, tmp_path: Path) -> None:
    tensors = folded(network())
    change(tensors)
    path = saved(tensors, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=message) as refusal:
        load_pretrained(network(seed=9), path)
    assert str(refusal.value).startswith(str(path)) and "\n" not in str(refusal.value)


@pytest.mark.unhurried
def test_foreign_names_a_negative_variance_and_damaged_files_are_refused(tmp_path: Path) -> None:
    path = saved({"encoder.weight": torch.ones(3)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="holds no layer of MobileNetV2; its first"):
        load_pretrained(network(), path)
    source = network()
    source.stem.norm.running_var[0] = -1.0
    path = saved(source.state_dict(), tmp_path / "negative.safetensors")
    with pytest.raises(CheckpointError, match=r"'stem\.norm\.running_var' holds a negative variance"):
        load_pretrained(network(), path)
    whole = path.read_bytes()
    for name, data in {"empty": b"", "cut": whole[:-100], "head": whole[:50], "noise": b"\xff" * 999}.items():
        damaged = tmp_path / f"{name}.safetensors"
        damaged.write_bytes(data)
        with pytest.raises(CheckpointError, match="not a readable safetensors file"):
            load_pretrained(network(), damaged)
    with pytest.raises(CheckpointError, match="no such file"):
        load_pretrained(network(), tmp_path / "none.safetensors")


def test_a_state_dict_of_torch_save_loads_as_safetensors_do(tmp_path: Path) -> None:
    source, target = network(), network(seed=9)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "w.pth")
    assert load_pretrained(target, tmp_path / "w.pth").layout == "edge"
    assert torch.equal(outputs(source), outputs(target))
    (tmp_path / "noise.pth").write_bytes(bytes(range(256)))
    with pytest.raises(CheckpointError, match=r"nor a state dict of torch\.save"):
        load_pretrained(target, tmp_path / "noise.pth")
