"""A network nobody trained as an INT8 artifact: to be measured, where only its size and its kernels count.

Weights are the network's own random ones, ranges come from a few generated scenes. The graph, its shapes and therefore
the kernels that run are those of the trained network; integer kernels take as long for one value as for another.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from converters.convert.build import build_artifact
from converters.convert.convert import selftest_images
from converters.convert.heads import TASK_HEADS, append_head
from converters.packaging.description import Description
from converters.packaging.output_meaning import Said
from converters.packaging.provenance import provenance
from edge.artifact.detection import detection_of
from edge.artifact.manifest import Artifact, QuantizationInfo
from edge.artifact.model_file import Labels
from edge.artifact.scheme import INT8_SCHEME, input_range
from edge.errors import UsageError, unknown_name
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.capture import float_graph
from edge.training.own_recipe import DEFAULTS, SYMMETRIC
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.pixels import in_layout, normalize, normalize_table
from edge.vision.preprocess import Preprocess

SEED = 1
UNTRAINED = "untrained: random weights; for measuring latency and size, not for predicting"


def untrained_artifact(model: str, arguments: Mapping[str, Any], folder: Path, *, head: str | None = None) -> Artifact:
    """Write the INT8 artifact of an untrained network; the same arguments give the same model files.

    Args:
        arguments: of its builder, the classes included. head: what a segmenter or detector ends in; None: its first.

    Raises:
        UsageError: a head that the task does not have, or arguments that the builder refuses.
        UnsupportedError: an operator that has no integer form.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        network: Any = build(model, **arguments)
    heads: Sequence[str] = TASK_HEADS[network.task]
    if head is not None and head not in heads:
        raise UsageError(
            f"--head: {unknown_name('head', head, heads)}" if heads else f"{model} ends in no head: {head}"
        )
    chosen: Any = (head or heads[0]) if heads else None
    *_, height, width = network.input_shape
    preprocess = _preprocess(network.task, height, width)
    images = selftest_images(preprocess)
    pixels = in_layout(normalize(images, preprocess), "nchw")
    with torch.random.fork_rng(devices=[]):  # of dropout
        _normalize(network, torch.from_numpy(pixels))
    graph = append_head(float_graph(network, torch.zeros(1, 3, height, width)), chosen or "logits")
    scheme = INT8_SCHEME
    quantized = calibrate(
        graph, [pixels], estimator="minmax", scheme=scheme, input_range=input_range(normalize_table(preprocess), scheme)
    )
    anchors = getattr(network, "anchors", None)
    description = Description(
        name=folder.name,
        task=network.task,
        head=chosen,
        preprocess=preprocess,
        labels=Labels(names=tuple(f"class {index}" for index in range(network.classes))),
        quantization=QuantizationInfo(
            method="ptq",
            scheme=scheme.model_dump(mode="json"),
            calibration_sha256=hashlib.sha256(images.tobytes()).hexdigest(),
            calibration_images=len(images),
            ranges="minmax",
            notes=(UNTRAINED,),
        ),
        provenance=provenance(source=folder, folder=folder),
        said=Said(values="logits", scores="exclusive" if anchors is None else "independent"),
        detection=None if anchors is None else detection_of(anchors, BoxCoder(), Selection()),
    )
    return build_artifact(quantized, description, folder, images=images[:1])


def _normalize(network: nn.Module, pixels: Tensor) -> None:
    """Give batch norm the statistics of some images: random layers in a row otherwise grow beyond float32."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(pixels)
    network.eval()


def _preprocess(task: Any, height: int, width: int) -> Preprocess:
    """As `edge train --images` would have it."""
    given = {**DEFAULTS[task].geometry, **SYMMETRIC, "colour_order": "rgb", "height": height, "width": width}
    return Preprocess.model_validate_json(json.dumps(given))
