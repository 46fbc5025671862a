"""ReLU6 lost: layers that end without the clamp at 6 that they were trained with.

Evidence, the surest first: the float parent; of integers the ranges; of a float model alone what others of its layers
in the same place end in, and whether it is right more often with the clamp.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.inputs import SURE, lacking, others_of, right, righter
from edge.diagnosis.patient import Patient
from edge.explain.answers import probabilities
from edge.graph.graph import Graph, Operator
from edge.graph.ops.kernel_limits import LAYERS
from edge.graph.passes.rewrite import real_values

FEWEST_CLAMPED = 4
EVENED_OUT = 1.5
"""Times by which the factors of a layer's channels differ at least; rounding and training leave them near 1."""
SHARE_CLAMPED = 0.75
"""Of the layers in one place of a network that end in a ReLU6, where those that do not have lost theirs."""


def relu6_lost(patient: Patient) -> Found:
    """Whether layers end without the clamp at 6 that the float parent, or their own range, says they had."""
    parent = patient.parent
    if parent is not None:
        return _against_parent(patient, parent)
    if not patient.is_integer:
        return _among_its_own(patient)
    graph = patient.graph
    rectified = [operator for operator in graph.operators if operator.kind in LAYERS and _from_zero(graph, operator)]
    clamped = [operator for operator in rectified if _held_below_six(graph, operator)]
    lost = [operator for operator in rectified if operator not in clamped and not _has_activation(graph, operator)]
    data = {"rectified_layers": len(rectified), "held_below_6": len(clamped), "without_clamp": len(lost)}
    if not lost or 2 * len(clamped) < len(rectified):
        return healthy(f"{len(clamped)} of {len(rectified)} layers whose range begins at 0 are held below 6", **data)
    return sick(
        f"{len(lost)} layers reach beyond 6 by their range alone, without an activation, and {len(clamped)} others of "
        "the same kind end at 6: calibration chose a range where a clamp stood",
        layer=lost[0].name,
        cure="quantize the float model, which holds its ReLU6",
        command=patient.quantizing,
        **data,
    )


def _from_zero(graph: Graph, operator: Operator) -> bool:
    """Whether a layer's integers stand for no number below 0."""
    tensor = graph.tensors[operator.outputs[0]]
    return tensor.quantization is not None and tensor.quantization.limits(tensor.dtype)[0] == 0


def _has_activation(graph: Graph, operator: Operator) -> bool:
    after = graph.consumers(operator.outputs[0])
    return operator.attributes["activation"] != "none" or any(reader.kind in ("Relu", "Clip") for reader in after)


def _held_below_six(graph: Graph, operator: Operator) -> bool:
    """Whether a layer clamps at 6, what reads it does, or its integers hold no more."""
    readers = graph.consumers(operator.outputs[0])
    if _ends_at_six(operator) or (readers and all(_clamps_at_six(reader) for reader in readers)):
        return True
    tensor = graph.tensors[operator.outputs[0]]
    if tensor.quantization is None:
        return False
    return tensor.quantization.limits(tensor.dtype)[1] <= 6 + float(tensor.quantization.scale.max())


def _ends_at_six(operator: Operator) -> bool:
    return operator.attributes.get("activation", "none") == "relu6" or _clamps_at_six(operator)


def _clamps_at_six(operator: Operator) -> bool:
    """Whether an operator does nothing but clamp, at 6."""
    given = operator.attributes
    return operator.kind == "Relu6" or (operator.kind == "Clip" and (given["min"], given["max"]) == (0.0, 6.0))


