"""What `edge convert` does with a finished file: wrap it as it is, and verify the artifact."""

from collections.abc import Sequence
from pathlib import Path

from edge.errors import FileError, UsageError
from edge.files.bounded_file import check_file


def wrap(
    source: Path,
    output: Path,
    *,
    refused: Sequence[str],
    card: Path | None,
    name: str | None,
    selftest: str | None,
    samples: int | None,
    skip_damaged: bool,
    no_verify: bool,
    as_json: bool,
) -> int:
    """Wrap a file and verify what was written; the exit code.

    Args:
        refused: options that were given and would change the file.
        selftest: the split whose images the self-test shows; None takes generated ones.

    Raises:
        UsageError: options that do not fit a finished file, or no card.
    """
    check_file(source)
    if source.suffix not in (".tflite", ".onnx"):
        raise FileError(source, "is no finished model file (.tflite or .onnx)")
    if refused:
        raise UsageError(f"{', '.join(refused)}: {source} is wrapped as it is, not a byte of it is changed")
    if output.suffix == ".tflite":
        raise UsageError(f"{source} is a finished file already; name a folder for an artifact")
    if card is None:
        raise UsageError(
            f"{source}: say its task, preprocessing and labels with --card FILE.toml; `edge inspect {source} "
            "--starter-card` begins one"
        )
    from converters.convert.wrap import WrapOptions, wrap_file
    from edge.cli.artifact_summary import print_and_verify
    from edge.data.damaged import without_damaged
    from edge.data.open_split import open_split

    split = None if selftest is None else open_split(split=selftest, option="--selftest", skip_damaged=skip_damaged)
    if split is not None:
        split = without_damaged(split, skip=skip_damaged)
    options = WrapOptions(card=card, name=name, selftest=split, samples=samples)
    return print_and_verify(wrap_file(source, output, options), as_json=as_json, no_verify=no_verify)
