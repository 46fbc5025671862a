"""Outputs with fixed parameters in front of kernels that demand one scale: calibrated, written, exact."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.onnx.file import onnx_bytes
from converters.passes.fold_batch_norm import fold_batch_norm
from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from converters.passes.tie_parameters import tie_parameters
from edge.artifact.scheme import Scheme
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import calibrate
from tests.support.one_operator import litert_outputs

Node = tuple[str, tuple[str, ...], str, dict[str, object]]


def two_heads(*nodes: Node) -> Graph:
    """Two 1x1 convolutions `a` and `b` of an image `x` (1, 3, 8, 8), and nodes behind them that end in `y`."""
    random = np.random.default_rng(0)
    constants = {
        "wa": random.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "wb": random.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "one": np.float32(-1),
        "ring": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "twice": np.array([1, 1, 2, 2], np.float32),
        "rows": np.array([1, 2, 64]),
    }
    convolutions = [helper.make_node("Conv", ["x", f"w{name}"], [name]) for name in ("a", "b")]
    rest = [helper.make_node(kind, inputs, [output], **given) for kind, inputs, output, given in nodes]
    model = helper.make_model(
        helper.make_graph(
            [*convolutions, *rest],
            "heads",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    return fold_batch_norm(read_onnx(model.SerializeToString()))


SIGMOID: Node = ("Sigmoid", ("a",), "s", {})
TANH: Node = ("Tanh", ("b",), "t", {})
POOL = {"kernel_shape": (2, 2), "strides": (2, 2)}
LINEAR = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
NETWORKS: dict[str, tuple[Node, ...]] = {
    "sigmoid beside boxes": (SIGMOID, ("Concat", ("s", "b"), "y", {"axis": 1})),
    "two sigmoids": (SIGMOID, ("Sigmoid", ("b",), "t", {}), ("Concat", ("s", "t"), "y", {"axis": 1})),
    "sigmoid and tanh": (SIGMOID, TANH, ("Concat", ("s", "t"), "y", {"axis": 1})),
    "softmax beside boxes": (("Softmax", ("a",), "s", {"axis": 1}), ("Concat", ("b", "s"), "y", {"axis": 1})),
    "larger of sigmoid and boxes": (SIGMOID, ("Max", ("s", "b"), "y", {})),
    "smaller of sigmoid and tanh": (SIGMOID, TANH, ("Min", ("s", "t"), "y", {})),
    "a pad outside": (SIGMOID, ("Pad", ("s", "ring", "one"), "y", {})),
    "resized and pooled": (
        SIGMOID,
        ("Resize", ("s", "", "twice"), "large", LINEAR),
        ("AveragePool", ("large",), "small", POOL),
        ("MaxPool", ("b",), "p", {"kernel_shape": (1, 1)}),
        ("Concat", ("small", "p"), "y", {"axis": 1}),
    ),
    "reshaped": (
        TANH,
        ("Reshape", ("t", "rows"), "flat", {}),
        ("Reshape", ("a", "rows"), "other", {}),
        ("Concat", ("flat", "other"), "y", {"axis": 1}),
    ),
    "read twice": (
        SIGMOID,
        ("Concat", ("s", "b"), "c", {"axis": 1}),
        ("Concat", ("s", "s"), "d", {"axis": 1}),
        ("Mul", ("c", "d"), "y", {}),
    ),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS.keys())
def test_fixed_outputs_join_others_through_a_requantization(network: tuple[Node, ...], bits: int) -> None:
    graph = two_heads(*network)
    images = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32)
    quantized = calibrate(graph, [images], scheme=Scheme(activation_bits=bits), estimator="minmax")
    written = to_nhwc(read_onnx(onnx_bytes(legalize(tie_parameters(quantized)))))
    source, target = (written.tensors[names[0]] for names in (written.inputs, written.outputs))
    assert source.quantization is not None and target.quantization is not None
    x = images[:1].transpose(0, 2, 3, 1)
    integers = np.rint(x / source.quantization.scale[0]) + source.quantization.zero_point[0]
    given = np.clip(integers, np.iinfo(source.dtype).min, np.iinfo(source.dtype).max).astype(source.dtype)
    simulated = IntegerSimulation(written).run([given])[0]
    np.testing.assert_array_equal(simulated, litert_outputs(written, [given])[0][0])
    real = (simulated.astype(np.float64) - target.quantization.zero_point[0]) * target.quantization.scale[0]
    expected = run_float(graph, [images[:1]])["y"]
    expected = expected.transpose(0, 2, 3, 1) if expected.ndim == 4 else expected
    assert np.abs(real - expected).max() <= 0.03 + 3 * float(target.quantization.scale[0])
