"""edge sizes: accuracy, cost and latency of one checkpoint over input sizes, float and INT8."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from edge.cli.bounded_number import whole
from edge.cli.input_size import InputSizes
from edge.cli.split_options import split_options
from edge.errors import UsageError, printable
from edge.terminal import Bars, say, say_json, show_wide, tell
from edge.vision.map_positions import size_text

if TYPE_CHECKING:
    from converters.convert.calibration import Calibration
    from edge.cli.size_rows import SizeRow
    from edge.data.splits import Split
    from edge.training.checkpoint import Checkpoint


@click.command(
    "sizes",
    epilog="Example: edge sizes runs/street/float.safetensors --sizes 192x256,144x192,96x128 "
    "--split generated:segment:val --calibration generated:segment:train -n 50",
)
@click.argument("source", metavar="CHECKPOINT", type=click.Path(path_type=Path))
@click.option(
    "--sizes", required=True, type=InputSizes(), help="Input sizes, height x width: 360x480,270x360,180x240 or 224,192."
)
@split_options
@click.option("--samples", type=whole(1), help="Evaluate on the first N images only.")
@click.option("--calibration", help="Split for the ranges of activations; the recipe's training split if omitted.")
@click.option("-n", "--calibration-samples", type=whole(1), help="Use this many of it, evenly spread; all if omitted.")
@click.option("--ranges", default="mse", show_default=True, help="From them: mse, percentile (99.99) or minmax.")
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path), help="Keep the artifacts in this folder.")
@click.option("--no-latency", is_flag=True, help="Do not measure latency on this machine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: a row of the table.")
def command(
    source: Path,
    sizes: tuple[tuple[int, int], ...],
    split: str | None,
    images: str | None,
    labels: str | None,
    masks: str | None,
    boxes: str | None,
    classes: str | None,
    skip_damaged: bool,
    samples: int | None,
    calibration: str | None,
    calibration_samples: int | None,
    ranges: str,
    folder: Path | None,
    no_latency: bool,
    as_json: bool,
) -> int:
    """Tabulate CHECKPOINT over input sizes, float and INT8, the weights as they are; exit code 1: values differ.

    A float checkpoint is quantized at every size from calibration images; of a QAT checkpoint ranges are observed
    again where the size is not its own. Accuracy is counted at the size of the masks, whatever the input's is:
    predictions are enlarged to it. INT8 runs in LiteRT and is held to the integer simulation on the same images.
    """
    from functools import cache

    from edge.cli.size_rows import rows_of_size, with_latency
    from edge.files.atomic import make_folder
    from edge.files.leftovers import temporary_folder
    from edge.training.checkpoint import read_checkpoint
    from edge.training.input_size import sized

    checkpoint = read_checkpoint(source)
    for size_hw in sizes:  # all of them before the first is made
        sized(checkpoint, size_hw)
    chosen = _split(
        checkpoint, source, samples, skip_damaged, split=split, images=images, labels=labels, masks=masks, boxes=boxes,
        classes=classes,
    )  # fmt: skip

    @cache
    def calibrated() -> "Calibration":
        return _calibration(checkpoint, source, calibration, calibration_samples, ranges, skip_damaged)

    words = printable(shlex.join(["edge", *sys.argv[1:]]))
    with temporary_folder() as temporary:
        into = Path(temporary) if folder is None else folder
        make_folder(into)
        rows: list[SizeRow] = []
        with Bars() as progress:
            task = progress.add_task("evaluate", total=len(chosen) * len(sizes))
            for size_hw in sizes:
                advance = lambda count: progress.advance(task, count)  # noqa: E731
                rows += rows_of_size(checkpoint, source, size_hw, into, chosen, calibrated, advance)
        if not no_latency:
            rows = with_latency(rows, words)
    _print(checkpoint, rows, chosen, as_json=as_json)
    return 1 if any(row.differing for row in rows) else 0


def _split(checkpoint: "Checkpoint", source: Path, samples: int | None, skip_damaged: bool, **named: Any) -> "Split":
    """What is evaluated on: what is named, else the recipe's validation split."""
    from edge.data.damaged import without_damaged
    from edge.data.model_classes import model_classes, require_model_classes
    from edge.data.open_split import open_split
    from edge.data.recipe_splits import validation_split

    if named["split"] is None and named["images"] is None:
        found = validation_split(checkpoint.recipe.data)
        if found is None:
            raise UsageError(
                f"{source}: names no validation split; give --split, or --images with --labels, --masks or --boxes"
            )
        split = found
    else:
        # A folder's labels are the model's own classes, unless a file says otherwise.
        own: Any = model_classes(checkpoint.labels) if named["images"] is not None else None
        split = open_split(**{**named, "classes": named["classes"] or own}, skip_damaged=skip_damaged)
    if not split.has_targets:
        raise UsageError(
            f"{split.origin} has no labels; give --labels FILE, --masks FOLDER for a segmenter, --boxes for a detector"
        )
    if split.task != checkpoint.task:
        raise UsageError(f"{source} is for '{checkpoint.task}', {split.origin} for '{split.task}'")
    independent = checkpoint.scores == "independent"
    require_model_classes(split, checkpoint.labels.names, str(source), independent=independent)
    if samples is not None:
        split = split.subset(range(min(samples, len(split))))
    return without_damaged(split, skip=skip_damaged)


