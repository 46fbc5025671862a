"""The same network, written in every operator set that is read as it is, reads as the same graph."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.errors import ModelFileError
from edge.execution.float_run import run_float
from edge.graph.importers.onnx.parsing.opset import NATIVE_OPSET, OLDEST_OPSET
from edge.graph.importers.onnx.reader import read_onnx

NEWEST = onnx.defs.onnx_opset_version()


def network(opset: int) -> bytes:
    """Conv, ReduceMean, Split, Pad, Resize, BatchNormalization, Dropout, Softmax: what changed between the sets."""
    random = np.random.default_rng(0)
    constants = {
        "w": random.normal(size=(4, 3, 3, 3)).astype(np.float32),
        "ones": np.ones(4, np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 0, 0], np.int64),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "axes": np.array([2, 3], np.int64),
        "parts": np.array([2, 2], np.int64),
    }
    if opset >= 18:
        mean = helper.make_node("ReduceMean", ["d", "axes"], ["m"], keepdims=1)
    else:
        mean = helper.make_node("ReduceMean", ["d"], ["m"], axes=[2, 3], keepdims=1)
    nodes = [
        helper.make_node("Pad", ["x", "pads"], ["p"], mode="constant"),
        helper.make_node("Conv", ["p", "w"], ["c"]),
        helper.make_node("BatchNormalization", ["c", "ones", "ones", "ones", "ones"], ["b"]),
        helper.make_node("Relu", ["b"], ["r"]),
        helper.make_node("Resize", ["r", "", "scales"], ["u"], mode="linear"),
        helper.make_node("Split", ["u", "parts"], ["s1", "s2"], axis=1),
        helper.make_node("Concat", ["s2", "s1"], ["j"], axis=1),
        helper.make_node("Dropout", ["j"], ["d"]),
        mean,
        helper.make_node("Squeeze", ["m", "axes"], ["q"]),
        helper.make_node("Softmax", ["q"], ["y"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("opset", range(NATIVE_OPSET, NEWEST + 1))
def test_every_operator_set_gives_the_same_file(opset: int) -> None:
    oldest, graph = canonical(read_onnx(network(NATIVE_OPSET))), canonical(read_onnx(network(opset)))
    x = np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert np.array_equal(run_float(graph, [x])["y"], run_float(oldest, [x])["y"])
    assert tflite_bytes(to_nhwc(graph)) == tflite_bytes(to_nhwc(oldest))


@pytest.mark.parametrize("opset", [OLDEST_OPSET - 1, NEWEST + 1])
def test_an_operator_set_outside_is_refused(opset: int) -> None:
    with pytest.raises(ModelFileError, match=f"uses operator set {opset}; supported are {OLDEST_OPSET} to {NEWEST}"):
        read_onnx(network(opset))
