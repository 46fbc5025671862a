"""Files of the operator sets 7 to 12 compute what ONNX Runtime computes from the file itself."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edge.errors import ModelFileError
from edge.execution.float_run import FloatRun
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_session import cpu_session

runtime = pytest.importorskip("onnxruntime")

Array = npt.NDArray[Any]
MAP = (1, 3, 6, 8)
RANDOM = np.random.default_rng(0)


def real(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype(np.float32)


CONSTANTS: dict[str, Array] = {
    "w": real(4, 3, 3, 3),
    "t": real(3, 4, 2, 2),
    "b": real(4),
    "c": real(3),
    "v": np.abs(real(3)) + 0.1,
    "m": real(4, 8),
    "slope": real(3, 1, 1),
    "flat": np.array([0, -1], np.int64),
    "twice": np.array([1, 1, 2, 2], np.float32),
    "half": np.array([1, 1, 0.5, 0.5], np.float32),
    "up_and_down": np.array([1, 1, 0.5, 1.5], np.float32),
    "zero": np.array(0, np.int64),
    "rest": np.array([-1], np.int64),
}


def node(kind: str, inputs: str, outputs: str = "y", **attributes: Any) -> NodeProto:
    return helper.make_node(kind, inputs.split(), outputs.split(), name=f"{kind} of {outputs}", **attributes)


def file(opset: int, nodes: Sequence[NodeProto], *, shape: tuple[int, ...] = MAP, ir_version: int = 3) -> bytes:
    """Constants are initializers and, as in files of IR version 3 by other tools, no inputs."""
    read = {name for entry in nodes for name in entry.input}
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in nodes[-1].output if name != "mask"],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in read],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir_version)
    return bytes(model.SerializeToString())


def assert_same(data: bytes, x: Array) -> None:
    session = cpu_session(data)
    expected = session.run(None, {"x": x})
    graph = read_onnx(data)
    found = FloatRun(graph).run([x])
    assert graph.outputs == tuple(output.name for output in session.get_outputs())
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-5, atol=1e-5)


EVERY_SET = range(7, 13)
NETWORKS: dict[str, tuple[range, list[NodeProto]]] = {
    "convolution": (EVERY_SET, [node("Conv", "x w b", "a"), node("Relu", "a")]),
    "transposed": (EVERY_SET, [node("ConvTranspose", "x t", strides=[2, 2])]),
    "batch norm": (EVERY_SET, [node("BatchNormalization", "x c c c v", epsilon=1e-3, momentum=0.5)]),
    "instance norm": (EVERY_SET, [node("InstanceNormalization", "x c c")]),
    "softmax flattens from axis 1": (EVERY_SET, [node("Softmax", "x")]),
    "softmax flattens from axis 2": (EVERY_SET, [node("Relu", "x", "a"), node("Softmax", "a", axis=2)]),
    "softmax of the last axis": (EVERY_SET, [node("Softmax", "x", axis=3)]),
    "log softmax": (EVERY_SET, [node("LogSoftmax", "x")]),
    "dropout with a mask": (range(7, 12), [node("Dropout", "x", "a mask", ratio=0.3), node("Relu", "a")]),
    "clip": (range(7, 11), [node("Clip", "x", min=-0.5, max=0.7)]),
    "clip from above": (range(7, 11), [node("Clip", "x", max=0.5)]),
    "pad": (range(7, 11), [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 2, 1], value=0.25)]),
    "pad that reflects": (range(7, 11), [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 2, 1], mode="reflect", value=0.5)]),
    "slice": (range(7, 10), [node("Slice", "x", starts=[1, -3], ends=[9, -1], axes=[2, 3])]),
    "squeeze": (EVERY_SET, [node("Squeeze", "x", axes=[0])]),
    "unsqueeze": (EVERY_SET, [node("Unsqueeze", "x", axes=[0])]),
    "reduce sum": (EVERY_SET, [node("ReduceSum", "x", axes=[2, 3], keepdims=0)]),
    "reduce mean": (EVERY_SET, [node("ReduceMean", "x", axes=[2, 3], keepdims=1)]),
    "split": (EVERY_SET, [node("Split", "x", "y z", axis=3, split=[3, 5])]),
    "split evenly": (EVERY_SET, [node("Split", "x", "y z", axis=3)]),
    "gemm": (EVERY_SET, [node("Reshape", "x flat", "a"), node("Relu", "a")]),
    "upsample, scales an attribute": (
        range(7, 9),
        [node("Upsample", "x", mode="nearest", scales=[1.0, 1.0, 2.0, 2.0])],
    ),
    "linear, scales an attribute": (range(7, 9), [node("Upsample", "x", mode="linear", scales=[1.0, 1.0, 2.0, 2.0])]),
    "upsample": (range(9, 10), [node("Upsample", "x twice", mode="nearest")]),
    "upsample linear": (range(9, 10), [node("Upsample", "x twice", mode="linear")]),
    "resize": (range(10, 11), [node("Resize", "x twice", mode="nearest")]),
    "resize down": (range(10, 11), [node("Resize", "x half", mode="nearest")]),
    "resize down and up": (range(10, 11), [node("Resize", "x up_and_down", mode="nearest")]),
    "resize linear": (range(10, 11), [node("Resize", "x twice", mode="linear")]),
    "average pool": (EVERY_SET, [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])]),
    "max pool": (EVERY_SET, [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")]),
    "transpose": (EVERY_SET, [node("Transpose", "x", perm=[0, 2, 3, 1])]),
    "slope": (EVERY_SET, [node("PRelu", "x slope")]),
    "indices": (EVERY_SET, [node("ArgMax", "x", "i", axis=1), node("Cast", "i", to=1)]),
    "computed shape": (
        EVERY_SET,
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "g", axis=0),
            node("Unsqueeze", "g", "u", axes=[0]),
            node("Concat", "u rest", "r", axis=0),
            node("Reshape", "x r"),
        ],
    ),
}


@pytest.mark.parametrize(
    ("name", "opset"), [(name, opset) for name, (opsets, _) in NETWORKS.items() for opset in opsets]
)
def test_it_computes_what_the_older_file_does(name: str, opset: int) -> None:
    assert_same(file(opset, NETWORKS[name][1]), real(*MAP))


def test_what_was_done_is_said() -> None:
    graph = read_onnx(file(9, NETWORKS["convolution"][1]))
    assert graph.notes == (f"converted from operator set 9 to 13 by onnx {onnx.__version__}",)
    assert read_onnx(file(13, NETWORKS["convolution"][1])).notes == ()


def test_nodes_keep_their_names() -> None:
    graph = read_onnx(file(9, [node("Relu", "x", "a"), node("Upsample", "a twice", mode="nearest")]))
    assert [operator.name for operator in graph.operators] == ["Relu of a", "Upsample of y"]


@pytest.mark.parametrize("opset", [9, 17])
def test_nodes_out_of_order_are_sorted(opset: int) -> None:
    nodes = [node("Conv", "x w b", "a"), node("Relu", "a", "r"), node("Sigmoid", "r")]
    in_order = read_onnx(file(opset, nodes, ir_version=8))
    model = onnx.load_from_string(file(opset, nodes, ir_version=8))
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    assert [o.kind for o in read_onnx(model.SerializeToString()).operators] == [o.kind for o in in_order.operators]


def test_a_node_that_cannot_be_raised_is_named() -> None:
    norm = node("BatchNormalization", "x c c c v", spatial=0)
    with pytest.raises(
        ModelFileError, match=r"operator set 7, .* node 'BatchNormalization of y' \(BatchNormalization\)"
    ):
        read_onnx(file(7, [node("Relu", "x", "a"), norm]))


def test_operators_of_other_domains_are_left_for_later() -> None:
    """The reader keeps them under their own name; a converter refuses them."""
    contributed = helper.make_node("FusedConv", ["x", "w", "b"], ["a"], name="fused", domain="com.microsoft")
    model = onnx.load_from_string(file(9, [contributed, node("Relu", "a")]))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    with pytest.raises(ModelFileError, match=r"com\.microsoft\.FusedConv 'fused' makes 'a', whose shape"):
        read_onnx(model.SerializeToString())
