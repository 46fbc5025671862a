"""What `convert` and `quantize` print about the artifact that they wrote."""

from typing import Any

from rich.table import Table

from edge.artifact.manifest import Artifact
from edge.cli.bare_file_summary import transpose_entries, transpose_lines
from edge.cli.verify import verify_written
from edge.terminal import say, say_json, show, tell
from edge.vision.map_positions import displaced, size_text


def print_and_verify(artifact: Artifact, *, as_json: bool, no_verify: bool) -> int:
    """Print an artifact that was just written, and verify it unless that is not wanted; the exit code."""
    from converters.packaging.layout_report import remaining_transposes

    wrapped = artifact.manifest.provenance.road == "as is"
    print_artifact(artifact, as_json=as_json, transposes=None if wrapped else remaining_transposes(artifact))
    return 0 if no_verify else verify_written(artifact)


def size_entries(artifact: Artifact) -> dict[str, Any]:
    """Input size and that of the training where they differ; nothing to say of others."""
    trained = artifact.manifest.provenance.trained_resolution_hw
    preprocess = artifact.manifest.preprocess
    if trained is None:
        return {}
    return {"resolution_hw": [preprocess.height, preprocess.width], "trained_resolution_hw": list(trained)}


def size_lines(artifact: Artifact) -> list[str]:
    """The same in words, and what it does to a segmenter's map."""
    if not (entries := size_entries(artifact)):
        return []
    size, trained = entries["resolution_hw"], entries["trained_resolution_hw"]
    lines = [f"input {size_text(size)}, trained at {size_text(trained)}"]
    output = artifact.manifest.files[0].outputs[artifact.manifest.files[0].answer]
    if note := displaced(size, trained, output.stride or 1):
        lines.append(f"note: {note}")
    return lines


def detection_entries(artifact: Artifact) -> dict[str, Any]:
    """How a detector's outputs become boxes; nothing to say of others."""
    told = artifact.manifest.detection
    return {} if told is None else {"detection": told.model_dump(mode="json", exclude={"anchors": {"maps"}})}


def detection_lines(artifact: Artifact) -> list[str]:
    """The same in words."""
    told = artifact.manifest.detection
    if told is None:
        return []
    anchors = "" if told.anchors is None else f"{told.anchors.count:,} anchors on {len(told.anchors.maps)} maps, "
    return [
        f"boxes: form {told.form}, {anchors}threshold {told.threshold:g}, boxes of one class that overlap by over "
        f"{told.overlap:g} are one, at most {told.most}"
    ]


def print_artifact(artifact: Artifact, *, as_json: bool, transposes: Any = None) -> None:
    """Print the files, sizes and counts of an artifact: a table, or one JSON object.

    Args:
        transposes: those that stayed in the TFLite file, see `remaining_transposes`; None says nothing about them.
    """
    manifest = artifact.manifest
    if as_json:
        say_json(
            {
                "artifact": str(artifact.folder),
                "name": manifest.name,
                "task": manifest.task,
                "head": manifest.head,
                "precision": manifest.precision,
                **size_entries(artifact),
                **detection_entries(artifact),
                "files": {file.path: file.size_bytes for file in manifest.every_file},
                "multiply_adds": manifest.cost.multiply_adds,
                "parameters": manifest.cost.parameters,
                "weights_bytes": manifest.cost.weights_bytes,
                "peak_activation_bytes": manifest.cost.peak_activation_bytes,
                "derived": [entry.model_dump() for entry in manifest.quantization.derived],
                "notes": list(manifest.quantization.notes),
                **({} if (steps := manifest.quantization.steps) is None else {"steps": steps.model_dump(mode="json")}),
                **({} if transposes is None else {"transposes": transpose_entries(transposes)}),
            }
        )
        return
    table = Table(title=f"{artifact.folder} ({manifest.task}, {manifest.precision})", title_justify="left")
    for column, justify in (("file", "left"), ("KiB", "right"), ("input", "left"), ("output", "left")):
        table.add_column(column, justify="right" if justify == "right" else "left")
    for file in manifest.every_file:
        given, told = file.inputs[0], [file.outputs[place] for place in file.told]
        table.add_row(
            file.path,
            f"{file.size_bytes / 1024:.0f}",
            f"{given.dtype} {'x'.join(map(str, given.shape))} {given.layout}",
            ", ".join(f"{made.dtype} {'x'.join(map(str, made.shape))} {made.meaning}" for made in told),
        )
    show(table)
    say(
        f"{manifest.cost.multiply_adds / 1e6:.1f} M multiply-adds, {manifest.cost.parameters:,} parameters, "
        f"peak activations {manifest.cost.peak_activation_bytes / 1024:.0f} KiB"
    )
    for words in (*size_lines(artifact), *detection_lines(artifact)):
        say(words)
    for entry in manifest.quantization.derived:
        say(
            f"derived: '{entry.tensor}' scale {entry.scale:.6g}, zero point {entry.zero_point}: {entry.how}",
        )
    for note in manifest.quantization.notes:
        say(f"note: {note}")
    for line in transpose_lines(transposes) if transposes else ():
        tell(f"model.tflite: {line}")
