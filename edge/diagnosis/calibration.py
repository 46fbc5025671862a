"""Whether calibration images are such as the model was made for: not noise, not one colour, not another domain."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.norms import NormStatistics, Sums
from edge.diagnosis.own_ranges import foreign_ranges
from edge.diagnosis.patient import Patient, Photographs
from edge.diagnosis.pixels import FLAT, UNRELATED, pixel_facts
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.explain.answers import BATCH, network_input
from edge.graph.graph import Graph, channel_axis
from edge.vision.pixels import Pixels, in_layout, normalize
from edge.vision.preprocess import Preprocess

FEWEST = 4
IMAGES = 16
FOREIGN = 0.06
"""Nats a channel, in the median layer, by which activations may differ from those that they should be like."""
LAYERS = ("Conv", "Gemm")
OTHER_IMAGES = "quantize with 100 images as the camera takes them, as SPLIT"


def foreign_calibration(patient: Patient) -> Found:
    """Whether the calibration images are noise, flat, or of another domain than the training's or the camera's."""
    chosen, preprocess = patient.calibration, patient.stated
    if chosen is None:
        judged = patient.evaluation
        if patient.is_integer and judged is not None and preprocess is not None and len(judged.places) >= FEWEST:
            return foreign_ranges(patient, judged)
        wanted = ", or of a quantized model a card and images that it is judged on" if patient.is_integer else ""
        return not_judged(f"needs the calibration images (--calibration){wanted}")
    if len(chosen.places) < FEWEST:
        return not_judged(f"needs at least {FEWEST} calibration images")
    cure = {"cure": OTHER_IMAGES, "command": patient.quantizing_by("--calibration SPLIT")}
    if preprocess is None:
        height, width = _size(patient.graph)
        preprocess = Preprocess(
            colour_order="rgb", height=height, width=width, interpolation="bilinear", fit="stretch", crop_fraction=1.0,
            mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0),
        )  # fmt: skip
    pixels = chosen.pixels(preprocess)
    deviation, related, alike = pixel_facts(pixels)
    data: dict[str, Any] = {"images": len(pixels), "deviation_grey_levels": deviation, "neighbour_correlation": related}
    words = f"their pixels deviate by {deviation:.1f} grey levels, neighbours correlate by {related:.2f}"
    if deviation < FLAT:
        return sick(f"{words}: they show nothing", **cure, **data)
    if related < UNRELATED:
        return sick(f"{words}: noise, not photographs", **cure, **data)
    if alike == len(pixels):
        return sick(f"all {alike} images are the same one", **cure, **data)
    if patient.preprocess is None:
        return not_judged(f"{words}, as of photographs; whether they are like the training's needs a card", **data)
    measured = _measured(patient, chosen, preprocess)
    if measured is None:
        needed = "batch norm, or images that the model is judged on (--split or --images)"
        return not_judged(f"{words}, as of photographs; whether they are like the training's needs {needed}", **data)
    apart, against = measured
    data |= {"divergence_nats": apart, "limit_nats": FOREIGN}
    words += f"; in the median layer activations differ by {apart:.3f} nats a channel from {against}"
    if apart > FOREIGN:
        return sick(f"{words}: another domain", **cure, **data)
    return healthy(words, **data)


def _size(graph: Graph) -> tuple[int, int]:
    shape = graph.tensors[graph.inputs[0]].shape
    return (shape[2], shape[3]) if graph.layout == "nchw" else (shape[1], shape[2])


def _measured(patient: Patient, chosen: Photographs, preprocess: Preprocess) -> tuple[float, str] | None:
    """How far activations are from where they should be, in the median layer in nats a channel; from what."""
    if patient.norms is not None:
        given = in_layout(normalize(chosen.pixels(preprocess)[:IMAGES], preprocess), "nchw")
        seen = patient.norms([given[start : start + BATCH] for start in range(0, len(given), BATCH)])
        return float(np.median([norm.divergence for norm in seen])), "what batch norm remembers"
    if patient.evaluation is None or len(patient.evaluation.places) < FEWEST:
        return None
    fed = patient.preprocess or preprocess
    calibrated = layer_sums(patient.graph, chosen.pixels(preprocess)[:IMAGES], preprocess)
    judged = layer_sums(patient.graph, patient.evaluation.pixels(fed)[:IMAGES], fed)
    apart = [_apart(name, calibrated[name], judged[name]) for name in calibrated]
    return float(np.median(apart)), "those of the images that it is judged on"


def _apart(name: str, first: Sums, second: Sums) -> float:
    mean, variance = second.moments()
    floor = 1e-3 * float(variance.mean()) + 1e-12
    found: NormStatistics = first.statistics(name, mean, variance, floor)
    return found.divergence


def layer_sums(graph: Graph, pixels: Pixels, preprocess: Preprocess) -> Mapping[str, Sums]:
    """Sums of the outputs of every layer on images, by name of the tensor, in real numbers.

    Raises:
        UnsupportedError: an operator without a formula, by name.
    """
    wanted = {operator.outputs[0] for operator in graph.operators if operator.kind in LAYERS}
    sums: dict[str, Sums] = {}
    for name, values in activations(graph, pixels, preprocess):
        if name in wanted and values.dim() > 1:
            axis = channel_axis(graph.layout, values.dim())
            sums.setdefault(name, Sums(values.shape[axis])).add(values, axis)
    return sums


def activations(graph: Graph, pixels: Pixels, preprocess: Preprocess) -> Iterable[tuple[str, torch.Tensor]]:
    """Every activation by name as it is made, a few images at a time, in real numbers where it stands for them."""
    integer = any(tensor.quantization is not None for tensor in graph.tensors.values())
    run = IntegerSimulation(graph) if integer else FloatRun(graph)
    for start in range(0, len(pixels), BATCH):
        for name, values in run.stream([network_input(graph, pixels[start : start + BATCH], preprocess)]):
            told = graph.tensors[name].quantization
            if told is not None and told.axis is None:
                yield name, (values.double() - float(told.zero_point[0])) * float(told.scale[0])
            elif values.is_floating_point():
                yield name, values
