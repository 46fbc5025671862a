"""One image explained: from a photograph to the attributions of a model's input."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edge.explain.baseline import BASELINES
from edge.explain.explained import Explained
from edge.explain.integrated_gradients import MOST_STEPS, Attribution, integrated_gradients
from edge.explain.target import Target
from edge.vision.pixels import Pixels, normalize, resize
from edge.vision.preprocess import Preprocess

MOST_STEPS_OF_INTEGERS = 180
BATCH_PIXELS = 4 * 224 * 224
"""Of the points of a path that are held at once: with what a MobileNetV2 keeps for its gradients, 0.5 GB."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """How attributions are made: the name of the baseline, and the largest number of steps; None: MOST_STEPS.

    Of integers, whose gradients straight through the rounding need not sum to the change however many they are,
    MOST_STEPS_OF_INTEGERS.
    """

    baseline: str = "black"
    most_steps: int | None = None

    def steps_for(self, explained: Explained) -> int:
        """The largest number of steps for a model."""
        if self.most_steps is not None:
            return self.most_steps
        return MOST_STEPS if explained.kind == "float" else MOST_STEPS_OF_INTEGERS


def model_input(frame: Pixels, preprocess: Preprocess) -> Tensor:
    """A photograph, RGB uint8 (h, w, 3), as the model's input: normalized float32 (3, height, width)."""
    return _channels_first(normalize(resize(frame, preprocess), preprocess))


def explain_image(explained: Explained, frame: Pixels, target: Target, method: Method) -> Attribution:
    """Integrated gradients of a target on a photograph, RGB uint8 (h, w, 3), channels in the model's order."""
    return explain_input(explained, model_input(frame, explained.preprocess), frame, target, method)


def explain_input(explained: Explained, image: Tensor, frame: Pixels, target: Target, method: Method) -> Attribution:
    """As `explain_image`, of an input that is the photograph's, or near it: the baseline is the photograph's."""
    preprocess = explained.preprocess
    start = BASELINES[method.baseline](resize(frame, preprocess), preprocess)
    mean, std = (np.asarray(three, np.float32) for three in (preprocess.mean, preprocess.std))
    return integrated_gradients(
        target.score(explained),
        image,
        _channels_first((start - mean) / std),
        most_steps=method.steps_for(explained),
        batch_size=max(1, BATCH_PIXELS // (preprocess.height * preprocess.width)),
    )


def per_channel(attribution: Attribution, preprocess: Preprocess) -> NDArray[np.float32]:
    """Attributions as float32 (height, width, 3), red, green, blue, of the model's input."""
    last = attribution.values.transpose(1, 2, 0)
    return np.ascontiguousarray(last[:, :, ::-1] if preprocess.colour_order == "bgr" else last, np.float32)


def summed(attribution: Attribution) -> NDArray[np.float32]:
    """Attributions of the model's input's pixels, float32 (height, width): the sums over their channels."""
    return np.asarray(attribution.values.sum(axis=0), np.float32)


def _channels_first(values: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))