def _against_parent(patient: Patient, parent: Graph) -> Found:
    mine, theirs = _clamps(patient.graph), _clamps(parent)
    data = {"layers": len(mine), "relu6_of_parent": sum(one for _, one in theirs), "relu6": sum(one for _, one in mine)}
    if len(mine) != len(theirs):
        return not_judged(f"the float parent has {len(theirs)} layers, the model {len(mine)}", **data)
    missing = [(one, other) for (one, here), (other, there) in zip(mine, theirs, strict=True) if there and not here]
    data["evened_out"] = evened = sum(_evened_out(patient.graph, one, parent, other) for one, other in missing)
    if not missing:
        clamped = data["relu6_of_parent"]
        words = (
            f"every one of the float parent's {clamped} clamps at 6 is there"
            if clamped
            else "its float parent has none"
        )
        return healthy(words, **data)
    if 2 * evened >= len(missing):
        words = (
            f"{len(missing)} layers end without the float parent's ReLU6, and {evened} of them have channels that were"
        )
        return healthy(
            f"{words} evened out: 6 is another number in every channel, and the clamp given up for that", **data
        )
    lost = [one for one, _ in missing]
    return sick(
        f"{len(lost)} layers end without the ReLU6 of the float parent's",
        layer=lost[0].name,
        cure="quantize the float parent, which keeps its ReLU6",
        command=patient.quantizing_parent,
        **data,
    )


def _evened_out(graph: Graph, operator: Operator, parent: Graph, other: Operator) -> bool:
    """Whether a layer's channels are the parent's times factors of their own: cross-layer equalization."""
    mine, theirs = (_sizes(given, one) for given, one in ((graph, operator), (parent, other)))
    if mine.shape != theirs.shape:
        return False
    live = (mine > 0) & (theirs > 0)
    factors = mine[live] / theirs[live]
    return bool(factors.size) and float(factors.max() / factors.min()) > EVENED_OUT


def _sizes(graph: Graph, operator: Operator) -> npt.NDArray[np.float32]:
    """By output channel the largest weight: float32 (channels,)."""
    tensor = graph.tensors[operator.inputs[1]]
    found: npt.NDArray[np.float32] = np.abs(real_values(tensor)).reshape(tensor.shape[0], -1).max(axis=1)
    return found


def _clamps(graph: Graph) -> list[tuple[Operator, bool]]:
    """Every layer with whether it is held below 6."""
    layers = (operator for operator in graph.operators if operator.kind in LAYERS)
    return [(operator, _held_below_six(graph, operator)) for operator in layers]


def _among_its_own(patient: Patient) -> Found:
    """Of a float model: a layer in a place where nearly all others clamp at 6; then the answers with the clamp."""
    graph = patient.graph
    lost = _unlike_others(graph)
    rectified = [one for one in graph.operators if one.kind in LAYERS and _ending(graph, one) in ("relu", "relu6")]
    clamped = sum(_ending(graph, one) == "relu6" for one in rectified)
    data: dict[str, Any] = {"rectified_layers": len(rectified), "held_below_6": clamped, "without_clamp": len(lost)}
    if lost:
        return sick(
            f"{len(lost)} layers end without a ReLU6, where others in the same place have it ({clamped} in all)",
            layer=lost[0].name,
            cure="no command changes a network: put the ReLU6 back in it and export it again; or, where it was trained "
            "without, name what it came from (--parent)",
            **data,
        )
    if clamped or not rectified:
        return healthy(f"{clamped} of {len(rectified)} rectified layers clamp at 6, and none lacks it", **data)
    return _by_answers(patient, rectified, data)


def _by_answers(patient: Patient, rectified: list[Operator], data: dict[str, Any]) -> Found:
    """Whether a network that clamps nowhere is right more often where it does: it was trained with ReLU6."""
    scored, preprocess, photographs = patient.scored, patient.stated, patient.photographs
    words = f"none of {len(rectified)} rectified layers clamps at 6"
    if scored is None or preprocess is None or photographs is None or lacking(patient):
        asked = lacking(patient) or "needs scores of classes (--card)"
        return not_judged(f"{words}; whether they should: {asked}, or the float parent (--parent)", **data)
    pixels = photographs.pixels(preprocess)
    mine = probabilities(scored, pixels, preprocess)
    if right(patient, mine) is None:  # without a clamp answers are surer, and tell more or less whatever is right
        return not_judged(f"{words}; whether they should needs labels (--images with --labels), or --parent", **data)
    held = probabilities((_clamped_at_six(scored[0]), scored[1]), pixels, preprocess)
    t = righter(patient, held, mine)
    data |= {"standard_errors": t, "images": len(mine)}
    words += f"; with ReLU6 it is right {'more' if t > 0 else 'less'} often ({abs(t):.1f} standard errors)"
    if t < -SURE:
        return healthy(words, **data)
    if t < SURE:
        return not_judged(f"{words}: give more images (-n), or the float parent (--parent)", **data)
    for other in others_of(preprocess).values():  # more contrast than in the training would be cut too
        if righter(patient, held, probabilities(scored, photographs.pixels(other), other)) < SURE:
            return not_judged(f"{words}, and as much with another mean and deviation", **data)
    return sick(
        words,
        layer=rectified[0].name,
        cure="no command changes a network: put the ReLU6 back in it (torch.nn.ReLU6 for ReLU) and export it again",
        **data,
    )


