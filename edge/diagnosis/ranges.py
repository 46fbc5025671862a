"""Activations whose range few values fill: outliers of what has no bound take the levels of all others."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.diagnosis.calibration import activations
from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.patient import Patient
from edge.verification.sensitivity.layer_facts import MIDDLE, MOST_VALUES

IMAGES = 16
LEVELS = 255
FEW_LEVELS = 24.0
"""Levels that the middle 99.9 % of an activation's values must span where its whole range has 255."""
LAYERS = ("Conv", "Gemm", "Add", "Mul", "HardSwish", "LeakyRelu", "PRelu", "Elu", "Gelu", "Relu")


@dataclass(kw_only=True)
class _Seen:
    low: float = 0.0
    high: float = 0.0
    kept: list[np.ndarray] = field(default_factory=list)

    def levels(self) -> float:
        """Levels of 255 over the whole range, zero included, that the middle spans."""
        values = np.concatenate(self.kept)
        edge = (100 - MIDDLE) / 2
        low, high = np.percentile(values, [edge, 100 - edge])
        span = self.high - self.low
        return LEVELS * float(high - low) / span if span > 0 else LEVELS


def outliers(patient: Patient) -> Found:
    """Whether an activation without a bound has a range that outliers make: the others share few levels."""
    photographs, preprocess = patient.calibration or patient.evaluation, patient.stated
    if patient.is_integer:
        return not_judged("needs the float model: integers have lost what lies beyond their range")
    if photographs is None or preprocess is None:
        return not_judged("needs images (--calibration) and a preprocessing (--card)")
    graph = patient.graph
    wanted = {operator.outputs[0]: operator for operator in graph.operators if operator.kind in LAYERS}
    seen: dict[str, _Seen] = {}
    pixels = photographs.pixels(preprocess)[:IMAGES]
    for name, values in activations(graph, pixels, preprocess):
        if name not in wanted or values.numel() < LEVELS:
            continue
        entry = seen.setdefault(name, _Seen())
        entry.low, entry.high = min(entry.low, float(values.min())), max(entry.high, float(values.max()))
        flat = values.reshape(-1)
        entry.kept.append(flat[:: max(1, -(-flat.numel() * len(pixels) // MOST_VALUES))].float().numpy())
    if not seen:
        return not_judged("needs a layer with a map")
    found = {name: entry.levels() for name, entry in seen.items()}
    worst = min(found, key=lambda name: found[name])
    entry, operator = seen[worst], wanted[worst]
    signed = "signed" if entry.low < 0 else "without a bound"
    data: dict[str, Any] = {"levels": found[worst], "limit_levels": FEW_LEVELS, "low": entry.low, "high": entry.high}
    data |= {"tensors": len(found), "tensors_below": sum(one < FEW_LEVELS for one in found.values())}
    words = (
        f"'{operator.name}' reaches {entry.low:.4g} to {entry.high:.4g} ({signed}), and 99.9 % of its values lie "
        f"within {found[worst]:.0f} of {LEVELS} levels"
    )
    if found[worst] >= FEW_LEVELS:
        return healthy(words, **data)
    cure = "let what each estimator of ranges and even channels bring be measured; or bound it: ReLU6 in the network, "
    cure += "trained on"
    command = f"{patient.quantizing} --steps ranges,cross_layer,absorption,equalize"
    return sick(words, layer=operator.name, cure=cure, command=command, **data)
