"""edge inspect: what stands in a model file, operator by operator; or in a split, class by class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import click
from rich import box
from rich.table import Table

from edge.artifact.manifest import Artifact, Manifest, has_independent_labels, open_artifact
from edge.artifact.model_file import ModelFile
from edge.cli.artifact_summary import detection_lines
from edge.cli.bounded_number import whole
from edge.cli.input_shape import parse_shape
from edge.cli.inspect_split import names_split, print_split
from edge.cli.split_options import split_options
from edge.errors import UsageError, printable
from edge.files.bounded_file import is_dir
from edge.terminal import Screen, say, say_json, show
from edge.vision.map_positions import size_text

COLUMNS: dict[str, Literal["left", "right"]] = {
    "": "right",
    "operator": "left",
    "output": "left",
    "shape": "left",
    "dtype": "left",
    "scale": "right",
    "zero": "right",
    "weight": "left",
    "MAdds": "right",
    "MAdds/B": "right",
    "params": "right",
}
NAME_COLUMN = 2
NARROWEST_NAME = 12


@click.command("inspect", epilog="Example: edge inspect artifacts/mobilenet_int8")
@click.argument("model", required=False, metavar="[MODEL|SPLIT]")
@split_options
@click.option("--batch", type=whole(1), help="Size of an ONNX file's unknown first dimension.")
@click.option(
    "--input-shape",
    "input_shapes",
    multiple=True,
    help="Shape of an input whose sizes an ONNX file leaves open: NAME=1x3x224x224. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line: each operator, then the total.")
@click.option(
    "--starter-card",
    is_flag=True,
    help="Print a card for `edge convert FILE --card` instead: what the file says, and what is to be filled in.",
)
def command(
    model: str | None,
    batch: int | None,
    input_shapes: tuple[str, ...],
    as_json: bool,
    starter_card: bool,
    **named: Any,
) -> None:
    """List operators, shapes, quantization, multiply-adds and parameters of MODEL, or count the classes of SPLIT.

    MODEL is any TFLite or ONNX file, or an artifact folder. Counts come from the file itself; an operator without a
    rule is named, never counted as zero. SPLIT is what --split takes; or name it by --images. All
    its images are looked at.
    """
    if model is None or names_split(model) or any(named.values()):
        refused = {"--batch": batch, "--input-shape": input_shapes, "--starter-card": starter_card}
        if given := [option for option, value in refused.items() if value]:
            raise UsageError(f"{', '.join(given)}: of a model, not of a split")
        _print_split(model, named, as_json=as_json)
        return
    _print_model(Path(model), batch, dict(parse_shape(text) for text in input_shapes), as_json, starter_card)


def _print_split(name: str | None, named: Mapping[str, Any], *, as_json: bool) -> None:
    from edge.data.damaged import without_damaged
    from edge.data.open_split import open_split

    if name is not None and any(named.values()):
        raise UsageError(f"{name}: --split, --images and what belongs to them name a split themselves; give one")
    if name is None and not any(named.values()):
        raise UsageError("nothing to inspect: give a model's file or folder, or a split")
    split = open_split(**(dict(named) if name is None else {"split": name}))
    print_split(without_damaged(split, skip=named["skip_damaged"]), as_json=as_json)


def _print_model(
    model: Path, batch: int | None, shapes: Mapping[str, tuple[int, ...]], as_json: bool, starter_card: bool
) -> None:
    if starter_card:
        _print_starter_card(model, shapes, refused={"--batch": batch, "--json": as_json})
        return
    if shapes and is_dir(model):
        raise UsageError(f"{model}: --input-shape is for ONNX files; an artifact's sizes are fixed")
    artifact = open_artifact(model) if is_dir(model) else None
    paths = [model] if artifact is None else [artifact.file(file.path) for file in artifact.manifest.files]
    if artifact is not None:
        _print_manifest(artifact, as_json=as_json)
    for path in paths:
        _print_file(path, batch, shapes, as_json=as_json)


def _print_starter_card(path: Path, shapes: Mapping[str, tuple[int, ...]], *, refused: Mapping[str, object]) -> None:
    from converters.packaging.starter_card import starter_card

    if named := [option for option, value in refused.items() if value]:
        raise UsageError(f"{', '.join(named)}: --starter-card prints a card alone")
    if is_dir(path):
        raise UsageError(f"{path}: --starter-card is for a model file; an artifact's manifest says what a card does")
    say(*starter_card(path, shapes))


def _print_file(path: Path, batch: int | None, shapes: Mapping[str, tuple[int, ...]], *, as_json: bool) -> None:
    from edge.graph.analyses.counts import count_graph  # the readers bring onnx and the TFLite schema
    from edge.graph.analyses.inspection import operator_entry, total_entry
    from edge.graph.importers.model_file import model_format, read_model
    from edge.graph.importers.tflite.metadata import metadata_entry

    graph = read_model(path, batch=batch, shapes=shapes)
    metadata = metadata_entry(path) if model_format(path) == "tflite" else None
    cost = count_graph(graph)
    about = {"file": str(path), "format": model_format(path)}
    entries = [operator_entry(graph, *pair) for pair in zip(graph.operators, cost.operators, strict=True)]
    total = total_entry(graph, cost, about["format"])
    if as_json:
        if metadata is not None:
            say_json({"entry": "metadata", **about, **metadata})
        for index, entry in enumerate(entries):
            say_json({"entry": "operator", **about, "index": index, **entry})
        say_json({"entry": "total", **about, **total})
        return
    _print_table(f"{path} ({about['format']}, {graph.layout})", entries)
    say(
        f"{total['operators']} operator{'s' * (total['operators'] != 1)}, "
        f"{total['multiply_adds'] / 1e6:,.1f} M multiply-adds, "
        f"{total['parameters']:,} parameters in {total['weights_bytes'] / 1024:,.0f} KiB, "
        f"peak activations {total['peak_activation_bytes'] / 1024:,.0f} KiB"
        + (f", LiteRT's arena {total['arena_bytes'] / 1024:,.0f} KiB" if total["arena_bytes"] is not None else ""),
    )
    if metadata is not None:
        said = [f"{key} {value}" for key, value in metadata.items() if key != "labels"]
        say(f"metadata: {', '.join(said)}, {len(metadata['labels'])} labels")
    for note in total["notes"]:
        say(note)
    for entry in total["transposes"]:
        shape, perm = "x".join(str(size) for size in entry["shape"]), " ".join(str(axis) for axis in entry["perm"])
        text = f"TRANSPOSE '{entry['name']}' to {shape} (axes {perm}), {entry['size_bytes'] / 1024:,.1f} KiB"
        say(text)
    if total["unruled"]:
        say(f"no rule for (not in the multiply-adds): {', '.join(total['unruled'])}")


def _print_table(title: str, entries: list[dict[str, Any]]) -> None:
    """Print one row per operator; names give way where the terminal is narrow, numbers never."""
    rows = [[printable(text) for text in _row(index, entry)] for index, entry in enumerate(entries)]
    widths = [max(len(row[column]) for row in [list(COLUMNS), *rows]) for column in range(len(COLUMNS))]
    others = sum(widths) - widths[NAME_COLUMN] + len(COLUMNS) + 1  # one space between and around columns
    name_width = min(widths[NAME_COLUMN], max(NARROWEST_NAME, Screen().width - others))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for name, justify in COLUMNS.items():
        table.add_column(name, justify=justify, no_wrap=True)
    for row in rows:
        row[NAME_COLUMN] = _tail(row[NAME_COLUMN], name_width)
        table.add_row(*row)
    show(table, least_width=others + name_width)


def _row(index: int, entry: dict[str, Any]) -> list[str]:
    output = entry["outputs"][0] if entry["outputs"] else {"name": entry["name"], "shape": [], "dtype": ""}
    return [
        str(index),
        _operator_text(entry),
        output["name"].split(";")[0],
        "x".join(str(size) for size in output["shape"]),
        output["dtype"],
        _number(output.get("scale")),
        str(output.get("zero_point", "")),
        _weight_text(entry),
        "no rule" if entry["multiply_adds"] is None else f"{entry['multiply_adds']:,}",
        "" if entry["intensity"] is None else f"{entry['intensity']:.1f}",
        f"{entry['parameters']:,}",
    ]


def _tail(name: str, width: int) -> str:
    """The end of a name, which tells operators apart better than its beginning."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _operator_text(entry: dict[str, Any]) -> str:
    """The kind with what changes its meaning most: depthwise or grouped, the stride, the fused activation."""
    attributes = entry["attributes"]
    words = [entry["kind"]]
    if attributes.get("group", 1) > 1:
        words.append("dw" if attributes["group"] == entry["inputs"][1]["shape"][0] else f"g{attributes['group']}")
    if max(attributes.get("strides", (1,))) > 1 and "kernel" not in attributes:
        words.append(f"s{max(attributes['strides'])}")
    if attributes.get("activation", "none") != "none":
        words.append(attributes["activation"])
    return " ".join(words)


