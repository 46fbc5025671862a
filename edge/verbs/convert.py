"""edge convert: a checkpoint or an ONNX file becomes an artifact."""

from pathlib import Path

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
@click.option("--head", default=None, help="What a segmenter ends in: logits, class_map (1/8 size) or full.")
@click.option(
    "--card", type=click.Path(path_type=Path), help="Card of a foreign ONNX file: task, preprocessing, labels."
)
@click.option("--name", default=None, help="Name in the manifest; the output folder's name if left out.")
@click.option("--allow-float", default="", help="Operator kinds that may stay in float in an INT8 file: Softmax,...")
@click.option("--no-verify", is_flag=True, help="Do not verify what was written.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def command(
    source: Path,
    output: Path,
    head: str | None,
    card: Path | None,
    name: str | None,
    allow_float: str,
    no_verify: bool,
    as_json: bool,
) -> int:
    """Turn SOURCE (a checkpoint, or an ONNX file with its card) into an artifact.

    An INT8 artifact holds exactly the integers that were trained. The artifact is verified unless --no-verify is given.
    """
    from converters.convert import convert_source
    from edge.verbs.artifact_summary import print_artifact

    allowed = frozenset(kind for kind in allow_float.split(",") if kind)
    artifact = convert_source(source, output, head=head, card_path=card, name=name, allow_float=allowed)
    print_artifact(artifact, as_json=as_json)
    if no_verify:
        return 0
    from edge.verbs.verify import verify_written

    return verify_written(artifact)
