"""What networks of given sizes reached where they were published: to be told beside a candidate, with its source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SLIM_V1 = "tensorflow/models research/slim/nets/mobilenet_v1.md"
SLIM_V2 = "tensorflow/models research/slim/nets/mobilenet/README.md"
ZOO = "tensorflow/models research/deeplab/g3doc/model_zoo.md"
PAPER_V2 = "arXiv 1801.04381"
PAPER_SCNN = "arXiv 1902.04502, table 6"
TOP1, VOC, CITYSCAPES, COCO = "ImageNet top-1", "VOC 2012 val mIoU", "Cityscapes test mIoU", "COCO test-dev AP"


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published accuracy of a float network.

    Attributes:
        metric: with its data set. value: in [0, 1]. source: where it is told.
        arguments: of the builder, all that change the network or the size of its input.
    """

    model: str
    arguments: Mapping[str, Any]
    metric: str
    value: float
    source: str


# width -> input size -> percent of the 50,000 images of validation, one crop, float
_V1: Mapping[float, Mapping[int, float]] = {
    1.0: {224: 70.9, 192: 70.0, 160: 68.0, 128: 65.2},
    0.75: {224: 68.4, 192: 67.2, 160: 65.3, 128: 62.1},
    0.5: {224: 63.3, 192: 61.7, 160: 59.1, 128: 56.3},
    0.25: {224: 49.8, 192: 47.7, 160: 45.5, 128: 41.5},
}
_V2: Mapping[float, Mapping[int, float]] = {
    1.4: {224: 75.0},
    1.3: {224: 74.4},
    1.0: {224: 71.8, 192: 70.7, 160: 68.8, 128: 65.3, 96: 60.3},
    0.75: {224: 69.8, 192: 68.7, 160: 66.4, 128: 63.2, 96: 58.8},
    0.5: {224: 65.4, 192: 63.9, 160: 61.0, 128: 57.7, 96: 51.2},
    0.35: {224: 60.3, 192: 58.2, 160: 55.7, 128: 50.8, 96: 45.5},
}
_SCNN: Mapping[tuple[int, int], float] = {(1024, 2048): 68.0, (512, 1024): 62.8, (256, 512): 51.9}


def _row(model: str, metric: str, percent: float, source: str, **arguments: Any) -> Published:
    return Published(model=model, arguments=arguments, metric=metric, value=round(percent / 100, 4), source=source)


PUBLISHED: tuple[Published, ...] = (
    *(
        _row(model, TOP1, percent, source, width=width, resolution=size)
        for model, table, source in (("mobilenet_v1", _V1, SLIM_V1), ("mobilenet_v2", _V2, SLIM_V2))
        for width, sizes in table.items()
        for size, percent in sizes.items()
    ),
    *(_row("fast_scnn", CITYSCAPES, percent, PAPER_SCNN, resolution_hw=size) for size, percent in _SCNN.items()),
    _row("deeplab_mobilenet_v2", VOC, 75.32, ZOO, width=1.0, resolution_hw=(513, 513), output_stride=16, pyramid=False),
    _row(
        "deeplab_mobilenet_v2", VOC, 75.70, f"{PAPER_V2}, table 7", width=1.0, resolution_hw=(513, 513),
        output_stride=16, pyramid=True,
    ),
    _row("mobilenet_v2_ssdlite", COCO, 22.1, f"{PAPER_V2}, table 6", width=1.0, resolution=320),
    _row("mobilenet_v1_ssdlite", COCO, 22.2, f"{PAPER_V2}, table 6", width=1.0, resolution=320),
)  # fmt: skip
"""Float accuracies of the plain networks; one with attention is another network, and has none here."""

PLAIN: Mapping[str, Any] = {"attention": "none"}


def published_for(model: str, arguments: Mapping[str, Any]) -> Published | None:
    """The published accuracy of a network of exactly these arguments; None where there is none.

    Args:
        arguments: of its builder, all of them; of the number of classes nothing depends.
    """
    asked = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    plain = all(asked.get(name, value) == value for name, value in PLAIN.items())
    for row in PUBLISHED if plain else ():
        if row.model == model and all(asked.get(name) == value for name, value in row.arguments.items()):
            return row
    return None
