"""What `convert` prints about a TFLite file that it wrote without an artifact."""

from typing import TYPE_CHECKING, Any

from edge.terminal import say, say_json

if TYPE_CHECKING:
    from converters.convert.bare_file import BareFile
    from converters.convert.file_check import FileCheck
    from edge.graph.graph import Graph


def print_bare_file(file: "BareFile", *, as_json: bool) -> None:
    """Print operators, what stayed in float, Transposes, parameters and the check: lines, or one JSON object."""
    if as_json:
        say_json(_entry(file))
        return
    say(f"{file.path} ({file.precision}, {file.size_bytes / 1024:.0f} KiB)")
    for title, names in (("input", file.graph.inputs), ("output", file.graph.outputs)):
        for name in names:
            say(f"  {title} {_tensor_text(file.graph, name)}")
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(file.operators.items()))
    say(f"  {sum(file.operators.values())} operators: {counts}")
    if file.floats:
        say(f"  {len(file.floats)} in float: {', '.join(file.floats)}")
    for line in transpose_lines(file.transposes):
        say(f"  {line}")
    if file.precision != "float32":
        total = file.parameters_kept + len(file.parameters_changed)
        say(f"  parameters of {file.parameters_kept} of {total} quantized tensors as in the source")
        for text in file.parameters_changed:
            say(f"    {text}")
    for text in file.notes:
        say(f"  {text}")
    if file.check is not None:
        say(f"  {_check_text(file.check)}")


def transpose_lines(transposes: Any) -> list[str]:
    """One line per Transpose that stayed, or one that says there is none.

    Args:
        transposes: of `to_nhwc_with_reasons`.
    """
    if not transposes:
        return ["no TRANSPOSE"]
    return [f"TRANSPOSE of '{entry.tensor}' for '{entry.operator}': {entry.reason}" for entry in transposes]


def transpose_entries(transposes: Any) -> list[dict[str, str]]:
    """The Transposes that stayed, for JSON."""
    return [{"operator": entry.operator, "tensor": entry.tensor, "reason": entry.reason} for entry in transposes]


def _entry(file: "BareFile") -> dict[str, Any]:
    return {
        "file": str(file.path),
        "precision": file.precision,
        "size_bytes": file.size_bytes,
        "inputs": [_tensor_entry(file.graph, name) for name in file.graph.inputs],
        "outputs": [_tensor_entry(file.graph, name) for name in file.graph.outputs],
        "operators": dict(file.operators),
        "float_operators": list(file.floats),
        "transposes": transpose_entries(file.transposes),
        "parameters_kept": file.parameters_kept,
        "parameters_changed": list(file.parameters_changed),
        "notes": list(file.notes),
        "check": None if file.check is None else _check_entry(file.check),
    }


def _check_entry(check: "FileCheck") -> dict[str, Any]:
    return {
        "reference": check.reference,
        "engine": check.info.engine,
        "version": check.info.version,
        "kernels": check.info.kernels,
        "delegated_operators": check.info.delegated_operators,
        "samples": check.samples,
        "outputs": [vars(output) for output in check.outputs],
    }


def _check_text(check: "FileCheck") -> str:
    values = sum(output.values for output in check.outputs)
    differing = sum(output.differing for output in check.outputs)
    largest = max(output.largest for output in check.outputs)
    return (
        f"{check.info.engine} {check.info.version} ({check.info.kernels}, {check.info.delegated_operators} of "
        f"{check.info.operators} operators) against the {check.reference}: {differing} of {values} values differ, "
        f"largest difference {largest:g}"
    )


def _tensor_entry(graph: "Graph", name: str) -> dict[str, Any]:
    tensor = graph.tensors[name]
    entry: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    if tensor.quantization is not None and tensor.quantization.axis is None:
        entry["scale"] = float(tensor.quantization.scale[0])
        entry["zero_point"] = int(tensor.quantization.zero_point[0])
    return entry


def _tensor_text(graph: "Graph", name: str) -> str:
    tensor = graph.tensors[name]
    text = f"'{name}' {tensor.dtype} {'x'.join(str(size) for size in tensor.shape)}"
    if tensor.quantization is not None and tensor.quantization.axis is None:
        text += f", scale {tensor.quantization.scale[0]:.6g}, zero point {tensor.quantization.zero_point[0]}"
    return text
