"""How files of pretrained weights name the layers of our networks.

A layer is one convolution with its batch norm, or a convolution or linear layer that has none. Its key here is its
path in our network ("stem", "blocks.3.expand", "classifier.linear").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeGuard

from torch import nn

from edge.models.attention import attention_paths
from edge.models.blocks import NORM_EPS, ConvNorm
from edge.models.deeplab import DeepLab
from edge.models.mobilenet_v1 import MobileNetV1
from edge.models.mobilenet_v2 import STAGES, MobileNetV2
from edge.models.point_head import point_head_paths
from edge.models.ssdlite import SsdLite

TORCH_NORM_EPS = 1e-5
"""`nn.BatchNorm2d`'s default, which torchvision's and timm's MobileNetV2 were trained with."""
Channels = tuple[float, float, float]
HALF: Channels = (127.5, 127.5, 127.5)
IMAGENET_MEAN: Channels = (123.675, 116.28, 103.53)
IMAGENET_STD: Channels = (58.395, 57.12, 57.375)
"""255 times the 0.485, 0.456, 0.406 and 0.229, 0.224, 0.225 of torchvision and timm."""


@dataclass(frozen=True, kw_only=True)
class LayerNames:
    """One layer's names in a file: `layer`.weight, `layer`.bias, and `norm`.weight, .bias, .running_mean, .running_var.

    `norm` is None where the layout has no batch norm for this layer.
    """

    layer: str
    norm: str | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One way to name layers.

    Attributes:
        names: network -> layer key -> names in the file, or None when the layout does not know this network. Of a
            network on a classifier's backbone the classifier's own end is among the keys: the file may have it.
        norm_eps: the epsilon that the file's batch norms were trained with; files do not say.
        origin: whose weights are named so.
        mean, std: of pixels 0..255 by channel, with which these were trained; None: they differ from file to file.
    """

    names: Callable[[nn.Module], dict[str, LayerNames] | None]
    norm_eps: float
    origin: str
    mean: Channels | None = None
    std: Channels | None = None


ON_BACKBONE = (DeepLab, SsdLite)
"""Networks on a classifier's backbone; what stands on it is their `classifier`."""
CLASSIFIER_END: Mapping[str, LayerNames] = MappingProxyType(
    {
        "head": LayerNames(layer="head.conv", norm="head.norm"),
        "classifier.linear": LayerNames(layer="classifier.linear"),
    }
)
"""What follows the blocks in our own classifiers; MobileNetV1 has no `head`."""


def own_names(model: nn.Module) -> dict[str, LayerNames]:
    """The names of our own state dict, for any network made of `ConvNorm`, convolution and linear layers.

    The layers of attention modules and of a point head are not among them: a plain network's weights fit one with them.
    """
    names: dict[str, LayerNames] = {}
    inside = tuple(f"{path}." for path in (*attention_paths(model), *point_head_paths(model)))
    for path, module in model.named_modules():
        if path.startswith(inside):
            continue
        if isinstance(module, ConvNorm):
            names[path] = LayerNames(layer=f"{path}.conv", norm=f"{path}.norm")
        elif isinstance(module, nn.Conv2d | nn.Linear) and path.removesuffix(".conv") not in names:
            names[path] = LayerNames(layer=path)
    return names


def _edge_names(model: nn.Module) -> dict[str, LayerNames] | None:
    """Our own names, of what attention stands in the place of too, and on a backbone of the classifier's end."""
    own = {key: LayerNames(layer=f"{key}.conv", norm=f"{key}.norm") for key in _replaced(model)} | own_names(model)
    return {**CLASSIFIER_END, **own} if isinstance(model, ON_BACKBONE) else own


def _replaced(model: nn.Module) -> tuple[str, ...]:
    """The depthwise convolutions of the plain network that attention modules stand in the place of."""
    paths = (path.rpartition(".") for path in attention_paths(model))
    return tuple(f"{block}.depthwise" for block, _, name in paths if name == "instead")


