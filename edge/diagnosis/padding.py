"""Whether windows pad as the weights were trained: by TensorFlow's rule, or as many zeros on every side."""

from typing import Any

import numpy as np

from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.patient import Patient
from edge.explain.answers import information, probabilities, standard_errors
from edge.graph.graph import Graph
from edge.graph.passes.repad import with_pads
from edge.verification.checks.padding import (
    CURES,
    FEWEST,
    SURE,
    Suspect,
    by_convention,
    not_zero,
    other_conventions,
    pads_apart,
)


def asymmetric_padding(patient: Patient) -> Found:
    """Whether strided windows pad otherwise than their weights were trained to (`edge verify --padding-check`)."""
    if patient.parent is not None and (wrong := pads_apart(patient.graph, patient.parent)):
        return _wrong(patient, wrong, "the float parent does")
    if wrong := not_zero(patient.graph):
        return _wrong(patient, wrong, "a border of zeros: integer 0 stands for another number")
    groups = by_convention(other_conventions(patient.graph))
    if not groups:
        return healthy("no window pads otherwise by TensorFlow's rule than by PyTorch's", windows=0)
    scored, preprocess, photographs = patient.scored, patient.stated, patient.photographs
    if scored is None or preprocess is None:
        return not_judged("needs scores of classes and a preprocessing (--card), or the float parent (--parent)")
    if photographs is None or len(photographs.places) < FEWEST:
        return not_judged(f"needs at least {FEWEST} images (--split or --images), or the float parent (--parent)")
    pixels = photographs.pixels(preprocess)

    def told_by(graph: Graph) -> np.ndarray:
        return information(probabilities((graph, scored[1]), pixels, preprocess), scored[1])

    mine = told_by(scored[0])
    told = []
    for suspects in by_convention(other_conventions(scored[0])):
        others = told_by(with_pads(scored[0], {one.border.operator.name: one.pads for one in suspects}))
        told.append((standard_errors(others - mine), suspects, float(others.mean())))
    if not told:
        return not_judged("no window before the scores is padded by one of the two rules")
    t, suspects, otherwise = max(told, key=lambda entry: entry[0])
    data: dict[str, Any] = {"images": len(mine), "information_nats": float(mine.mean())}
    data |= {"information_otherwise_nats": otherwise, "standard_errors": t, "windows": len(suspects)}
    words = (
        f"its answers tell {mine.mean():.3f} nats of the images, with {len(suspects)} windows padded by the other rule"
    )
    words += f" {otherwise:.3f} ({abs(t):.1f} standard errors)"
    if t > SURE:
        return _wrong(patient, suspects, f"its weights were trained: {words}", **data)
    return not_judged(f"{words}: give more images (-n)", **data) if t > -SURE else healthy(words, **data)


def _wrong(patient: Patient, suspects: list[Suspect], as_what: str, **data: Any) -> Found:
    first, cure = suspects[0], "quantize the float parent, which pads as its weights were trained"
    more = f" (and {len(suspects) - 1} more windows)" if len(suspects) > 1 else ""
    if patient.parent is None:
        known = (
            "pad with the integer that stands for zero" if first.border.value else CURES[first.border.convention or ""]
        )
        cure = f"no command changes a network: {known}, and export it again"
    return sick(
        f"{first.words}{more}, as {as_what}",
        layer=first.border.operator.name,
        cure=cure,
        command="" if patient.parent is None else patient.quantizing_parent,
        **{"windows": len(suspects), **data},
    )
