"""A network in memory with a point head, as `edge.vision.point_rend` refines its maps: float, or trained integers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from edge.artifact.scheme import INT8_MAX, INT8_MIN
from edge.models.point_head import point_head_of
from edge.port import DescribedPort
from edge.quantization.qat.point_rend import QuantizedPointRend
from edge.vision.point_rend import CODES, PointRule, Points

Array = npt.NDArray[Any]
Quantization = tuple[float, int] | None
MEANINGS = ("logits", "features")


def point_network(
    model: nn.Module, outputs: Sequence[Array], size_hw: tuple[int, int], steps: int | None = None
) -> tuple[list[Array], tuple[DescribedPort, ...], Points] | None:
    """What `refined` needs of a batch of outputs: arrays (n, ...), what those of one image are, and the head.

    Args:
        outputs: coarse logits and fine features of images, float32.
        size_hw: of the network's input. steps: None: the network's own.

    Returns:
        None for a network without a point head. Of one trained with quantization int8 arrays, as its files give them.
    """
    if isinstance(model, QuantizedPointRend):
        found: list[Quantization] = list(model.parameters_of_outputs())
        prepared = model.point_head
        of_answer = prepared.quantizer(prepared.graph.outputs[0]).parameters_now()
        count, own_steps = model.points, model.steps
        given = _port("points", prepared.graph.tensors[prepared.graph.inputs[0]].shape, (1 / CODES, 0))

        def run(codes: Array) -> Array:
            with torch.inference_mode():
                answer = prepared(torch.from_numpy(codes.astype(np.float32) / CODES).to(_device(model)))
            return _integers(answer.cpu().numpy(), of_answer)

        answered: Quantization = of_answer
    elif (head := point_head_of(model)) is not None:
        found, answered, count, own_steps = [None, None], None, head.points, head.steps
        given = _port("points", head.input_shape, None)

        def run(codes: Array) -> Array:
            with torch.inference_mode():
                return np.asarray(head(torch.from_numpy(codes).to(_device(model))).cpu().numpy())
    else:
        return None
    told = tuple(
        _port(meaning, (1, *output.shape[1:]), one)
        for meaning, output, one in zip(MEANINGS, outputs, found, strict=True)
    )
    arrays = [output if one is None else _integers(output, one) for output, one in zip(outputs, found, strict=True)]
    points = Points(
        rule=PointRule(steps=own_steps if steps is None else steps, points=count, size_hw=size_hw),
        given=given,
        answer=_port("logits", (1, outputs[0].shape[1], count, 1), answered),
        run=run,
    )
    return arrays, told, points


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _integers(values: Array, parameters: tuple[float, int]) -> Array:
    """Values on a grid as its integers."""
    scale, zero_point = parameters
    steps = np.rint(values / np.float32(scale)) + zero_point
    return np.asarray(np.clip(steps, INT8_MIN, INT8_MAX), dtype=np.int8)


def _port(meaning: str, shape: tuple[int, ...], parameters: Quantization) -> DescribedPort:
    scale, zero_point = (None, None) if parameters is None else parameters
    return DescribedPort(
        name=meaning,
        shape=shape,
        dtype="float32" if parameters is None else "int8",
        scale=scale,
        zero_point=zero_point,
        layout="nchw",
        meaning=meaning,
        scores="exclusive" if meaning == "logits" else None,
    )