def _own_end(model: nn.Module) -> dict[str, LayerNames]:
    """Our own names of what stands on a backbone: files of classifiers have nothing for it."""
    return {key: names for key, names in own_names(model).items() if key.startswith("classifier.")}


def _is_mobilenet_v2(model: nn.Module) -> TypeGuard[MobileNetV2 | DeepLab | SsdLite]:
    return isinstance(model, MobileNetV2) or (isinstance(model, ON_BACKBONE) and model.backbone == "mobilenet_v2")


def _folded_names(model: nn.Module) -> dict[str, LayerNames] | None:
    """`stem.conv`, `blocks.N.depthwise`, `head.conv`, `classifier`: batch norm folded, every layer has a bias."""
    if not isinstance(model, MobileNetV1 | MobileNetV2 | DeepLab | SsdLite):
        return None
    renamed = {"stem": "stem.conv", "head": "head.conv", "classifier.linear": "classifier"}
    own = (*own_names(model), *_replaced(model))
    if not isinstance(model, ON_BACKBONE):
        return {key: LayerNames(layer=renamed.get(key, key)) for key in own}
    return {key: LayerNames(layer=renamed.get(key, key)) for key in (*own, *renamed)} | _own_end(model)


def _torchvision_names(model: nn.Module) -> dict[str, LayerNames] | None:
    """`features.N.conv.M.0`, as torchvision's `mobilenet_v2` names them."""
    if not _is_mobilenet_v2(model):
        return None
    names = {"stem": LayerNames(layer="features.0.0", norm="features.0.1")}
    for index in range(len(model.blocks)):
        parts = ("depthwise",) if index == 0 else ("expand", "depthwise")
        block = f"features.{index + 1}.conv"
        for position, part in enumerate(parts):
            names[f"blocks.{index}.{part}"] = LayerNames(layer=f"{block}.{position}.0", norm=f"{block}.{position}.1")
        last = len(parts)
        names[f"blocks.{index}.project"] = LayerNames(layer=f"{block}.{last}", norm=f"{block}.{last + 1}")
    head = f"features.{len(model.blocks) + 1}"
    names["head"] = LayerNames(layer=f"{head}.0", norm=f"{head}.1")
    names["classifier.linear"] = LayerNames(layer="classifier.1")
    return names | (_own_end(model) if isinstance(model, ON_BACKBONE) else {})


def _timm_names(model: nn.Module) -> dict[str, LayerNames] | None:
    """`blocks.STAGE.REPEAT.conv_dw`, as timm's `mobilenetv2_100` and its widths name them."""
    if not _is_mobilenet_v2(model):
        return None
    names = {"stem": LayerNames(layer="conv_stem", norm="bn1")}
    index = 0
    for stage, (expansion, _, repeats, _) in enumerate(STAGES):
        parts = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        if expansion == 1:
            parts = {"depthwise": "conv_dw", "project": "conv_pw"}
        for repeat in range(repeats):
            block = f"blocks.{stage}.{repeat}"
            for position, (part, theirs) in enumerate(parts.items(), start=1):
                names[f"blocks.{index}.{part}"] = LayerNames(layer=f"{block}.{theirs}", norm=f"{block}.bn{position}")
            index += 1
    names["head"] = LayerNames(layer="conv_head", norm="bn2")
    names["classifier.linear"] = LayerNames(layer="classifier")
    return names | (_own_end(model) if isinstance(model, ON_BACKBONE) else {})


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "edge": Layout(names=_edge_names, norm_eps=NORM_EPS, origin="this product"),
        "folded": Layout(names=_folded_names, norm_eps=NORM_EPS, origin="TensorFlow", mean=HALF, std=HALF),
        "torchvision": Layout(
            names=_torchvision_names,
            norm_eps=TORCH_NORM_EPS,
            origin="torchvision",
            mean=IMAGENET_MEAN,
            std=IMAGENET_STD,
        ),
        "timm": Layout(names=_timm_names, norm_eps=TORCH_NORM_EPS, origin="timm", mean=IMAGENET_MEAN, std=IMAGENET_STD),
    }
)
