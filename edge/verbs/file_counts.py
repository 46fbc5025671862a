"""What `edge bench` counts from a model file, so that bare files stand beside artifacts."""

from functools import cache
from pathlib import Path

from device_bench.subjects import FileCounts
from edge.errors import EdgeError


@cache
def file_counts(path: Path) -> FileCounts | None:
    """Counts of a TFLite or ONNX file for one image.

    None where they cannot be taken: a light installation has no readers of model files, and a file that our readers
    refuse a runtime may run.
    """
    try:
        from edge.graph.arena import arena_bytes  # the readers bring onnx and the TFLite schema
        from edge.graph.counts import cost_of
        from edge.graph.model_file import model_format, read_model
    except ImportError:
        return None
    try:
        graph = read_model(path, batch=1 if model_format(path) == "onnx" else None)
    except EdgeError:
        return None
    return FileCounts(cost=cost_of(graph), arena_bytes=arena_bytes(graph) if model_format(path) == "tflite" else None)
