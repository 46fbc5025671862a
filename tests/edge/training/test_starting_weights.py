"""A file of weights says network, width and pixels; the untold stays open, and what fits no network is refused."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from edge.errors import CheckpointError, UsageError
from edge.models.registry import build
from edge.training.starting_weights import starting_weights
from tests.support.weight_layouts import renamed

IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
HALF = {"mean": [127.5] * 3, "std": [127.5] * 3}


@pytest.mark.unhurried
@pytest.mark.parametrize(
    ("name", "width", "layout", "pixels"),
    [
        ("mobilenet_v2", 0.35, "torchvision", IMAGENET),
        ("mobilenet_v2", 0.5, "timm", IMAGENET),
        ("mobilenet_v1", 0.25, "folded", HALF),
        ("mobilenet_v2", 0.35, "edge", {}),
    ],
)
def test_layout_and_shapes_say_network_width_and_pixels(
    name: str, width: float, layout: str, pixels: dict[str, list[float]], tmp_path: Path
) -> None:
    tensors = renamed(build(name, classes=7, width=width, resolution=32), layout)
    torch.save(tensors, tmp_path / "w.pth")
    save_file(tensors, tmp_path / "w.safetensors")
    for file in ("w.pth", "w.safetensors"):
        weights, told = starting_weights(str(tmp_path / file), None, "classify")
        assert (weights.model, weights.arguments, weights.preprocess) == (name, {"width": width}, pixels)
        assert Path(weights.path) == tmp_path / file and layout in told
    with pytest.raises(CheckpointError, match=r"fits fast_scnn at no width"):
        starting_weights(str(tmp_path / "w.pth"), "fast_scnn", "segment")
    segmenter, _ = starting_weights(str(tmp_path / "w.pth"), None, "segment")
    assert (segmenter.model, segmenter.arguments) == (f"deeplab_{name}", {"width": width})


def test_a_folded_file_that_says_another_input_leaves_the_pixels_open(tmp_path: Path) -> None:
    tensors = renamed(build("mobilenet_v1", classes=7, width=0.25, resolution=32), "folded")
    save_file(tensors, tmp_path / "w.safetensors", metadata={"input": "BGR, 0..255"})
    weights, told = starting_weights(str(tmp_path / "w.safetensors"), None, "classify")
    assert weights.preprocess == {} and "its input is 'BGR, 0..255'" in told


def test_an_own_checkpoint_brings_its_recipe_s_network_and_preprocessing(road: Path) -> None:
    for path in (road / "run", road / "run" / "float.safetensors"):
        weights, _ = starting_weights(str(path), None, "classify")
        assert weights.arguments == {"width": 0.25, "resolution": 32}
        assert weights.preprocess["fit"] == "stretch" and weights.preprocess["mean"] == [127.5] * 3
    with pytest.raises(CheckpointError, match="is a 'qat' checkpoint; training starts from the float one"):
        starting_weights(str(road / "run" / "qat.safetensors"), None, "classify")
    with pytest.raises(UsageError, match="is a mobilenet_v2, --model mobilenet_v1"):
        starting_weights(str(road / "run"), "mobilenet_v1", "classify")
    with pytest.raises(UsageError, match="is for 'classify', the images are for 'segment'"):
        starting_weights(str(road / "run"), None, "segment")
