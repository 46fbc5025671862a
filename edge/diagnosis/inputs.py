"""Diseases of the way in: mean and deviation, the order of colours, a preprocessing that is not the training's.

Evidence, the surest first: what the file says of its input's range; what batch norm remembers; labels; how much the
answers tell of the images (`edge.explain.answers`).
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from edge.diagnosis.calibration import FOREIGN
from edge.diagnosis.disease import Found, healthy, not_judged, sick
from edge.diagnosis.patient import Patient
from edge.diagnosis.pixels import not_photographs
from edge.evaluation.chance import wilson_lower
from edge.explain.answers import (
    BATCH,
    Array,
    confidence,
    decisions,
    information,
    probabilities,
    standard_errors,
)
from edge.vision.pixels import in_layout, normalize, normalize_table
from edge.vision.preprocess import Preprocess

Triple = tuple[float, float, float]
NORMALIZATIONS: Mapping[str, tuple[Triple, Triple]] = {
    "-1 to 1": ((127.5, 127.5, 127.5), (127.5, 127.5, 127.5)),
    "0 to 1": ((0.0, 0.0, 0.0), (255.0, 255.0, 255.0)),
    "ImageNet's mean and deviation": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "pixels 0 to 255": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "pixels less ImageNet's mean": ((123.68, 116.78, 103.94), (1.0, 1.0, 1.0)),
}
"""What networks are trained with, by the words of the field: mean and deviation of pixels 0 to 255."""
FEWEST = 16
SURE = 4.0
"""Standard errors by which answers must differ: by chance 1 in 16,000."""
CLEAR = 3.0
"""Standard deviations by which a share of right answers is above chance: by chance 1 in 740."""
LEAST_INFORMATION = 1.0
"""Nats that answers must tell with one of two inputs: a choice of few classes rewards contrast, not what is right."""
UNLIKE = 0.2
"""Nats by which the first batch norms' input may differ from what they remember."""
TIMES_NEARER = 4.0
FIRST_NORMS = 3
SAME_ANSWER = 0.01
"""Nats that answers tell of images at least, of a model that looks at them."""
TELLS = 0.2
"""Nats that answers tell of images beyond doubt: a model at chance all the same has other classes than its labels."""
NORM_IMAGES = 16
RANGE_SHARE = 0.25
"""Of the span of the input's integers, by which an end of the range of pixels may be off."""


def with_normalization(preprocess: Preprocess, mean: Triple, std: Triple) -> Preprocess:
    """The same with another mean and deviation, in the order of its colours."""
    order = slice(None, None, -1 if preprocess.colour_order == "bgr" else 1)
    return Preprocess.model_validate({**preprocess.model_dump(), "mean": mean[order], "std": std[order]})


def others_of(preprocess: Preprocess) -> dict[str, Preprocess]:
    """The usual normalizations that are not nearly this one, by their words."""
    return {
        words: made
        for words, (mean, std) in NORMALIZATIONS.items()
        if not _alike(made := with_normalization(preprocess, mean, std), preprocess)
    }


def wrong_mean_or_std(patient: Patient) -> Found:
    """Whether the network was trained with another mean and deviation than it is fed with."""
    preprocess = patient.stated
    if preprocess is None:
        return not_judged("needs a preprocessing (--card)")
    others = others_of(preprocess)
    if patient.graph.tensors[patient.graph.inputs[0]].quantization is not None:
        return _by_range(patient, preprocess, others)
    if reason := lacking(patient):
        return not_judged(reason)
    if patient.norms is not None:
        return _by_norms(patient, preprocess, others)
    return _by_answers(patient, preprocess, others)


def lacking(patient: Patient) -> str:
    """Why the images do not suffice; '' where they do."""
    photographs, preprocess = patient.photographs, patient.stated
    if photographs is None or preprocess is None or len(photographs.places) < FEWEST:
        return f"needs at least {FEWEST} images (--calibration, --split or --images)"
    return not_photographs(photographs.pixels(preprocess))


def _alike(first: Preprocess, second: Preprocess) -> bool:
    """Whether two say nearly the same numbers of all pixels."""
    mine, theirs = normalize_table(first), normalize_table(second)
    span = float(theirs.max() - theirs.min())
    return float(np.abs(mine - theirs).max()) < 0.05 * span


