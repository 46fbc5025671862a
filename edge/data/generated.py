"""Generated splits: street scenes with masks or boxes, street objects to classify, shapes with several attributes.

Licence-free, the same on every machine.
Samples are drawn when asked for. The parts use disjoint ranges of seeds, so no image is in two of them.
"""

from functools import lru_cache, partial

import numpy as np
from numpy.typing import NDArray

from edge.data.attribute_image import ATTRIBUTES, attribute_image, attribute_truth
from edge.data.box_scene import BOX_CLASSES, box_scene, scene_boxes
from edge.data.object_image import OBJECT_CLASSES, object_image, object_label
from edge.data.scene import SCENE_CLASSES, SCENE_PALETTE, scene
from edge.data.splits import Sample, Split
from edge.errors import UsageError, unknown_name

Pixels = NDArray[np.uint8]

OBJECT_SIZE = 96
SCENE_SHAPE_HW = (192, 256)

# The first seed of a part.
_PARTS = {"train": 0, "val": 1_000_000, "calibration": 2_000_000}
_MOST = 1_000_000


def generated_split(
    task: str, part: str, count: int | None = None, *, shape_hw: tuple[int, int] | None = None
) -> Split:
    """A generated split.

    Args:
        task: `classify`, `attributes` (independent labels), `segment` or `detect`.
        part: `train`, `val` or `calibration`.
        count: samples, 1 to a million; None: 4000, 1000, 128, or 600, 100, 32 (segment, detect).
        shape_hw: height and width of the images; None: 96 x 96, where they must be equal, or 192 x 256 (segment,
            detect).
    """
    if task not in _DRAWN:
        raise UsageError(f"generated: {unknown_name('task', task, _DRAWN)}")
    if part not in _PARTS:
        raise UsageError(f"generated:{task}: {unknown_name('part', part, _PARTS)}")
    first, (draw, counts) = _PARTS[part], _DRAWN[task]
    samples = counts[part] if count is None else count
    if not 1 <= samples <= _MOST:
        raise UsageError(f"generated:{task}:{part}: {samples} samples; give 1 to {_MOST}")
    return draw(part, range(first, first + samples), shape_hw)


def _objects(part: str, seeds: range, shape_hw: tuple[int, int] | None) -> Split:
    size = _square("classify", shape_hw)
    samples = tuple(
        Sample(name=f"object_{seed:07d}", image=partial(_object_pixels, seed, size), target=object_label(seed))
        for seed in seeds
    )
    return Split(samples=samples, task="classify", classes=OBJECT_CLASSES, origin=f"generated:classify:{part}")


def _attributes(part: str, seeds: range, shape_hw: tuple[int, int] | None) -> Split:
    size = _square("attributes", shape_hw)
    samples = tuple(
        Sample(name=f"shape_{seed:07d}", image=partial(attribute_image, seed, size), target=attribute_truth(seed))
        for seed in seeds
    )
    return Split(
        samples=samples,
        task="classify",
        classes=tuple(ATTRIBUTES),
        scores="independent",
        origin=f"generated:attributes:{part}",
    )


def _square(task: str, shape_hw: tuple[int, int] | None) -> int:
    height, width = shape_hw or (OBJECT_SIZE, OBJECT_SIZE)
    if height != width or height < 16:
        raise UsageError(f"generated:{task}: images are square and at least 16 wide, asked for {height}x{width}")
    return height


def _scenes(part: str, seeds: range, shape_hw: tuple[int, int] | None) -> Split:
    height, width = _wide("segment", shape_hw)
    samples = tuple(
        Sample(
            name=f"scene_{seed:07d}",
            image=partial(_scene_pixels, seed, (height, width)),
            target=partial(_scene_mask, seed, (height, width)),
        )
        for seed in seeds
    )
    return Split(
        samples=samples,
        task="segment",
        classes=SCENE_CLASSES,
        palette=SCENE_PALETTE,
        origin=f"generated:segment:{part}",
    )


def _box_scenes(part: str, seeds: range, shape_hw: tuple[int, int] | None) -> Split:
    shape = _wide("detect", shape_hw)
    samples = tuple(
        Sample(
            name=f"street_{seed:07d}",
            image=partial(box_scene, seed, shape),
            target=scene_boxes(seed, shape),
        )
        for seed in seeds
    )
    return Split(samples=samples, task="detect", classes=BOX_CLASSES, origin=f"generated:detect:{part}")


def _wide(task: str, shape_hw: tuple[int, int] | None) -> tuple[int, int]:
    height, width = shape_hw or SCENE_SHAPE_HW
    if min(height, width) < 32:
        raise UsageError(f"generated:{task}: images are at least 32x32, asked for {height}x{width}")
    return height, width


def _object_pixels(seed: int, size: int) -> Pixels:
    return object_image(seed, size)[0]


@lru_cache(maxsize=8)
def _drawn_scene(seed: int, shape_hw: tuple[int, int]) -> tuple[Pixels, Pixels]:
    """Image and mask are drawn together but asked for one after the other."""
    return scene(seed, shape_hw)


def _scene_pixels(seed: int, shape_hw: tuple[int, int]) -> Pixels:
    return _drawn_scene(seed, shape_hw)[0].copy()


def _scene_mask(seed: int, shape_hw: tuple[int, int]) -> Pixels:
    return _drawn_scene(seed, shape_hw)[1].copy()


_SMALL = {"train": 4000, "val": 1000, "calibration": 128}
_LARGE = {"train": 600, "val": 100, "calibration": 32}
# What draws a split, and how many samples its parts have.
_DRAWN = {
    "classify": (_objects, _SMALL),
    "attributes": (_attributes, _SMALL),
    "segment": (_scenes, _LARGE),
    "detect": (_box_scenes, _LARGE),
}
