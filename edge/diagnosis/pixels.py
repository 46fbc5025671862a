"""Whether images are photographs at all: what their pixels say without a network."""

import numpy as np
import numpy.typing as npt

from edge.vision.pixels import Pixels

FLAT = 2.0
"""Grey levels that an image's pixels deviate from their mean at least."""
UNRELATED = 0.4
"""Correlation of neighbouring pixels; photographs have over 0.8, noise 0."""


def not_photographs(pixels: Pixels) -> str:
    """Why images (n, h, w, 3) cannot tell anything of a model: flat, or noise; '' where they can."""
    deviation, related, _ = pixel_facts(pixels)
    if deviation < FLAT:
        return f"needs photographs; these images show nothing (their pixels deviate by {deviation:.1f} grey levels)"
    return f"needs photographs; these images are noise ({related:.2f})" if related < UNRELATED else ""


def pixel_facts(pixels: Pixels) -> tuple[float, float, int]:
    """Of images (n, h, w, 3): the median deviation, the median correlation of neighbours, the most that are equal."""
    grey = pixels.astype(np.float64).mean(axis=3)
    deviation = grey.std(axis=(1, 2))
    related = [_correlation(image[:, :-1], image[:, 1:]) for image in grey if image.std() > 0]
    counts: dict[bytes, int] = {}
    for image in pixels:
        counts[image.tobytes()] = counts.get(image.tobytes(), 0) + 1
    return float(np.median(deviation)), float(np.median(related)) if related else 1.0, max(counts.values())


def _correlation(first: npt.NDArray[np.float64], second: npt.NDArray[np.float64]) -> float:
    mine, theirs = first - first.mean(), second - second.mean()
    norm = float(np.sqrt((mine**2).sum() * (theirs**2).sum()))
    return float((mine * theirs).sum()) / norm if norm else 1.0
