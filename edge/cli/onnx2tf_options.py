"""What `edge convert` does for onnx2tf: make its environment, and take its road."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.errors import UsageError
from edge.terminal import tell

if TYPE_CHECKING:
    from converters.convert.calibration import Calibration
    from converters.convert.options import ConvertOptions


def prepare(context: click.Context, option: click.Parameter, asked: bool) -> None:
    """Make onnx2tf's environment and leave: `--prepare-onnx2tf` needs no SOURCE."""
    if not asked:
        return
    from converters.onnx2tf.environment import prepare as make

    make(tell)
    context.exit(0)


def convert_there(
    source: Path,
    output: Path,
    options: "ConvertOptions",
    calibration: Callable[[], "Calibration | None"],
    *,
    no_verify: bool,
    as_json: bool,
) -> int:
    """Convert via onnx2tf, print the artifact, verify it; the exit code.

    Args:
        options: refused (UsageError) where they say what only the writer knows.
        calibration: opens the images, once nothing else is refused.
    """
    from converters.onnx2tf.route import convert_via_onnx2tf
    from edge.cli.artifact_summary import print_artifact

    of_the_writer = {
        "--io": options.io,
        "--keep-nchw-io": options.keep_nchw_io,
        "--batch": options.batch,
        "--input-shape": options.shapes,
        "--weights": options.weights,
    }
    named = [option for option, value in of_the_writer.items() if value]
    if named:
        raise UsageError(f"{', '.join(named)}: only for this product's own writer; omit --via onnx2tf")
    if output.suffix == ".tflite":
        raise UsageError(f"--via onnx2tf writes an artifact; {output} is a TFLite file alone, name a folder")
    options = replace(options, calibration=calibration())
    artifact = convert_via_onnx2tf(source, output, options, say=tell)
    print_artifact(artifact, as_json=as_json)
    if no_verify:
        return 0
    from edge.cli.verify import verify_written

    status = verify_written(artifact)
    if options.calibration is None:
        return status
    tell("its integers are onnx2tf's own, so only images can judge it: `edge verify` with a labelled split")
    return 0
