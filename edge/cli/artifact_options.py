"""Options that `edge convert` and `edge quantize` share: what is said of a file, and what follows once it is there."""

from collections.abc import Callable
from pathlib import Path

import click

from edge.cli.option_group import Command, together

described = together(
    click.option(
        "--head",
        default=None,
        help="What a segmenter ends in: logits, full_logits, class_map or full; a detector: raw or postprocess.",
    ),
    click.option(
        "--card", type=click.Path(path_type=Path), help="Card of a foreign ONNX file: task, preprocessing, labels."
    ),
    click.option("--name", default=None, help="Name in the manifest; the output folder's name if omitted."),
)
open_sizes = click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    help="Shape of an input whose sizes the ONNX file leaves open: NAME=1x3x224x224. May be repeated.",
)
afterwards = together(
    click.option("--no-verify", is_flag=True, help="Do not verify what was written."),
    click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output."),
)


def written_to(help: str) -> Callable[[Command], Command]:
    """`-o` with its help: what may be named."""
    names = ("-o", "--out", "--output", "output")
    return click.option(*names, required=True, type=click.Path(path_type=Path), help=help)
