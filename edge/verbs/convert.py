"""edge convert: a checkpoint or an ONNX file becomes an artifact."""

from pathlib import Path
from typing import Any, Literal

import click


@click.command(
    "convert",
    epilog="Example: edge convert runs/mobilenet/qat.safetensors -o artifacts/mobilenet_int8",
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "--output",
    "output",
    required=True,
    type=click.Path(path_type=Path),
    help="Artifact folder to write.",
)
@click.option("--head", default=None, help="What a segmenter ends in: logits, full_logits, class_map or full.")
@click.option(
    "--card", type=click.Path(path_type=Path), help="Card of a foreign ONNX file: task, preprocessing, labels."
)
@click.option("--name", default=None, help="Name in the manifest; the output folder's name if left out.")
@click.option("--allow-float", default="", help="Operator kinds that may stay in float in an INT8 file: Softmax,...")
@click.option(
    "--io", type=click.Choice(["uint8"]), help="Pixels in, uint8 out: what task libraries load (INT8 models)."
)
@click.option(
    "--calibration",
    default=None,
    help="Images for ranges that a foreign quantized file leaves open: FILE.split.json or KIND:ROOT:PART.",
)
@click.option("-n", "--samples", default=None, type=int, help="Use this many of them, evenly spread; all if left out.")
@click.option(
    "--ranges",
    default="mse",
    show_default=True,
    help="With --calibration: mse (least squared error), percentile (99.99) or minmax.",
)
@click.option(
    "--keep-nchw-io", is_flag=True, help="The TFLite file's images and maps stay NCHW, as the app feeds them."
)
@click.option("--no-verify", is_flag=True, help="Do not verify what was written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    source: Path,
    output: Path,
    head: str | None,
    card: Path | None,
    name: str | None,
    allow_float: str,
    io: Literal["uint8"] | None,
    keep_nchw_io: bool,
    no_verify: bool,
    as_json: bool,
    calibration: str | None,
    samples: int | None,
    ranges: Any,
) -> int:
    """Turn SOURCE (a checkpoint, or an ONNX file with its card) into an artifact.

    An INT8 artifact holds exactly the integers that were trained. The artifact is verified unless --no-verify is given.
    """
    from converters.calibration import open_calibration
    from converters.convert import convert_source
    from edge.verbs.artifact_summary import print_artifact

    artifact = convert_source(
        source,
        output,
        head=head,
        card_path=card,
        name=name,
        allow_float=frozenset(kind for kind in allow_float.split(",") if kind),
        calibration=open_calibration(calibration, samples, ranges),
        io=io,
    )
    print_artifact(artifact, as_json=as_json)
    if no_verify:
        return 0
    from edge.verbs.verify import verify_written

    return verify_written(artifact)
