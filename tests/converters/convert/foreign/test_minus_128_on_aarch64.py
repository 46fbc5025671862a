"""Why two weights of -128 in an output channel make a uint8 file: a Cortex-A72 has no dot product."""

from pathlib import Path

import numpy as np
import pytest

from converters.passes.asymmetric_weights import asymmetric_weights
from converters.tflite.writer import tflite_bytes
from edge.engines.other_python import OtherPython
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor, per_tensor

CHANNELS = 32


def fully_connected(lowest: int) -> Graph:
    """Half of the output channels hold `lowest` alone."""
    weight = np.random.default_rng(0).choice([lowest, 127], (CHANNELS, CHANNELS)).astype(np.int8)
    weight[: CHANNELS // 2] = lowest
    tensors = {
        "x": Tensor(name="x", shape=(1, CHANNELS), dtype="int8", quantization=per_tensor(0.01, 0)),
        "w": Tensor(name="w", shape=weight.shape, dtype="int8", data=weight, quantization=per_tensor(0.01, 0)),
        "y": Tensor(name="y", shape=(1, CHANNELS), dtype="int8", quantization=per_tensor(0.437, 0)),
    }
    layer = Operator(
        kind="Gemm", name="layer", inputs=("x", "w", ""), outputs=("y",), attributes={"activation": "none"}
    )
    return Graph(name="g", layout="nhwc", operators=(layer,), tensors=tensors, inputs=("x",), outputs=("y",))


@pytest.mark.slow
def test_int8_kernels_overflow_and_uint8_kernels_do_not(emulated_pi: str, tmp_path: Path) -> None:
    """All inputs are the smallest integer: the channels that hold -128 alone come out with the wrong sign."""
    differing = {}
    with OtherPython(emulated_pi) as python:
        for name, graph in (
            ("-127", fully_connected(-127)),
            ("-128", fully_connected(-128)),
            ("-128 as uint8", asymmetric_weights(fully_connected(-128))),
        ):
            dtype = graph.tensors["x"].dtype
            assert dtype == ("uint8" if "uint8" in name else "int8")
            path = tmp_path / f"{name}.tflite"
            path.write_bytes(tflite_bytes(graph))
            smallest = np.full((1, CHANNELS), np.iinfo(dtype).min, dtype)
            output = python.open_session("litert", path, threads=1, kernels="xnnpack").run([smallest])[0]
            expected = IntegerSimulation(graph).run([smallest])[0]
            differing[name] = np.abs(output.astype(int) - expected)[0]
    assert not differing["-127"].any() and not differing["-128 as uint8"].any()
    assert (differing["-128"][: CHANNELS // 2] == 240).all()