def _by_range(patient: Patient, preprocess: Preprocess, others: Mapping[str, Preprocess]) -> Found:
    """The integers of the input stand for a range of real numbers: that of the training's pixels."""
    tensor = patient.graph.tensors[patient.graph.inputs[0]]
    assert tensor.quantization is not None
    low, high = tensor.quantization.limits(tensor.dtype)
    off = _off(preprocess, low, high)
    table = normalize_table(preprocess)
    data: dict[str, Any] = {
        "input_low": low,
        "input_high": high,
        "fed_low": float(table.min()),
        "fed_high": float(table.max()),
    }
    words = (
        f"its input's integers stand for {low:.3g} to {high:.3g}, pixels become {table.min():.3g} to {table.max():.3g}"
    )
    if off < RANGE_SHARE:
        return healthy(words, off_share=off, **data)
    nearest = min(others, key=lambda name: _off(others[name], low, high))
    return _wrong(patient, f"{words}; {nearest} fits", others[nearest], off_share=off, **data)


def _off(preprocess: Preprocess, low: float, high: float) -> float:
    table = normalize_table(preprocess)
    return max(abs(float(table.min()) - low), abs(float(table.max()) - high)) / (high - low)


def _by_norms(patient: Patient, preprocess: Preprocess, others: Mapping[str, Preprocess]) -> Found:
    mine, _ = divergences(patient, preprocess)
    every = {words: divergences(patient, other) for words, other in others.items()}
    found = {words: first for words, (first, _) in every.items()}
    best = min(found, key=lambda name: found[name])
    data: dict[str, Any] = {"divergence_nats": mine, "divergence_otherwise_nats": found[best], "limit_nats": UNLIKE}
    words = f"the first batch norms' input differs by {mine:.3g} nats a channel from what they remember"
    if mine < UNLIKE:
        return healthy(words, **data)
    if mine < TIMES_NEARER * found[best] or every[best][1] > FOREIGN:
        return not_judged(f"{words}, and no usual mean and deviation is nearer ({best}: {found[best]:.3g})", **data)
    return _wrong(patient, f"{words}; with {best} by {found[best]:.3g}", others[best], **data)


def divergences(patient: Patient, preprocess: Preprocess) -> tuple[float, float]:
    """How far batch norms' input is from what they remember, in nats a channel: mean of the first, median of all."""
    assert patient.norms is not None and patient.photographs is not None
    pixels = patient.photographs.pixels(preprocess)[:NORM_IMAGES]
    given = in_layout(normalize(pixels, preprocess), "nchw")
    seen = patient.norms([given[start : start + BATCH] for start in range(0, len(given), BATCH)])
    found = [norm.divergence for norm in seen]
    return float(np.mean(list(islice(found, FIRST_NORMS)))), float(np.median(found))


def _by_answers(patient: Patient, preprocess: Preprocess, others: Mapping[str, Preprocess]) -> Found:
    scored, photographs = patient.scored, patient.photographs
    if scored is None or photographs is None:
        return not_judged("needs batch norm, or scores of classes (--card)")
    made = {words: probabilities(scored, photographs.pixels(one), one) for words, one in others.items()}
    mine = probabilities(scored, photographs.pixels(preprocess), preprocess)
    found = {words: righter(patient, answers, mine) for words, answers in made.items()}
    best = max(found, key=lambda name: found[name])
    told = {words: information(answers, scored[1]) for words, answers in (*made.items(), ("", mine))}
    data: dict[str, Any] = {
        "images": len(mine),
        "information_nats": float(told[""].mean()),
        "information_otherwise_nats": float(told[best].mean()),
        "standard_errors": found[best],
    }
    words = f"its answers tell {told[''].mean():.2f} nats of the images, with {best} {told[best].mean():.2f}"
    words += f" ({abs(found[best]):.1f} standard errors)"
    if max(told[best].mean(), told[""].mean()) < LEAST_INFORMATION and right(patient, mine) is None:
        return not_judged(f"{words}: too little of either; give labelled images (--images with --labels)", **data)
    if lifted := _lifted(patient, made[best], mine):
        words += f"; {lifted}"
    if found[best] > SURE or lifted:
        return _wrong(patient, words, others[best], **data)
    if found[best] > -SURE:
        return not_judged(f"{words}: give more images (-n)", **data)
    return healthy(words, **data)


