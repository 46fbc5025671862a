"""Whether the ranges that stand in a quantized model hold what images make of it: what they cut off."""

from dataclasses import replace
from math import inf, log10
from typing import Any

from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.patient import Patient, Photographs
from edge.execution.float_run import FloatRun, in_real_numbers
from edge.explain.answers import BATCH, network_input
from edge.graph.graph import Graph
from edge.verification.sensitivity.real_weights import real_weights

IMAGES = 16
CUT_OFF_DB = 15.0
"""Power of a layer's values over that of what its range cuts off of them. Ranges of 60 such images leave 26 and more,
those of 16, and of channels evened out, 17; of learned and least-squares ranges the scores alone are cut by more."""
SHARE_BEYOND, FEWEST_BEYOND = 0.05, 2
"""Of the layers before the scores, those whose ranges cut off more: 0 with images of the same kind."""
LAYERS = ("Conv", "Gemm", "Add", "Mul")


def foreign_ranges(patient: Patient, judged: Photographs) -> Found:
    """Whether a quantized model's ranges cut off what images need: they came from others, or from noise.

    The network runs in real numbers, so that a layer sees what it would without any range before it.

    Raises:
        UnsupportedError: an operator without a float formula, by name.
    """
    graph, preprocess = patient.graph, patient.stated
    assert preprocess is not None
    real = _rectified(graph, in_real_numbers(graph, real_weights(graph, None).values))  # the parent's may be on others
    layers = {
        operator.outputs[0]: operator
        for operator in graph.operators
        if operator.kind in LAYERS and operator.outputs[0] not in graph.outputs
    }
    powers: dict[str, list[float]] = {}
    pixels, run = judged.pixels(preprocess)[:IMAGES], FloatRun(real)
    for start in range(0, len(pixels), BATCH):
        for name, values in run.stream([network_input(real, pixels[start : start + BATCH], preprocess)]):
            told = graph.tensors[name].quantization
            if name not in layers or told is None or told.axis is not None:
                continue
            low, high = told.limits(graph.tensors[name].dtype)
            found, sums = values.double(), powers.setdefault(name, [0.0, 0.0])
            sums[0] += float(found.square().sum())
            sums[1] += float((found - found.clamp(low, high)).square().sum())
    decibels = {name: _decibels(*sums) for name, sums in powers.items() if sums[0]}
    if not decibels:
        return not_judged("needs a layer with a range, before the scores")
    worst = min(decibels, key=lambda name: decibels[name])
    beyond = [name for name in decibels if decibels[name] < CUT_OFF_DB]
    data: dict[str, Any] = {"images": len(pixels), "kept_over_cut_off_db": min(decibels[worst], 200.0)}
    data |= {"limit_db": CUT_OFF_DB, "layers": len(decibels), "layers_beyond": len(beyond)}
    if len(beyond) < max(FEWEST_BEYOND, SHARE_BEYOND * len(decibels)):
        words = (
            "cut off nothing"
            if decibels[worst] == inf
            else f"keep {decibels[worst]:.0f} dB and more over what they cut off"
        )
        return healthy(f"on {judged.origin} the ranges of {len(decibels)} layers {words}", **data)
    first = layers[beyond[0]]
    return sick(
        f"on {judged.origin} {len(beyond)} of {len(decibels)} layers have ranges that cut off what the images need: "
        f"'{layers[worst].name}' keeps {decibels[worst]:.0f} dB over what it loses, where ranges of such images keep "
        f"{CUT_OFF_DB:.0f} and more nearly everywhere",
        layer=first.name,
        cure="quantize the float model with 100 images as the camera takes them, as SPLIT",
        command=patient.quantizing_by("--calibration SPLIT"),
        **data,
    )


def _rectified(graph: Graph, real: Graph) -> Graph:
    """The network in real numbers with the rectifiers that only a range from 0 stands for."""
    operators = []
    for operator in real.operators:
        told = graph.tensors[operator.outputs[0]].quantization
        if operator.attributes.get("activation") == "none" and told is not None and told.axis is None:
            low, high = told.limits(graph.tensors[operator.outputs[0]].dtype)
            if low == 0:
                name = "relu6" if abs(high - 6) <= float(told.scale[0]) else "relu"
                operator = replace(operator, attributes={**operator.attributes, "activation": name})
        operators.append(operator)
    return replace(real, operators=tuple(operators))


def _decibels(power: float, lost: float) -> float:
    return 10 * log10(power / lost) if lost else inf
