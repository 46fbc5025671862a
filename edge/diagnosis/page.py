"""The examination as one self-contained HTML page: no script, no request, every text escaped."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import cv2
import numpy as np

from edge.diagnosis.comparison import Comparison, ErrorMap
from edge.diagnosis.disease import Disease, Found
from edge.diagnosis.patient import Patient
from edge.diagnosis.report import sentence
from edge.errors import UnsupportedError
from edge.files.page_environment import page_environment
from edge.vision.palette import default_palette
from edge.vision.pixels import Pixels

SHOWN_WIDTH = 320
SAME, APART = (235, 235, 235), (200, 30, 30)
LARGEST_DB = 60.0


def doctor_page(
    patient: Patient, results: Sequence[tuple[Disease, Found]], comparison: Comparison | None, why_not: str, time: str
) -> str:
    """Render the page.

    Args:
        comparison: None where float could not be held against INT8; `why_not` says what it needs.

    Raises:
        UnsupportedError: the package jinja2 is missing.
    """
    environment = page_environment({"number": _number, "width": _width}, extra="train")
    template = environment.from_string(files("edge.diagnosis").joinpath("page.html").read_text("utf-8"))
    return template.render(
        model=str(patient.path),
        form=patient.form,
        sentence=sentence(patient, results),
        sick=[(disease, found) for disease, found in results if found.state == "sick"],
        results=results,
        comparison=comparison,
        why_not=why_not,
        maps=[] if comparison is None else [_shown(one) for one in comparison.maps],
        time_utc=time,
    )


def _shown(one: ErrorMap) -> dict[str, Any]:
    apart = one.in_float != one.in_integers
    classes = int(max(one.in_float.max(), one.in_integers.max())) + 1
    colours = np.array(default_palette(classes), np.uint8)
    errors = np.where(apart[..., None], np.array(APART, np.uint8), np.array(SAME, np.uint8))
    height = round(SHOWN_WIDTH * one.image.shape[0] / one.image.shape[1])
    pictures = (one.image, colours[one.in_float], colours[one.in_integers], errors)
    return {"share": float(apart.mean()), "pictures": [_picture(picture, height) for picture in pictures]}


def _picture(rgb: Pixels, height: int) -> str:
    """A picture as a PNG inside the page."""
    sized = cv2.resize(np.ascontiguousarray(rgb), (SHOWN_WIDTH, height), interpolation=cv2.INTER_NEAREST)
    done, data = cv2.imencode(".png", cv2.cvtColor(sized, cv2.COLOR_RGB2BGR))
    if not done:
        raise UnsupportedError(f"a picture of {rgb.shape} cannot be encoded as PNG")
    return "data:image/png;base64," + base64.b64encode(data.tobytes()).decode("ascii")


def _number(value: float | None) -> str:
    return "no error" if value is None else f"{value:.4g}"


def _width(decibels: float | None) -> str:
    share = 1.0 if decibels is None else min(max(decibels / LARGEST_DB, 0.0), 1.0)
    return f"{100 * share:.1f}%"
