"""Real weights on real photographs reach the accuracy that test data's README measured."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from edge.data.image_folder import image_folder
from edge.data.splits import Split
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.vision.pixels import normalize, resize
from edge.vision.preprocess import Preprocess

pytestmark = pytest.mark.data

NETWORKS = {
    "mobilenet_v2_1.0_224": ("mobilenet_v2", {"width": 1.0, "resolution": 224}),
    "mobilenet_v1_1.0_224": ("mobilenet_v1", {"width": 1.0, "resolution": 224}),
    "mobilenet_v1_0.75_192": ("mobilenet_v1", {"width": 0.75, "resolution": 192}),
    "mobilenet_v1_0.25_224": ("mobilenet_v1", {"width": 0.25, "resolution": 224}),
}
TOP1_PERCENT = {
    "mobilenet_v2_1.0_224": 89.0,
    "mobilenet_v1_1.0_224": 88.8,
    "mobilenet_v1_0.75_192": 78.8,
    "mobilenet_v1_0.25_224": 57.6,
}


@pytest.fixture(scope="module")
def photographs(test_data: Path) -> Split:
    folder = test_data / "imagenet_samples"
    return image_folder(folder / "dev", folder / "dev_labels.txt")


def loaded(test_data: Path, weights: str, classes: int) -> nn.Module:
    name, arguments = NETWORKS[weights]
    model = build(name, classes=classes, **arguments)
    load_pretrained(model, test_data / "models" / f"{weights}.safetensors")
    return model.eval()


def inputs(photographs: Split, indices: range, size: int) -> np.ndarray:
    """float32 (n, size, size, 3): the centre 87.5 %, x / 127.5 - 1."""
    preprocess = Preprocess(
        colour_order="rgb",
        height=size,
        width=size,
        interpolation="bilinear",
        fit="crop",
        crop_fraction=0.875,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )
    return normalize(np.stack([resize(photographs.image(index), preprocess) for index in indices]), preprocess)


def top1_percent(model: nn.Module, photographs: Split, indices: range) -> float:
    right = 0
    for start in range(0, len(indices), 25):
        chunk = indices[start : start + 25]
        x = torch.from_numpy(inputs(photographs, chunk, model.input_shape[2])).permute(0, 3, 1, 2)
        with torch.no_grad():
            predicted = model(x).argmax(1).tolist()
        right += sum(label == photographs.target(index) for label, index in zip(predicted, chunk, strict=True))
    return 100 * right / len(indices)


def test_mobilenet_v1_gives_the_official_float_models_probabilities(test_data: Path, photographs: Split) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = loaded(test_data, "mobilenet_v1_0.25_224", 1001)
    x = inputs(photographs, range(4), 224)
    with torch.no_grad():
        ours = torch.softmax(model(torch.from_numpy(x).permute(0, 3, 1, 2)), dim=1).numpy()
    official = Interpreter(str(test_data / "models" / "mobilenet_v1_0.25_224_1_default_1.tflite"), num_threads=1)
    official.allocate_tensors()
    for image, probabilities in zip(x, ours, strict=True):
        official.set_tensor(official.get_input_details()[0]["index"], image[None])
        official.invoke()
        theirs = official.get_tensor(official.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(probabilities, theirs, atol=2e-5)


@pytest.mark.parametrize(("weights", "at_least"), [("mobilenet_v2_1.0_224", 80), ("mobilenet_v1_0.25_224", 40)])
def test_given_weights_recognize_photographs(weights, at_least, test_data: Path, photographs: Split) -> None:
    assert top1_percent(loaded(test_data, weights, 1000), photographs, range(0, 500, 10)) >= at_least


@pytest.mark.slow
@pytest.mark.parametrize("weights", NETWORKS)
def test_given_weights_reach_the_measured_accuracy(weights, test_data: Path, photographs: Split) -> None:
    """Two images of 500 are allowed for another decoder or processor."""
    measured = top1_percent(loaded(test_data, weights, 1000), photographs, range(500))
    assert measured == pytest.approx(TOP1_PERCENT[weights], abs=0.4)