def _lifted(patient: Patient, other: np.ndarray, mine: np.ndarray) -> str:
    """What labels say where a network at chance is surely above it with other answers; '' where they do not."""
    first, second = right(patient, other), right(patient, mine)
    if first is None or second is None or second.mean() > (chance := _chance(patient)):
        return ""
    lower = wilson_lower(int(first.sum()), len(first), z=CLEAR)
    return f"right on {first.mean():.1%} and not on {second.mean():.1%}, chance {chance:.1%}" if lower > chance else ""


def _chance(patient: Patient) -> float:
    """The share of the commonest class among the labels."""
    assert patient.evaluation is not None
    labels = [target for target in patient.evaluation.targets() if isinstance(target, int)]
    return max(labels.count(label) for label in set(labels)) / len(labels)


def righter(patient: Patient, other: np.ndarray, mine: np.ndarray) -> float:
    """By how many standard errors other answers are better: righter where labels tell, else of more information."""
    first, second = right(patient, other), right(patient, mine)
    if first is not None and second is not None:
        return standard_errors(first - second)
    assert patient.scored is not None
    ending = patient.scored[1]
    return standard_errors(information(other, ending) - information(mine, ending))


def right(patient: Patient, answers: Array) -> Array | None:
    """By image 1 where the class is the label's, else 0: float64 (n,); None without labels of one class an image."""
    photographs = patient.evaluation
    if photographs is None or photographs.split.task != "classify" or patient.task != "classify":
        return None
    targets = photographs.targets()
    if not all(isinstance(target, int) for target in targets):
        return None
    labels = np.array([target for target in targets if isinstance(target, int)])
    return np.asarray(decisions(answers)[:, 0] == labels, np.float64)


def _wrong(patient: Patient, words: str, better: Preprocess, **data: Any) -> Found:
    return sick(words, **_set(patient, {"mean": str(list(better.mean)), "std": str(list(better.std))}), **data)


def _set(patient: Patient, values: Mapping[str, str]) -> dict[str, str]:
    """How the preprocessing is corrected: words, and the command that writes the values (TOML) where they stand."""
    listed = " and ".join(f"{key} = {value}" for key, value in values.items())
    if patient.form == "checkpoint":
        changed = " ".join(f"--set {shlex.quote(f'preprocess.{key}={value}')}" for key, value in values.items())
        words = f"train from these weights with {listed}"
        return {"cure": words, "command": f"{patient.training} {changed}"}
    card = "CARD" if patient.card is None else shlex.quote(str(patient.card))
    changed = "; ".join(f"s/^{key} *=.*/{key} = {value}/" for key, value in values.items())
    return {
        "cure": f"set {listed} in [preprocess] of the card, and make the artifact again",
        "command": f"sed -i {shlex.quote(changed)} {card} && {patient.making}",
    }


def wrong_colour_order(patient: Patient) -> Found:
    """Whether the network is surer of its answers with red and blue exchanged."""
    preprocess, photographs, scored = patient.stated, patient.photographs, patient.scored
    if preprocess is None or scored is None:
        return not_judged("needs scores of classes and a preprocessing (--card)")
    if photographs is None or lacking(patient):
        return not_judged(lacking(patient))
    pixels = photographs.pixels(preprocess)
    mine = probabilities(scored, pixels, preprocess)
    other = probabilities(scored, np.ascontiguousarray(pixels[..., ::-1]), preprocess)
    t = righter(patient, other, mine)
    surer = standard_errors(confidence(other) - confidence(mine))
    told = [float(information(answers, scored[1]).mean()) for answers in (mine, other)]
    data: dict[str, Any] = {
        "images": len(mine),
        "confidence": float(confidence(mine).mean()),
        "confidence_otherwise": float(confidence(other).mean()),
        "confidence_standard_errors": surer,
        "information_nats": told[0],
        "information_otherwise_nats": told[1],
        "standard_errors": t,
    }
    words = (
        f"mean confidence {data['confidence']:.3f}, with red and blue exchanged {data['confidence_otherwise']:.3f} "
        f"({abs(surer):.1f} standard errors); its answers tell {told[0]:.2f} and {told[1]:.2f} nats of the images "
        f"({abs(t):.1f})"
    )
    if max(told) < LEAST_INFORMATION and right(patient, mine) is None:
        return not_judged(f"{words}: too little of either; give labelled images", **data)
    if t > SURE and surer > 0:
        named = "rgb" if preprocess.colour_order == "bgr" else "bgr"
        return sick(words, **_set(patient, {"colour_order": f'"{named}"'}), **data)
    if t < -SURE or (t < 0 and surer < -SURE):
        return healthy(words, **data)
    return not_judged(f"{words}: the two hardly differ; give more images (-n)", **data)


