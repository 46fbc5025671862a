"""Every classifier and segmenter, as a recipe and what is changed of it: the rows of `tests.benchmarks.methods`.

The shipped recipes of the generated sets are shortened, all rows of a family alike, so that the whole table is made in
half an hour on two cores: less data and fewer epochs than a recipe, the same network, sizes and losses.
"""

from dataclasses import dataclass
from itertools import chain

from edge.models.attention import ATTENTION

CLASSIFY = ("data.train=generated:classify:train:2400", "data.val=none", "qat.epochs=2", "qat.freeze_ranges_epoch=1")
SEGMENT = ("data.train=generated:segment:train:200", "data.val=none", "qat.epochs=1", "qat.freeze_ranges_epoch=1")
V1 = (*CLASSIFY, "train.epochs=8", "train.batch_size=32", "qat.batch_size=32", "qat.freeze_batch_norm_epoch=0")
V2 = (*CLASSIFY, "train.epochs=5")
SCNN = (*SEGMENT, "train.epochs=14", "qat.freeze_batch_norm_epoch=0")
DEEPLAB = (*SEGMENT, "train.epochs=10", "qat.freeze_batch_norm_epoch=0")
POINT_HEAD = ("model.point_head=32", "model.points=1024")
# name of the row -> what is set in [model]; stride 8 with the pyramid would take as long as four other rows
SHAPES = {"": (), " aspp": ("model.pyramid=true",), " os8": ("model.output_stride=8",), " pointrend": POINT_HEAD}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One network with its options.

    Attributes:
        name: of the table; `folder` is its folder. split: what float and INT8 are judged on.
        recipe: a shipped one, or a file; `changes` are its `--set`.
        ranked: whether its layers are ranked where INT8 is too far below float.
    """

    name: str
    recipe: str
    split: str
    changes: tuple[str, ...]
    ranked: bool = True

    @property
    def folder(self) -> str:
        """The name without spaces."""
        return self.name.replace(" ", "_")


def _classifier(network: str, attention: str, shortened: tuple[str, ...]) -> Row:
    return Row(
        name=_named(network, attention),
        recipe=f"{network}_generated",
        split="generated:classify:val",
        changes=(*shortened, f"model.attention={attention}"),
    )


def _segmenter(network: str, options: str, recipe: str, changes: tuple[str, ...]) -> Row:
    return Row(name=f"{network}{options}", recipe=recipe, split="generated:segment:val", changes=changes)


def _named(network: str, attention: str) -> str:
    return network if attention == "none" else f"{network} {attention}"


def _deeplab(backbone: str, width: float) -> list[Row]:
    """Plain, with the pyramid, at output stride 8, with PointRend, then with the attention modules at stride 16."""
    network = f"deeplab_{backbone}"
    base = (*DEEPLAB, f"model.name={network}", f"model.width={width}", "model.output_stride=16", "model.pyramid=false")
    shapes = [(shape, (*base, *changes)) for shape, changes in SHAPES.items()]
    gated = [(f" {name}", (*base, f"model.attention={name}")) for name in ATTENTION if name != "none"]
    return [
        _segmenter(network, options, "deeplab_mobilenet_v2_generated", changes) for options, changes in shapes + gated
    ]


ROWS: tuple[Row, ...] = tuple(
    chain(
        (_classifier("mobilenet_v1", attention, V1) for attention in ATTENTION),
        (_classifier("mobilenet_v2", attention, V2) for attention in ATTENTION),
        [Row(name="rednet", recipe="rednet_26_generated", split="generated:classify:val", changes=V2)],
        (
            _segmenter(
                "fast_scnn", _named("", attention), "fast_scnn_generated", (*SCNN, f"model.attention={attention}")
            )
            for attention in ATTENTION
        ),
        [_segmenter("fast_scnn", " pointrend", "fast_scnn_generated", (*SCNN, *POINT_HEAD))],
        _deeplab("mobilenet_v2", 0.35),
        _deeplab("mobilenet_v1", 0.25),
    )
)
