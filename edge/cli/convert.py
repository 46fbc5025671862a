"""edge convert: a checkpoint or an ONNX file becomes an artifact, or a TFLite file alone."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from edge.cli.artifact_options import afterwards, described, open_sizes, written_to
from edge.cli.bounded_number import whole
from edge.cli.input_shape import parse_shape
from edge.cli.input_size import input_size
from edge.cli.onnx2tf_options import convert_there, prepare
from edge.cli.split_options import skip_damaged
from edge.cli.wrap import wrap
from edge.errors import UsageError


@click.command(
    "convert",
    epilog="Example: edge convert runs/mobilenet/qat.safetensors -o artifacts/mobilenet_int8",
)
@click.argument("source", type=click.Path(path_type=Path))
@written_to("Artifact folder to write; a name that ends in .tflite writes that file alone.")
@described
@click.option("--allow-float", default="", help="Operator kinds that may stay in float in an INT8 file: Softmax,...")
@click.option(
    "--io", type=click.Choice(["uint8"]), help="Pixels in, uint8 out: what task libraries load (INT8 models)."
)
@click.option(
    "--calibration",
    default=None,
    help="Images for ranges that a foreign quantized file leaves open, or of a QAT checkpoint at another --input-size: "
    "FILE.split.json or KIND:ROOT:PART.",
)
@click.option(
    "-n", "--samples", default=None, type=whole(1), help="Use this many of them, evenly spread; all if omitted."
)
@click.option(
    "--ranges",
    default="mse",
    show_default=True,
    help="With --calibration: mse (least squared error), percentile (99.99) or minmax.",
)
@click.option("--as-is", is_flag=True, help="Wrap a finished ONNX file untouched; a TFLite file always is.")
@click.option(
    "--selftest",
    default=None,
    help="Wrapping: images of the self-test instead of generated ones, 3 or -n: FILE.split.json or KIND:ROOT:PART.",
)
@skip_damaged
@click.option(
    "--keep-nchw-io", is_flag=True, help="The TFLite file's images and maps stay NCHW, as the app feeds them."
)
@click.option("--batch", type=whole(1), help="Batch of a TFLite file alone; an artifact's is 1.")
@open_sizes
@input_size
@click.option(
    "--weights",
    type=click.Choice(["int8", "float16"]),
    help="Store the weights of a float model smaller; it computes in float32 all the same.",
)
@click.option("--via", type=click.Choice(["onnx2tf"]), help="Another road, for operators that the writer refuses.")
@click.option(
    "--prepare-onnx2tf",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=prepare,
    help="Make the environment for --via onnx2tf (about 2 GB) and exit.",
)
@afterwards
def command(
    source: Path,
    output: Path,
    head: str | None,
    card: Path | None,
    name: str | None,
    allow_float: str,
    io: Literal["uint8"] | None,
    keep_nchw_io: bool,
    batch: int | None,
    input_shapes: tuple[str, ...],
    input_size_hw: tuple[int, int] | None,
    no_verify: bool,
    as_json: bool,
    calibration: str | None,
    samples: int | None,
    ranges: Any,
    skip_damaged: bool,
    via: str | None,
    weights: Literal["int8", "float16"] | None,
    as_is: bool,
    selftest: str | None,
) -> int:
    """Turn SOURCE (a checkpoint, or an ONNX file with its card) into an artifact.

    A finished TFLite file, and an ONNX file with --as-is, is wrapped with its card: not a byte of it is touched.

    An INT8 artifact holds exactly the integers that were trained. The artifact is verified unless --no-verify is given.
    With -o FILE.tflite no card is needed: that file alone is written, once it computes right on generated inputs.
    """
    if as_is or source.suffix == ".tflite":
        conversion = {
            "--head": head, "--allow-float": allow_float, "--io": io, "--keep-nchw-io": keep_nchw_io, "--batch": batch,
            "--input-shape": input_shapes, "--input-size": input_size_hw, "--weights": weights, "--via": via,
            "--calibration": calibration,
        }  # fmt: skip
        return wrap(
            source,
            output,
            refused=[option for option, value in conversion.items() if value],
            card=card,
            name=name,
            selftest=selftest,
            samples=samples,
            skip_damaged=skip_damaged,
            no_verify=no_verify,
            as_json=as_json,
        )
    if selftest is not None:
        raise UsageError(
            "--selftest is for a finished file that is wrapped (--as-is); others are tested on generated images"
        )
    from converters.convert.calibration import open_calibration
    from converters.convert.options import ConvertOptions

    options = ConvertOptions(
        head=head,
        card=card,
        name=name,
        allow_float=frozenset(kind for kind in allow_float.split(",") if kind),
        io=io,
        keep_nchw_io=keep_nchw_io,
        batch=batch,
        shapes=dict(parse_shape(text) for text in input_shapes),
        input_size_hw=input_size_hw,
        weights=weights,
    )
    opened = partial(open_calibration, calibration, samples, ranges, skip_damaged=skip_damaged)
    if via is not None:
        return convert_there(source, output, options, opened, no_verify=no_verify, as_json=as_json)
    if output.suffix == ".tflite":
        given: dict[str, object] = {"--card": card, "--name": name, "--io": io, "--weights": weights}
        if input_size_hw is None:
            given |= {"--calibration": calibration, "--samples": samples}
        _refuse_artifact_options(output, given)
        from converters.convert.bare_file import convert_file
        from edge.cli.bare_file_summary import print_bare_file

        options = replace(options, calibration=opened())
        print_bare_file(convert_file(source, output, options, verify=not no_verify), as_json=as_json)
        return 0
    if batch not in (None, 1):
        raise UsageError(f"--batch {batch}: an artifact runs one image at a time; name a file, -o FILE.tflite")
    from converters.convert.convert import convert_source
    from edge.cli.artifact_summary import print_and_verify

    artifact = convert_source(source, output, replace(options, calibration=opened()))
    return print_and_verify(artifact, as_json=as_json, no_verify=no_verify)


def _refuse_artifact_options(output: Path, given: Mapping[str, object]) -> None:
    """Refuse (UsageError) what describes images, which a TFLite file alone does not know of."""
    named = [option for option, value in given.items() if value is not None]
    if named:
        raise UsageError(f"{', '.join(named)}: {output} is a TFLite file alone; name a folder for an artifact")