def _weight_text(entry: dict[str, Any]) -> str:
    constants = [tensor for tensor in entry["inputs"][1:2] if tensor is not None and _is_weight(tensor)]
    if not constants:
        return ""
    weight = constants[0]
    text = "x".join(str(size) for size in weight["shape"])
    return f"{text}/ch" if "axis" in weight else text


def _is_weight(tensor: dict[str, Any]) -> bool:
    return bool(tensor["constant"]) and ("scale" in tensor or tensor["dtype"].startswith("float"))


def _number(scale: float | list[float] | None) -> str:
    if scale is None:
        return ""
    return f"{scale:.6g}" if isinstance(scale, float) else f"{len(scale)} scales"


def _used_output(file: ModelFile) -> dict[str, str]:
    """Which of several outputs is used; nothing to say of one."""
    if len(file.outputs) == 1:
        return {}
    used = ", ".join(f"'{file.outputs[place].name}' ({file.outputs[place].meaning})" for place in file.told)
    return {"output": f"{used}, of {len(file.outputs)}"}


def _trained_at(manifest: Manifest) -> str:
    """The size of the training, where it is another one."""
    trained = manifest.provenance.trained_resolution_hw
    return "" if trained is None else f"; trained at {size_text(trained)}"


def _print_manifest(artifact: Artifact, *, as_json: bool) -> None:
    manifest = artifact.manifest
    if as_json:
        say_json({"entry": "manifest", "artifact": str(artifact.folder), **manifest.model_dump(mode="json")})
        return
    table = Table(title=str(artifact.folder), title_justify="left", box=box.SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    preprocess = manifest.preprocess
    rows = {
        "name": manifest.name,
        "task": manifest.task if manifest.head is None else f"{manifest.task}, head: {manifest.head}",
        "precision": f"{manifest.precision}, quantized by: {manifest.quantization.method}",
        "files": ", ".join(
            f"{file.path} ({file.role}, {file.size_bytes / 1024:,.0f} KiB)" for file in manifest.every_file
        ),
        "input": f"{preprocess.height}x{preprocess.width} (height x width), {preprocess.colour_order}, "
        f"{preprocess.interpolation}, {preprocess.fit}{_trained_at(manifest)}",
        **_used_output(manifest.files[0]),
        "classes": f"{len(manifest.labels.names)}{', independent' * has_independent_labels(manifest)}: "
        + ", ".join(manifest.labels.names[:8])
        + (", ..." if len(manifest.labels.names) > 8 else ""),
        **dict(line.split(": ", 1) for line in detection_lines(artifact)),
        "made": f"{manifest.provenance.time_utc} by: {manifest.provenance.command}",
    }
    for accuracy in manifest.accuracy:
        rows[f"{accuracy.metric}, {accuracy.subject}"] = (
            f"{accuracy.value:.4f} ({accuracy.split}, {accuracy.images} images)"
        )
    for name, value in rows.items():
        table.add_row(name, value)
    show(table)