def _clamped_at_six(graph: Graph) -> Graph:
    """The graph with ReLU6 wherever it rectifies."""
    operators = []
    for one in graph.operators:
        if one.attributes.get("activation") == "relu":
            one = replace(one, attributes={**one.attributes, "activation": "relu6"})
        operators.append(replace(one, kind="Relu6") if one.kind == "Relu" else one)
    return replace(graph, operators=tuple(operators))


def _unlike_others(graph: Graph) -> list[Operator]:
    """Layers that end otherwise than nearly all others in their place do, which is in a ReLU6.

    Places are a depthwise convolution and what it alone reads: both are rectified or none is. Of a ReLU they are also
    between two layers that clamp: a part of a network, its head, may have ReLU.
    """
    lost: list[Operator] = []
    places: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        if operator.kind == "Conv" and (place := _place(graph, operator)):
            places.setdefault(place, []).append(operator)
    for operators in places.values():
        ends = [_ending(graph, operator) for operator in operators]
        if ends.count("relu6") >= max(FEWEST_CLAMPED, SHARE_CLAMPED * len(ends)):
            lost += [operator for operator, end in zip(operators, ends, strict=True) if end == "none"]
    rectified = [one for one in graph.operators if one.kind in LAYERS and _ending(graph, one) in ("relu", "relu6")]
    clamps = [place for place, one in enumerate(rectified) if _ending(graph, one) == "relu6"]
    if len(clamps) >= max(FEWEST_CLAMPED, SHARE_CLAMPED * len(rectified)):
        lost += [one for place, one in enumerate(rectified) if clamps[0] < place < clamps[-1] and place not in clamps]
    return lost


def _place(graph: Graph, operator: Operator) -> str:
    """Where a convolution stands: `depthwise`, or `read by a depthwise one` alone; '' elsewhere."""
    if _is_depthwise(graph, operator):
        return "depthwise"
    readers = _readers(graph, operator)
    return "read by a depthwise one" if readers and all(_is_depthwise(graph, one) for one in readers) else ""


def _is_depthwise(graph: Graph, operator: Operator) -> bool:
    return operator.kind == "Conv" and operator.attributes["group"] == graph.tensors[operator.inputs[1]].shape[0] > 1


def _readers(graph: Graph, operator: Operator) -> list[Operator]:
    """What reads a layer, behind an activation and a Pad of its own."""
    found = list(graph.consumers(operator.outputs[0]))
    while len(found) == 1 and found[0].kind in ("Relu", "Relu6", "Clip", "Pad"):
        found = list(graph.consumers(found[0].outputs[0]))
    return found


def _ending(graph: Graph, operator: Operator) -> str:
    """What a layer ends in: `relu6`, `relu`, `none` where another layer reads its sums as they are, else ''."""
    readers = graph.consumers(operator.outputs[0])
    if _ends_at_six(operator) or (readers and all(_clamps_at_six(reader) for reader in readers)):
        return "relu6"
    if operator.attributes.get("activation", "none") == "relu" or any(reader.kind == "Relu" for reader in readers):
        return "relu"
    plain = operator.attributes.get("activation", "none") == "none" and operator.outputs[0] not in graph.outputs
    return "none" if plain and readers and all(reader.kind in (*LAYERS, "Pad") for reader in readers) else ""
