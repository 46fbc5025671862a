"""Calibration images of `edge quantize --data-free`: made from a checkpoint's batch-norm statistics."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from converters.convert.calibration import Calibration
from converters.convert.opened_checkpoint import open_checkpoint
from converters.convert.options import ConvertOptions
from edge.data.splits import Sample, Split
from edge.errors import UsageError
from edge.quantization.ptq.estimators import Estimator
from edge.quantization.ptq.made_images import Norm, made_images
from edge.training.batch_norm import norms, without_statistics
from edge.training.checkpoint import restore_module
from edge.vision.pixels import normalize_table

IMAGES = 40


def data_free_calibration(
    source: Path,
    options: ConvertOptions,
    *,
    images: int | None,
    ranges: Estimator,
    seed: int,
    advance: Callable[[int, int], None],
) -> Calibration:
    """A calibration on images that no camera took.

    Args:
        images: how many; None: IMAGES.

    Raises:
        UsageError: an ONNX file, whose batch norms are folded or may be, or a checkpoint whose batch norms have no
            statistics of data.
    """
    if source.suffix != ".safetensors":
        raise UsageError(
            f"--data-free takes a checkpoint, whose batch norms keep statistics; for {source} give --calibration or "
            "--images"
        )
    checkpoint = open_checkpoint(source, options)
    if checkpoint.kind == "qat":
        raise UsageError(f"{source} is quantized already; turn it into an artifact with `edge convert`")
    model = restore_module(checkpoint)
    empty = {id(norm) for norm in without_statistics(model)}
    kept = [norm for norm in norms(model) if id(norm) not in empty and _has_seen(norm)]
    if not kept:
        raise UsageError(
            f"{source} has no batch-norm statistics of data, which --data-free makes images from; give --calibration "
            "or --images"
        )
    preprocess = checkpoint.recipe.preprocess
    table = torch.from_numpy(normalize_table(preprocess))
    made = made_images(
        model, kept, count=images or IMAGES, lows=table.amin(dim=1), highs=table.amax(dim=1),
        size_hw=(preprocess.height, preprocess.width), seed=seed, advance=advance,
    )  # fmt: skip
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (preprocess.mean, preprocess.std))
    pixels = np.clip(np.rint(made * std + mean), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pixels = np.ascontiguousarray(pixels if preprocess.colour_order == "rgb" else pixels[..., ::-1])
    samples = tuple(
        Sample(name=f"made_{number:04d}", image=partial(_image, pixels, number), target=None)
        for number in range(len(pixels))
    )
    split = Split(samples=samples, task="images", origin=f"batch-norm statistics of {source}")
    return Calibration(split=split, ranges=ranges, made=True)


def _has_seen(norm: Norm) -> bool:
    """Whether a mean was ever anything but the first one."""
    return norm.running_mean is not None and bool(norm.running_mean.any())


def _image(pixels: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[np.uint8] = pixels[number].copy()
    return image
