"""A channel shuffle in NHWC: what a TRANSPOSE of (groups, channels / groups) takes beside a GATHER.

python -m tests.benchmarks.channel_shuffle
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from converters.tflite.writer import tflite_bytes
from edge.engines.engine import EngineInfo
from edge.engines.litert import open_litert
from edge.graph.graph import Graph, Operator, Tensor, per_tensor

# height, width, channels, groups: the stages of ShuffleNetV2 1.0 and ShuffleNetV1 (3 groups)
SIZES = ((28, 28, 116, 2), (14, 14, 232, 2), (7, 7, 464, 2), (28, 28, 240, 3), (14, 14, 480, 3))
FORMS = ("transpose", "gather")
RUNS = 300


def shuffle_graph(form: str, size: tuple[int, int, int, int], dtype: str) -> Graph:
    """A graph (nhwc) that shuffles its input's channels."""
    height, width, channels, groups = size
    each = channels // groups
    quantization = per_tensor(0.05, 3) if dtype == "int8" else None
    tensors: dict[str, Tensor] = {}

    def activation(name: str, *shape: int) -> str:
        tensors[name] = Tensor(name=name, shape=shape, dtype=dtype, quantization=quantization)
        return name

    def operator(kind: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Operator:
        return Operator(kind=kind, name=f"make_{output}", inputs=inputs, outputs=(output,), attributes=attributes)

    activation("x", 1, height, width, channels)
    activation("y", 1, height, width, channels)
    if form == "gather":
        order = np.arange(channels).reshape(groups, each).T.reshape(-1).astype(np.int32)
        tensors["order"] = Tensor(name="order", shape=order.shape, dtype="int32", data=order)
        operators = [operator("Gather", ("x", "order"), "y", axis=3)]
    else:
        activation("apart", 1, height, width, groups, each)
        activation("turned", 1, height, width, each, groups)
        operators = [
            operator("Reshape", ("x",), "apart", shape=tensors["apart"].shape),
            operator("Transpose", ("apart",), "turned", perm=(0, 1, 2, 4, 3)),
            operator("Reshape", ("turned",), "y", shape=tensors["y"].shape),
        ]
    return Graph(name=form, layout="nhwc", operators=tuple(operators), tensors=tensors, inputs=("x",), outputs=("y",))


def shuffle_time_ns(form: str, size: tuple[int, int, int, int], dtype: str) -> tuple[int, EngineInfo]:
    """Median time of one run in LiteRT, one thread, and what ran."""
    graph = shuffle_graph(form, size, dtype)
    x = np.zeros(graph.tensors["x"].shape, dtype)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shuffle.tflite"
        path.write_bytes(tflite_bytes(graph))
        session = open_litert(path)
    times = []
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        session.run([x])
        times.append(time.perf_counter_ns() - start)
    return int(np.median(times)), session.info


def main() -> None:
    """Print microseconds per form, size and dtype."""
    print(f"{'h x w x c, groups':<22}{'dtype':<9}" + "".join(f"{form + ', us':>16}" for form in FORMS))
    for size in SIZES:
        for dtype in ("float32", "int8"):
            measured = [shuffle_time_ns(form, size, dtype) for form in FORMS]
            title = f"{'x'.join(map(str, size[:3]))}, {size[3]}"
            print(f"{title:<22}{dtype:<9}" + "".join(f"{time_ns / 1000:>16.0f}" for time_ns, _ in measured))


if __name__ == "__main__":
    main()
