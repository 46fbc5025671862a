"""What `edge bench` counts from a model file, so that bare files stand beside artifacts."""

from functools import cache
from pathlib import Path

from device_bench.jobs.subjects import FileCounts
from edge.errors import EdgeError, UsageError

Shapes = tuple[tuple[str, tuple[int, ...]], ...]


@cache
def file_counts(path: Path, batch: int = 1, shapes: Shapes = ()) -> FileCounts | None:
    """Counts of a TFLite or ONNX file for one image, or with the given sizes where an ONNX file leaves some open.

    Refuses (UsageError) an ONNX file that keeps constants in files beside it: a device is handed one file. None where
    they cannot be taken: a light installation has no readers of model files, and a file that our readers refuse a
    runtime may run.
    """
    try:
        from edge.graph.analyses.arena import arena_bytes  # the readers bring onnx and the TFLite schema
        from edge.graph.analyses.counts import cost_of
        from edge.graph.importers.model_file import model_format, read_model
        from edge.graph.importers.onnx.parsing.file import external_files
    except ImportError:
        return None
    try:
        beside = external_files(path) if model_format(path) == "onnx" else ()
    except EdgeError:
        return None
    if beside:
        raise UsageError(
            f"{path}: keeps constants in {', '.join(sorted(beside))}, and what is measured is one file; save it as one "
            "(onnx.save_model(onnx.load(...), ...), or torch.onnx.export with external_data=False)"
        )
    try:
        graph = read_model(path, batch=batch, shapes=dict(shapes))
    except EdgeError:
        return None
    return FileCounts(cost=cost_of(graph), arena_bytes=arena_bytes(graph) if model_format(path) == "tflite" else None)
