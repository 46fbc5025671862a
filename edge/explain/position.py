"""How much of a pixel's position a network's maps tell, by the padding of its windows.

(Islam, Jia and Bruce, "How Much Position Information Do Convolutional Neural Networks Encode?", ICLR 2020, arXiv
2001.08248: PosENet.) A convolution sees no position; what a readout finds was let in at the border, by the zeros there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from edge.artifact.manifest import open_artifact
from edge.errors import UnsupportedError
from edge.explain.explained import readable_file
from edge.explain.feature_maps import backbone, maps_of
from edge.explain.network import Network, network_of_checkpoint
from edge.explain.position_readout import Score, fit, score, stacked
from edge.explain.position_targets import position_targets
from edge.files.bounded_file import is_dir
from edge.graph.analyses.borders import spatial_axes
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.ops.padding import PairHw
from edge.graph.passes.repad import Padding, repadded
from edge.vision.pixels import Pixels, resize
from edge.vision.preprocess import Preprocess

SEED = 0
SMALLEST_MAP = 4
"""Positions along a side that the coarsest map has at least where nothing is padded."""
GRID = 32
LARGEST_SIDE = 2048
Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Read:
    """What a readout found.

    Attributes:
        padding: how the windows padded; `image`: no network, the readout alone on the image.
        size_hw: of the images. photographs: by target, on photographs that the readout was not fitted on.
        others: the same on `mirrored` photographs, a `black`, a `white` and a `noise` image.
        predicted: by target the mean of the predictions on photographs, float32 (h, w).
    """

    padding: str
    size_hw: PairHw
    photographs: Mapping[str, Score]
    others: Mapping[str, Mapping[str, Score]]
    predicted: Mapping[str, npt.NDArray[np.float32]]


def open_probed(path: Path) -> Network:
    """Open the backbone of a checkpoint or an artifact: a graph that ends in its five maps, float or integer.

    Raises:
        FileError: a model file alone, or one that cannot be read. UnsupportedError: no five feature maps.
    """
    if is_dir(path):
        artifact = open_artifact(path)
        file = readable_file(artifact)
        data = artifact.read(file.path)
        graph = read_onnx(data, batch=1) if file.format == "onnx" else read_tflite(data)
        return Network(graph=backbone(graph), preprocess=artifact.manifest.preprocess)
    network = network_of_checkpoint(path)
    return replace(network, graph=backbone(network.graph))


def with_padding(probed: Network, padding: Padding, size_hw: PairHw | None = None) -> Network:
    """The same with another padding, for images of another size. Refuses (UnsupportedError) what `repadded` does."""
    height, width = size_hw or probed.size_hw
    preprocess = Preprocess.model_validate({**probed.preprocess.model_dump(), "height": height, "width": width})
    return Network(graph=repadded(probed.graph, padding, (height, width)), preprocess=preprocess)


def size_without_padding(probed: Network) -> PairHw:
    """The smallest size of images, in steps of GRID, that leaves SMALLEST_MAP positions where nothing is padded.

    Raises:
        UnsupportedError: none up to LARGEST_SIDE does.
    """
    axes = spatial_axes(probed.graph)
    height, width = (-(-side // GRID) * GRID for side in probed.size_hw)
    reason = ""
    while max(height, width) <= LARGEST_SIDE:
        try:
            made = repadded(probed.graph, "none", (height, width))
        except UnsupportedError as error:
            reason = str(error)
        else:
            last = made.tensors[made.outputs[-1]].shape
            if min(last[axis] for axis in axes) >= SMALLEST_MAP:
                return height, width
        height, width = height + GRID, width + GRID
    raise UnsupportedError(f"without padding no image up to {LARGEST_SIDE} pixels leaves a map: {reason}")


def read_positions(
    probed: Network,
    padding: str,
    fitted: Iterable[Pixels],
    tested: Iterable[Pixels],
    advance: Advance = lambda count: None,
) -> Read:
    """Fit a readout on the maps of some photographs, RGB uint8 (h, w, 3), and judge it on those of others."""
    targets = position_targets()
    readout = fit(features(probed, _told(fitted, advance)), tuple(targets.values()))
    held = list(tested)
    preprocess = probed.preprocess
    on_photographs = readout.predict(features(probed, _told(held, advance)))
    mirrored = (np.ascontiguousarray(frame[:, ::-1]) for frame in held)
    others = {"mirrored": readout.predict(features(probed, _told(mirrored, advance)))}
    for name, frame in plain_images(preprocess.height, preprocess.width).items():
        others[name] = readout.predict(features(probed, [frame]))
    return Read(
        padding=padding,
        size_hw=probed.size_hw,
        photographs=scores(on_photographs),
        others=MappingProxyType({name: scores(made) for name, made in others.items()}),
        predicted=dict(zip(targets, on_photographs.mean(dim=0).numpy(), strict=True)),
    )


def read_image_alone(
    probed: Network, fitted: Iterable[Pixels], tested: Iterable[Pixels], advance: Advance = lambda count: None
) -> Read:
    """The same of the image itself in place of maps: what photographs tell of position without a network."""
    image = probed.graph.inputs[0]
    graph = Graph(
        name=probed.graph.name,
        layout=probed.graph.layout,
        operators=(),
        tensors={image: probed.graph.tensors[image]},
        inputs=(image,),
        outputs=(image,),
    )
    return read_positions(replace(probed, graph=graph), "image", fitted, tested, advance)


def features(probed: Network, frames: Iterable[Pixels]) -> Tensor:
    """The resized maps of photographs, float32 (n, channels, SIDE, SIDE)."""
    return features_of(probed, (resize(frame, probed.preprocess) for frame in frames))


def features_of(probed: Network, images: Iterable[Pixels]) -> Tensor:
    """The same of images at the model's size and in its colour order, uint8 (height, width, 3)."""
    return torch.cat([stacked(maps) for maps in maps_of(probed.graph, map(probed.input, images))])


def scores(predicted: Tensor) -> dict[str, Score]:
    """By target how well predictions (n, targets, h, w) are."""
    targets = position_targets()
    return {name: score(predicted[:, index], target) for index, (name, target) in enumerate(targets.items())}


def plain_images(height: int, width: int) -> dict[str, Pixels]:
    """Images that tell nothing of position: black, white, and noise of every pixel alone (section 4.1 of the paper)."""
    noise = np.random.default_rng(SEED).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return {
        "black": np.zeros((height, width, 3), np.uint8),
        "white": np.full((height, width, 3), 255, np.uint8),
        "noise": noise,
    }


def _told(frames: Iterable[Pixels], advance: Advance) -> Iterator[Pixels]:
    for frame in frames:
        yield frame
        advance(1)