def other_preprocessing(patient: Patient) -> Found:
    """Whether a model is fed otherwise than the weights were trained, as recipe, manifest and card say."""
    fed, trained = patient.preprocess, patient.trained
    if fed is None or trained is None:
        return not_judged("needs what the training had: a checkpoint, an artifact of one, or --parent CHECKPOINT")
    apart = [
        name
        for name in ("colour_order", "interpolation", "fit", "crop_fraction", "mean", "std")
        if getattr(fed, name) != getattr(trained, name)
    ]
    if not apart:
        return healthy("colours, resizing, mean and deviation are the training's", fields_apart=0)
    told = "; ".join(f"{name} is {getattr(fed, name)}, in the training {getattr(trained, name)}" for name in apart)
    evidence = f"{len(apart)} fields of the preprocessing are not the training's: {told}"
    data: dict[str, Any] = {"fields_apart": len(apart), "fields": apart}
    if (t := _closer(patient, fed, trained)) is not None:
        evidence += f"; fed as in the training it answers more surely by {t:.1f} standard errors"
        data |= {"standard_errors": t}
    return sick(evidence, **_as_trained(patient, trained, apart), **data)


def _as_trained(patient: Patient, trained: Preprocess, apart: Sequence[str]) -> dict[str, str]:
    """How a model is fed as it was trained: words and command."""
    if patient.form in ("onnx", "tflite"):
        return _set(patient, {name: _toml(getattr(trained, name)) for name in apart})
    return {
        "cure": "use the preprocessing that it says itself, which is the training's: no card",
        "command": f"edge eval {patient.command} --split SPLIT",
    }


def _toml(value: object) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _closer(patient: Patient, fed: Preprocess, trained: Preprocess) -> float | None:
    """By how many standard errors the answers are better as trained; None without images and scores."""
    photographs, scored = patient.photographs, patient.scored
    if photographs is None or scored is None or len(photographs.places) < FEWEST:
        return None
    sizes = {"height": fed.height, "width": fed.width}
    as_trained = Preprocess.model_validate({**trained.model_dump(), **sizes})
    mine = probabilities(scored, photographs.pixels(fed), fed)
    return righter(patient, probabilities(scored, photographs.pixels(as_trained), as_trained), mine)


def at_chance(patient: Patient) -> Found:
    """Whether a model knows nothing: right as seldom as the commonest class, or the same answer to every image."""
    preprocess, photographs, scored = patient.stated, patient.photographs, patient.scored
    if preprocess is None or scored is None:
        return not_judged("needs scores of classes and a preprocessing (--card)")
    if photographs is None or lacking(patient):
        return not_judged(lacking(patient))
    answers = probabilities(scored, photographs.pixels(preprocess), preprocess)
    told = float(information(answers, scored[1]).mean())
    data: dict[str, Any] = {"images": len(answers), "information_nats": told, "limit_nats": SAME_ANSWER}
    if (hits := right(patient, answers)) is not None:
        commonest = _chance(patient)
        lower = wilson_lower(int(hits.sum()), len(hits))
        data |= {"accuracy": float(hits.mean()), "chance": commonest, "interval_low": lower}
        words = f"right on {hits.mean():.1%} of {len(hits)} images (at least {lower:.1%}), chance {commonest:.1%}"
        if lower > commonest:
            return healthy(words, **data)
        if hits.mean() <= commonest:
            told_apart = f"; its answers tell {told:.2f} nats of the images: are labels and class names in one order?"
            return sick(words + told_apart * (told > TELLS), **_trained_again(patient), **data)
        return not_judged(f"{words}: give more images (-n)", **data)
    words = f"its answers tell {told:.4f} nats of the images"
    if told < SAME_ANSWER:
        return sick(f"{words}: the same answer to every one", **_trained_again(patient), **data)
    return healthy(words, **data)


def _trained_again(patient: Patient) -> dict[str, str]:
    """How a model learns something: words, and the command where there is one."""
    if patient.training:
        whole = patient.training.replace(f" --init {patient.command}", "")
        return {"cure": "train it anew; it knows nothing to start from", "command": whole}
    return {
        "cure": "no command teaches a file: load the trained weights and export it again, or train; on labelled images "
        "`edge eval` tells what it knows"
    }