def _calibration(
    checkpoint: "Checkpoint", source: Path, split: str | None, samples: int | None, ranges: Any, skip_damaged: bool
) -> "Calibration":
    from converters.convert.calibration import calibration_of, open_calibration
    from edge.data.recipe_splits import recipe_part

    opened = open_calibration(split, samples if split else None, ranges, skip_damaged=skip_damaged)
    if opened is not None:
        return opened
    training = recipe_part(checkpoint.recipe.data, "train", source)
    return calibration_of(training, samples, ranges, skip_damaged=skip_damaged)


def _print(checkpoint: "Checkpoint", rows: "list[SizeRow]", split: "Split", *, as_json: bool) -> None:
    from edge.training.input_size import recipe_line, size_note, sized

    if as_json:
        for row in rows:
            note = size_note(sized(checkpoint, row.size_hw))
            say_json({**_entry(row), "images": len(split), "split": split.origin, "note": note,
                      "train": recipe_line(checkpoint, row.size_hw)})  # fmt: skip
        return
    seen = f"{split.origin}, {len(split)} images"
    counted = ", masks counted at their own size" if split.task == "segment" else ""
    say(f"{checkpoint.path} ({checkpoint.kind}), {checkpoint.recipe.model.name}; {seen}{counted}")
    show_wide(_table(rows))
    for size_hw in dict.fromkeys(row.size_hw for row in rows):
        if note := size_note(sized(checkpoint, size_hw)):
            tell(f"note: {size_text(size_hw)}: {note}")
    for size_hw in dict.fromkeys(row.size_hw for row in rows):
        say(f"to train at {size_text(size_hw)}: {recipe_line(checkpoint, size_hw)}")


def _table(rows: "list[SizeRow]") -> Table:
    from device_bench.report.table import marked, milliseconds

    edges = any(row.boundary is not None for row in rows)
    table = Table()
    table.add_column("input")
    table.add_column("precision")
    for title in (rows[0].metric, *(["boundary"] if edges else []), "as float", "MAdds, M", "KiB", "p50, ms", "differ"):
        table.add_column(f"{title} %" if title in (rows[0].metric, "boundary", "as float") else title, justify="right")
    for row in rows:
        latency = None if row.record is None else row.record.latency_ns
        counted = row.values is not None and row.differing is not None
        table.add_row(
            size_text(row.size_hw),
            row.precision,
            *(_percent(share) for share in (row.value, *([row.boundary] if edges else []), row.agreement)),
            f"{row.artifact.manifest.cost.multiply_adds / 1e6:,.1f}",
            f"{row.size_bytes / 1024:,.0f}",
            "" if latency is None or row.record is None else marked(milliseconds(latency.p50_ns), row.record),
            f"{row.differing:,} of {row.values:,}" if counted else "",
        )
    return table


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.2f}"


def _entry(row: "SizeRow") -> dict[str, Any]:
    """A row as plain data."""
    trained = row.artifact.manifest.provenance.trained_resolution_hw
    latency = None if row.record is None else row.record.latency_ns
    return {
        "resolution_hw": list(row.size_hw),
        "trained_resolution_hw": list(trained or row.size_hw),
        "precision": row.precision,
        "metric": row.metric,
        "value": row.value,
        "boundary_miou": row.boundary,
        "parent_agreement": row.agreement,
        "multiply_adds": row.artifact.manifest.cost.multiply_adds,
        "parameters": row.artifact.manifest.cost.parameters,
        "size_bytes": row.size_bytes,
        "latency_ns": None
        if latency is None
        else {"p50": latency.p50_ns, "p90": latency.p90_ns, "p99": latency.p99_ns},
        "taints": [] if row.record is None else [taint.sentence for taint in row.record.taints],
        "values": row.values,
        "differing": row.differing,
    }
