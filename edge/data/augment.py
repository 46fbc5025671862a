"""Random changes of training images, on uint8 pixels with OpenCV; every random number comes from the rng given.

Geometry is one affine warp and colour is one 3x4 matrix per image, so a 480x360 sample takes about two milliseconds.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

# ITU-R BT.601 luma, the grey that saturation moves towards.
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class ColourJitter:
    """How far colours may move.

    Attributes:
        brightness, contrast, saturation: the factor is uniform in [1 - x, 1 + x]; 0 leaves it as it is.
        channel: each channel gets its own gain, uniform in [1 - x, 1 + x].
        noise: standard deviation of Gaussian noise in grey levels.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    channel: float = 0.0
    noise: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ClassificationAugment:
    """Random resized crop (Inception): area share and aspect ratio ranges, then flip and colour.

    Attributes:
        area: (low, high) share of the image's area, in (0, 1].
        aspect: (low, high) width / height of the cut, sampled uniformly in the logarithm.
        flip: probability of a left-right flip.
    """

    area: tuple[float, float] = (0.25, 1.0)
    aspect: tuple[float, float] = (0.75, 4.0 / 3.0)
    flip: float = 0.5
    colour: ColourJitter = ColourJitter()


@dataclass(frozen=True, kw_only=True)
class SegmentationAugment:
    """Random scale, crop, flip and colour (Fast-SCNN, section 4.1).

    Attributes:
        scale: (low, high) factor of the image's size, sampled uniformly in the logarithm.
        flip: probability of a left-right flip.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    colour: ColourJitter = ColourJitter()


def augment_classification(
    image: Pixels, size_hw: tuple[int, int], settings: ClassificationAugment, rng: np.random.Generator
) -> Pixels:
    """A random cut of an image, resized bilinearly without antialiasing.

    Args:
        image: RGB uint8 (h, w, 3).
        size_hw: output height and width.

    Returns:
        RGB uint8 (height, width, 3).
    """
    top, left, height, width = _random_cut(image.shape[0], image.shape[1], settings, rng)
    cut = image[top : top + height, left : left + width]
    resized = cv2.resize(cut, (size_hw[1], size_hw[0]), interpolation=cv2.INTER_LINEAR)
    if rng.random() < settings.flip:
        resized = cv2.flip(resized, 1)
    return jitter_colour(np.asarray(resized, dtype=np.uint8), settings.colour, rng)


def augment_segmentation(
    image: Pixels,
    mask: Pixels,
    size_hw: tuple[int, int],
    settings: SegmentationAugment,
    rng: np.random.Generator,
    *,
    ignore_index: int = 255,
    fill: tuple[int, int, int] = (128, 128, 128),
) -> tuple[Pixels, Pixels]:
    """Scale an image and its mask together, cut a random window, flip, change colours.

    Where the scaled image is smaller than the window, it lies at a random place inside; the rest is `fill` in the image
    and `ignore_index` in the mask. The mask is sampled at the nearest pixel, the image bilinearly.

    Args:
        image: RGB uint8 (h, w, 3). mask: uint8 (h, w).
        size_hw: the window's height and width.

    Returns:
        RGB uint8 (height, width, 3) and uint8 (height, width).
    """
    scale = math.exp(rng.uniform(math.log(settings.scale[0]), math.log(settings.scale[1])))
    height, width = size_hw
    offset_y = _random_offset(image.shape[0] * scale - height, rng)
    offset_x = _random_offset(image.shape[1] * scale - width, rng)
    step = 1.0 / scale
    # Pixel centres: source = (target + 0.5 + offset) / scale - 0.5.
    to_source = np.array(
        [[step, 0.0, (offset_x + 0.5) * step - 0.5], [0.0, step, (offset_y + 0.5) * step - 0.5]], dtype=np.float64
    )
    if rng.random() < settings.flip:
        to_source[0, 2] += step * (width - 1)
        to_source[0, 0] = -step
    warped = cv2.warpAffine(
        image,
        to_source,
        (width, height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=fill,
    )
    warped_mask = cv2.warpAffine(
        mask,
        to_source,
        (width, height),
        flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=ignore_index,
    )
    coloured = jitter_colour(np.asarray(warped, dtype=np.uint8), settings.colour, rng)
    return coloured, np.asarray(warped_mask, dtype=np.uint8)


def jitter_colour(image: Pixels, settings: ColourJitter, rng: np.random.Generator) -> Pixels:
    """Brightness, contrast around the mean grey, saturation and channel gains as one affine map of RGB; then noise.

    Args:
        image: RGB uint8 (h, w, 3).

    Returns:
        RGB uint8 (h, w, 3); values saturate at 0 and 255.
    """
    brightness, contrast, saturation = (
        1.0 + rng.uniform(-reach, reach) for reach in (settings.brightness, settings.contrast, settings.saturation)
    )
    gains = 1.0 + rng.uniform(-settings.channel, settings.channel, size=3)
    changed = image
    if any((settings.brightness, settings.contrast, settings.saturation, settings.channel)):
        towards_grey = saturation * np.eye(3) + (1.0 - saturation) * np.tile(_LUMA, (3, 1))
        matrix = brightness * contrast * gains[:, None] * towards_grey
        # The mean from every 8th pixel: contrast needs no more, and reading all of them takes longer than the map.
        mean_grey = float(image[::8, ::8].reshape(-1, 3).mean(axis=0) @ _LUMA)
        offset = np.full((3, 1), brightness * (1.0 - contrast) * mean_grey)
        changed = np.asarray(cv2.transform(image, np.hstack([matrix, offset])), dtype=np.uint8)
    if settings.noise > 0:
        noise = np.empty((image.shape[0], image.shape[1] * 3), dtype=np.int16)
        cv2.setRNGSeed(int(rng.integers(1, 2**31 - 1)))
        cv2.randn(noise, np.zeros(1), np.full(1, settings.noise))
        changed = np.asarray(cv2.add(changed, noise.reshape(image.shape), dtype=cv2.CV_8U), dtype=np.uint8)
    return changed


def _random_cut(
    height: int, width: int, settings: ClassificationAugment, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Top, left, height, width of a random cut; after ten failures the largest centred cut within the aspect range."""
    low, high = settings.aspect
    for _ in range(10):
        area = height * width * rng.uniform(*settings.area)
        aspect = math.exp(rng.uniform(math.log(low), math.log(high)))
        cut_width, cut_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < cut_width <= width and 0 < cut_height <= height:
            top = int(rng.integers(0, height - cut_height + 1))
            left = int(rng.integers(0, width - cut_width + 1))
            return top, left, cut_height, cut_width
    cut_width = min(width, max(1, round(height * high)))
    cut_height = min(height, max(1, round(width / low)))
    return (height - cut_height) // 2, (width - cut_width) // 2, cut_height, cut_width


def _random_offset(room: float, rng: np.random.Generator) -> float:
    """Where the window starts in the scaled image: anywhere it fits, or before it when the image is the smaller."""
    return float(rng.uniform(min(room, 0.0), max(room, 0.0)))
