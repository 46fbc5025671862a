"""What `edge convert` does for onnx2tf: make its environment, and take its road."""

from pathlib import Path
from typing import Any

import click

from edge.errors import UsageError
from edge.terminal import tell


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
    *,
    head: str | None,
    card: Path | None,
    name: str | None,
    calibration: str | None,
    samples: int | None,
    ranges: Any,
    skip_damaged: bool,
    writer_options: dict[str, object],
    no_verify: bool,
    as_json: bool,
) -> int:
    """Convert via onnx2tf, print the artifact, verify it; the exit code.

    Args:
        writer_options: option -> value of what only the writer knows; refused (UsageError) where given.
    """
    from converters.convert.calibration import open_calibration
    from converters.onnx2tf.route import convert_via_onnx2tf
    from edge.cli.artifact_summary import print_artifact

    named = [option for option, value in writer_options.items() if value]
    if named:
        raise UsageError(f"{', '.join(named)}: only for this product's own writer; omit --via onnx2tf")
    if output.suffix == ".tflite":
        raise UsageError(f"--via onnx2tf writes an artifact; {output} is a TFLite file alone, name a folder")
    artifact = convert_via_onnx2tf(
        source,
        output,
        head=head,
        card_path=card,
        name=name,
        calibration=open_calibration(calibration, samples, ranges, skip_damaged=skip_damaged),
        say=tell,
    )
    print_artifact(artifact, as_json=as_json)
    if no_verify:
        return 0
    from edge.cli.verify import verify_written

    status = verify_written(artifact)
    if calibration is None:
        return status
    tell("its integers are onnx2tf's own, so only images can judge it: `edge verify` with a labelled split")
    return 0
