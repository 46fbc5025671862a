"""A small detector of random weights whose scores differ, as an artifact."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from converters.convert.build import build_artifact
from converters.packaging.description import Description
from converters.packaging.output_meaning import Said
from converters.packaging.provenance import provenance
from edge.artifact.detection import detection_of
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.data.box_scene import BOX_CLASSES
from edge.data.scene import scene
from edge.models.registry import build
from edge.models.ssdlite import SsdLite
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.capture import float_graph
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess

CLASSES = BOX_CLASSES
SELECTION = Selection(threshold=0.4, most=50)


def detector_preprocess(resolution: int, mean: float = 127.5, std: float = 127.5) -> Preprocess:
    """Square frames, one mean and deviation for all channels."""
    return Preprocess(
        colour_order="rgb",
        height=resolution,
        width=resolution,
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=(mean,) * 3,
        std=(std,) * 3,
    )


def random_detector(resolution: int, classes: int = len(CLASSES)) -> SsdLite:
    """MobileNetV2 SSDLite; as of a trained one few of its scores reach the threshold."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build("mobilenet_v2_ssdlite", classes=classes, width=0.25, resolution=resolution)
    assert isinstance(network, SsdLite)
    with torch.no_grad():
        frames = scenes(detector_preprocess(resolution), 8)
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.momentum = 1.0  # the statistics of one batch: what is normalized differs from place to place
        network.train()(torch.from_numpy(normalize(frames, detector_preprocess(resolution)).transpose(0, 3, 1, 2)))
        for of_map in network.classifier.scores:
            torch.nn.init.constant_(of_map.predict.bias, -3.0)
    return network.eval()


def scenes(preprocess: Preprocess, count: int) -> np.ndarray:
    """Generated street scenes at the model's size: uint8 (count, height, width, 3)."""
    size = (preprocess.height, preprocess.width)
    return np.stack([resize(scene(index, size)[0], preprocess) for index in range(count)])


def detector_artifact(
    folder: Path,
    *,
    int8: bool = True,
    resolution: int = 96,
    head: str = "postprocess",
    classes: tuple[str, ...] = CLASSES,
    most: int = SELECTION.most,
) -> Artifact:
    """The network as an artifact with one of the heads."""
    preprocess = detector_preprocess(resolution)
    network = random_detector(resolution, len(classes))
    graph = float_graph(network, torch.zeros(1, 3, resolution, resolution))
    frames = scenes(preprocess, 4)
    if int8:
        images = [normalize(frames, preprocess).transpose(0, 3, 1, 2)]
        graph = calibrate(graph, images, estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    description = Description(
        name="detector",
        task="detect",
        head=head,  # type: ignore[arg-type]
        preprocess=preprocess,
        labels=Labels(names=classes),
        quantization=QuantizationInfo(method="ptq" if int8 else "none"),
        provenance=provenance(source=folder, folder=folder),
        said=Said(values="logits", scores="independent"),
        detection=detection_of(network.anchors, BoxCoder(), replace(SELECTION, most=most)),
    )
    return build_artifact(graph, description, folder, images=frames[:2])
