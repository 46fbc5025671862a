"""edge quantize: a float model becomes an integer artifact, from calibration images."""

from pathlib import Path
from typing import Any, Literal

import click

from edge.cli.bounded_number import whole
from edge.cli.split_options import skip_damaged


@click.command(
    "quantize",
    epilog="Example: edge quantize runs/mobilenet/float.safetensors --calibration generated:classify:train "
    "-n 100 -o artifacts/mobilenet_ptq",
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
@click.option("--calibration", default=None, help="Calibration split: FILE.split.json or KIND:ROOT:PART.")
@click.option("--images", default=None, type=click.Path(path_type=Path), help="Folder of calibration images instead.")
@click.option(
    "--labels", default=None, type=click.Path(path_type=Path), help="Label file of --images: takes the images it lists."
)
@skip_damaged
@click.option(
    "-n", "--samples", default=None, type=whole(1), help="Use this many images, evenly spread; all if omitted."
)
@click.option(
    "--ranges",
    default="mse",
    show_default=True,
    help="Range of an activation: mse (least squared error), percentile (99.99) or minmax.",
)
@click.option(
    "--activations",
    type=click.Choice(["int8", "int16"]),
    default="int8",
    show_default=True,
    help="int16: 16x8, nearly float's accuracy, about 58 times slower (x86).",
)
@click.option("--head", default=None, help="What a segmenter ends in: logits, full_logits, class_map or full.")
@click.option(
    "--card", type=click.Path(path_type=Path), help="Card of a foreign ONNX file: task, preprocessing, labels."
)
@click.option("--name", default=None, help="Name in the manifest; the output folder's name if omitted.")
@click.option("--allow-float", default="", help="Operator kinds that may stay in float in the file: Softmax,...")
@click.option("--io", type=click.Choice(["uint8"]), help="Pixels in, uint8 out: what task libraries load.")
@click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    help="Shape of an input whose sizes the ONNX file leaves open: NAME=1x3x224x224. May be repeated.",
)
@click.option("--no-verify", is_flag=True, help="Do not verify what was written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    source: Path,
    output: Path,
    calibration: str | None,
    images: Path | None,
    labels: Path | None,
    skip_damaged: bool,
    samples: int | None,
    head: str | None,
    card: Path | None,
    name: str | None,
    allow_float: str,
    io: Literal["uint8"] | None,
    input_shapes: tuple[str, ...],
    no_verify: bool,
    as_json: bool,
    ranges: Any,
    activations: str,
) -> int:
    """Quantize SOURCE (a float checkpoint, or a float ONNX file with its card) after training.

    Ranges come from the calibration images; weights are rounded per output channel. The artifact is verified unless
    --no-verify is given.
    """
    from converters.convert.calibration import calibration_of
    from converters.convert.options import ConvertOptions
    from converters.convert.quantize import quantize_source
    from converters.packaging.layout_report import remaining_transposes
    from edge.artifact.scheme import Scheme
    from edge.cli.artifact_summary import print_artifact
    from edge.cli.input_shape import parse_shape
    from edge.data.open_split import open_split
    from edge.errors import UsageError, unknown_name
    from edge.quantization.ptq.estimators import ESTIMATORS

    if ranges not in ESTIMATORS:
        raise UsageError(f"--ranges: {unknown_name('estimator', ranges, ESTIMATORS)}")
    if calibration is None and images is None:
        raise UsageError("no calibration images: give --calibration SPLIT or --images FOLDER")
    split = open_split(
        images=images, labels=labels, split=calibration, option="--calibration", skip_damaged=skip_damaged
    )
    artifact = quantize_source(
        source,
        output,
        calibration_of(split, samples, ranges, skip_damaged=skip_damaged),
        ConvertOptions(
            head=head,
            card=card,
            name=name,
            allow_float=frozenset(kind for kind in allow_float.split(",") if kind),
            io=io,
            shapes=dict(parse_shape(text) for text in input_shapes),
        ),
        scheme=Scheme(activation_bits=16 if activations == "int16" else 8),
    )
    print_artifact(artifact, as_json=as_json, transposes=remaining_transposes(artifact))
    if no_verify:
        return 0
    from edge.cli.verify import verify_written

    return verify_written(artifact)
