"""Sessions of ONNX Runtime's CPU kernels whose integer sums are exact on every processor."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from edge.engines.onnx_providers import EXACT_SUMS, first_that_starts

if TYPE_CHECKING:
    import onnxruntime


def cpu_session(model: bytes | Path, *, as_it_stands: bool = False) -> "onnxruntime.InferenceSession":
    """A session on one thread that logs errors alone; `as_it_stands`: no operator is rewritten or fused."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry(*EXACT_SUMS)
    if as_it_stands:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    data = model if isinstance(model, bytes) else str(model)
    start = partial(onnxruntime.InferenceSession, data, options, providers=["CPUExecutionProvider"])
    session: onnxruntime.InferenceSession = first_that_starts(
        start, partial(start, disabled_optimizers=["ConstantSharing"])
    )
    return session
