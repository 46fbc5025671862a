"""edge doctor: why a model does not survive quantization: diseases with evidence, layer and cure."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.cli.bounded_number import Number, whole
from edge.cli.doctor_patient import Given, open_patient
from edge.cli.error_code import error_code_said
from edge.cli.handed_over import hand_over
from edge.cli.input_shape import parse_shape
from edge.cli.split_options import split_options
from edge.cli.written_file import HTML_FILE
from edge.errors import EdgeError
from edge.files.atomic import check_writable
from edge.files.bounded_file import is_dir
from edge.files.overwriting import refuse_inputs
from edge.terminal import Bars, say_json

if TYPE_CHECKING:
    from edge.diagnosis.patient import Patient, Photographs
    from edge.diagnosis.report import Results


@click.command(
    "doctor",
    epilog="Example: edge doctor runs/mobilenet/float.safetensors --calibration generated:classify:train",
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--calibration", help="The images that ranges come from: a folder, FILE.split.json or KIND:ROOT:PART.")
@split_options
@click.option("-n", "--samples", type=whole(1), help="Look at this many images of each, evenly spread. [64]")
@click.option(
    "--card",
    type=click.Path(path_type=Path),
    help="Of a model file: task, preprocessing, labels. Of another: how it is fed where it is used.",
)
@click.option(
    "--parent", type=click.Path(path_type=Path), help="The float parent: artifact, checkpoint, .onnx, .tflite."
)
@click.option("--input-shape", "input_shapes", multiple=True, help="Shape of an input that an ONNX file leaves open.")
@click.option("--html", "html", type=HTML_FILE, help="Write the examination, and float against INT8, as one page.")
@click.option(
    "--error-bound",
    default=15.0,
    show_default=True,
    type=Number(min=-100, max=200),
    help="Of the page: SQNR in dB below which a layer's error is too large.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: every disease, then the diagnosis.")
def command(
    model: Path,
    calibration: str | None,
    samples: int | None,
    card: Path | None,
    parent: Path | None,
    input_shapes: tuple[str, ...],
    html: Path | None,
    error_bound: float,
    as_json: bool,
    **named: Any,
) -> int:
    """Examine MODEL for diseases that cost a quantized model its accuracy or its speed: exit code 1: one is there.

    MODEL is a checkpoint, an ONNX or TFLite file, or an artifact folder, float or quantized. What is judged depends on
    what is given: images (--calibration: those of the quantization; --split or --images: those that it is judged on),
    labels, a card, the float parent. What cannot be judged says what it needs.
    """
    from edge.diagnosis.report import exit_code
    from edge.diagnosis.table import DISEASES, examine

    try:
        if html is not None:
            refuse_inputs("--html", html, model, card, parent)
            check_writable(html)
        skip = bool(named.pop("skip_damaged"))
        given = Given(
            card=card,
            parent=parent,
            shapes=dict(parse_shape(text) for text in input_shapes),
            calibrating=_quantizing_option(calibration),
            calibration=_photographs(_named(calibration), "--calibration", samples, skip),
            evaluation=_photographs(named, "--split", samples, skip),
        )
        with _progress(len(DISEASES)) as advance:
            patient = open_patient(model, given)
            results = list(examine(patient, advance))
    except EdgeError as error:
        if as_json:
            say_json({"row": "error", "model": str(model), "exit_code": error_code_said(error), "error": str(error)})
        raise
    hand_over(
        None if html is None else lambda: _write_page(html, patient, results, error_bound),
        lambda: _print(patient, results, as_json=as_json),
    )
    return exit_code(results)


def _print(patient: "Patient", results: "Results", *, as_json: bool) -> None:
    from edge.diagnosis.report import print_results, rows

    if as_json:
        for row in rows(patient, results):
            say_json(row)
    else:
        print_results(patient, results)


def _write_page(path: Path, patient: "Patient", results: "Results", bound_db: float) -> None:
    """Write the page; where float cannot be held against INT8 it says what that needs."""
    from edge.diagnosis.comparison import compare
    from edge.diagnosis.page import doctor_page
    from edge.errors import UnsupportedError
    from edge.files import atomic

    comparison, why_not = None, ""
    try:
        comparison = compare(patient, bound_db)
    except UnsupportedError as error:
        why_not = str(error)
    atomic.write_text(
        path, doctor_page(patient, results, comparison, why_not, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    )


def _named(calibration: str | None) -> dict[str, Any]:
    """A folder of images, or a split by its name."""
    return {"images": calibration} if calibration is not None and is_dir(Path(calibration)) else {"split": calibration}


def _quantizing_option(calibration: str | None) -> str:
    """As `edge quantize` takes the same images."""
    if calibration is None:
        return "--calibration SPLIT"
    option = "--images" if is_dir(Path(calibration)) else "--calibration"
    return f"{option} {shlex.quote(calibration)}"


def _photographs(named: dict[str, Any], option: str, samples: int | None, skip: bool) -> "Photographs | None":
    """The images that a command line names; None where it names none."""
    if not any(value is not None for value in named.values()):
        return None
    from edge.data.open_split import open_split
    from edge.diagnosis.patient import MOST_IMAGES, Photographs

    split = open_split(**named, option=option, skip_damaged=skip)
    return Photographs(split=split, most=samples or MOST_IMAGES)


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    with Bars() as bars:
        task = bars.add_task("examine", total=total)
        yield lambda count: bars.advance(task, count)
