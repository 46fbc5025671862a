"""`edge explain` of one image: its pictures, arrays and figures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.terminal import say, say_json
from edge.vision.pixels import Pixels

if TYPE_CHECKING:
    from edge.explain.explain_image import Method
    from edge.explain.explained import Explained
    from edge.explain.integrated_gradients import Attribution
    from edge.explain.output import Written
    from edge.explain.target import Box, Target


def explain_one(
    explained: "Explained",
    image: Path,
    frame: Pixels,
    method: "Method",
    named: str | None,
    box: "Box | None",
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Explain one image, write what is found and tell it."""
    from edge.explain.explain_image import explain_image, model_input
    from edge.explain.output import write_attributions
    from edge.explain.target import find_target

    given = model_input(frame, explained.preprocess)
    target = find_target(explained, given, (frame.shape[0], frame.shape[1]), named, box)
    found = explain_image(explained, frame, target, method)
    written = write_attributions(out, image.stem, frame, found, explained.preprocess)
    simulated = None
    if explained.simulated is not None:
        simulated = float(target.of(explained.simulated(given[None]))[0])
    told = {"image": str(image), **_facts(explained, target, found, method.baseline, simulated, written)}
    if as_json:
        say_json(told)
    else:
        say(*_lines(told, method.steps_for(explained)))


def missed(kind: str, most_steps: int) -> str:
    """What is said where the attributions do not sum to the change of the score."""
    why = "; gradients through rounding need not sum to it" if kind == "int8" else ""
    return f"over 1 %, and more than {most_steps} steps are not taken (--max-steps){why}"


def _facts(
    explained: "Explained",
    target: "Target",
    found: "Attribution",
    baseline: str,
    simulated: float | None,
    written: "Written",
) -> dict[str, Any]:
    """What is told of attributions, as plain data; `simulated_score`: of the integer simulation without gradients."""
    return {
        "subject": explained.name,
        "kind": explained.kind,
        "class": explained.names[target.index],
        "index": target.index,
        "cells": None if target.cells is None else int(target.cells.sum()),
        "score": found.score,
        "simulated_score": simulated,
        "baseline": baseline,
        "baseline_score": found.baseline_score,
        "sum": float(found.values.sum()),
        "completeness_error": found.error,
        "complete": found.complete,
        "steps": found.steps,
        "picture": str(written.picture),
        "array": str(written.array),
        "channels": str(written.channels),
    }


def _lines(told: dict[str, Any], most_steps: int) -> list[str]:
    """The same for a person."""
    cells = "" if told["cells"] is None else f", mean of {told['cells']} cells"
    simulated = told["simulated_score"]
    shown = f"{told['class']} {100 * told['score']:.2f} %"
    beside = "" if simulated is None else f" (the integer simulation: {100 * simulated:.2f} %)"
    found = [
        f"{told['subject']}, {told['kind']}; {told['image']}: {shown}{cells}{beside}",
        f"the {told['baseline']} baseline scores {100 * told['baseline_score']:.2f} %; the attributions sum to the "
        f"change within {100 * told['completeness_error']:.2f} %, {told['steps']} steps",
    ]
    if not told["complete"]:
        found.append(missed(told["kind"], most_steps))
    return [*found, f"written: {told['picture']}, {told['array']}, {told['channels']}"]
