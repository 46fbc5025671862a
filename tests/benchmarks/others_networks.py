"""Networks of others as ONNX files, of pytorchcv's structures: `python -m tests.benchmarks.others_networks FOLDER`.

Their weights are drawn, since trained ones are a download; batch norm remembers what photographs of the test data
make of them. pytorchcv is no dependency: `pip install --no-deps --target pytorchcv pytorchcv` and PYTHONPATH=pytorchcv.
"""

import os
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

import cv2
import numpy as np
import torch
from torch import nn

from edge.data.open_split import open_split
from edge.terminal import say
from tests.support.sick_models import IMAGENET

DATA = Path(os.environ.get("EDGE_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
SIZE, IMAGES, BATCH = 224, 16, 8
# module of pytorchcv.models -> network
NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "mobilenet": "mobilenet_wd4",
        "mobilenetv2": "mobilenetv2_wd4",
        "mobilenetv3": "mobilenetv3_small_w7d20",
        "efficientnet": "efficientnet_b0",
        "resnet": "resnet10",
        "preresnet": "preresnet10",
        "shufflenetv2": "shufflenetv2_wd2",
        "squeezenet": "squeezenet_v1_1",
        "regnet": "regnetx002",
        "densenet": "densenet121",
        "mnasnet": "mnasnet_b1",
        "ghostnet": "ghostnet",
    }
)


def photographs() -> torch.Tensor:
    """Photographs of the test data from -1 to 1: float32 (IMAGES, 3, SIZE, SIZE)."""
    split = open_split(images=str(DATA / IMAGENET))
    places = range(0, len(split), len(split) // IMAGES)[:IMAGES]
    pixels = [cv2.resize(split.image(place), (SIZE, SIZE)) for place in places]
    return torch.from_numpy(np.stack(pixels).transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1)


def main() -> None:
    """Write every network that is not there yet."""
    folder, images = Path(sys.argv[1]), photographs()
    folder.mkdir(exist_ok=True)
    warnings.filterwarnings("ignore")  # the exporter's own
    for module, name in NETWORKS.items():
        path = folder / f"{name}.onnx"
        if path.exists():
            continue
        torch.manual_seed(0)
        sized = {} if module == "squeezenet" else {"in_size": (SIZE, SIZE)}
        network = getattr(import_module(f"pytorchcv.models.{module}"), name)(**sized).train()
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = None  # the mean over all batches
                layer.reset_running_stats()
            elif isinstance(layer, nn.Dropout):
                layer.eval()
        with torch.no_grad():
            for start in range(0, IMAGES, BATCH):
                network(images[start : start + BATCH])
        torch.onnx.export(network.eval(), (images[:1],), str(path), opset_version=17, dynamo=False)
        say(str(path))


if __name__ == "__main__":
    main()
