"""Every output of an ONNX file is there under its own name: constants, second names, inputs, what a Dropout gives."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from edge.errors import ModelFileError
from edge.execution.float_run import FloatRun
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_models import Array, model, node, values
from tests.support.onnx_session import cpu_session

runtime = pytest.importorskip("onnxruntime")

X = values(1, 3, 6, 5)
MAP, PAIR = (1, 4, 4, 3), (2,)
CONV = node("Conv", "x w", "c")
W = {"w": values(4, 3, 3, 3)}
ANCHORS = W | {"k": np.array([1, 2], np.float32)}
INT64 = TensorProto.INT64

CASES: dict[str, Any] = {
    "an initializer": model([CONV], {"c": MAP, "k": PAIR}, ANCHORS),
    "a map that is an initializer": model([CONV], {"c": MAP, "k": (1, 2, 3, 4)}, W | {"k": values(1, 2, 3, 4)}),
    "a constant under two names": model(
        [CONV, node("Identity", "k", "a"), node("Identity", "k", "b")],
        {"c": MAP, "a": PAIR, "b": PAIR, "k": PAIR},
        ANCHORS,
    ),
    "a folded sum": model([CONV, node("Add", "k k", "a")], {"c": MAP, "a": PAIR}, ANCHORS),
    "a shape": model([CONV, node("Shape", "c", "s")], {"c": MAP, "s": (4,)}, W, types={"s": INT64}),
    "a weight": model([CONV], {"c": MAP, "w": (4, 3, 3, 3)}, W),
    "a constant alone": model([node("Identity", "k", "a")], {"a": PAIR}, ANCHORS),
    "a scalar": model([CONV], {"c": MAP, "k": ()}, W | {"k": np.float32(3)}),
    "one tensor under two names": model(
        [CONV, node("Identity", "c", "a"), node("Identity", "c", "b")], {"a": MAP, "b": MAP}, W
    ),
    "one tensor under three names": model(
        [CONV, node("Identity", "c", "a"), node("Dropout", "c", "b")], {"a": MAP, "b": MAP, "c": MAP}, W
    ),
    "an input under two names": model(
        [node("Identity", "x", "a"), node("Identity", "x", "b")], {"a": X.shape, "b": X.shape}, {}
    ),
    "one scalar under two names": model(
        [node("ReduceSum", "x", "s", keepdims=0), node("Identity", "s", "a"), node("Identity", "s", "b")],
        {"a": (), "b": ()},
        {},
    ),
    "a Dropout whose mask nobody reads": model(
        [node("Dropout", "x ratio off", "d mask"), node("Relu", "d", "y")],
        {"y": X.shape},
        {"ratio": np.float32(0.5), "off": np.array(False)},
    ),
    "a MaxPool whose indices nobody reads": model(
        [node("MaxPool", "x", "y indices", kernel_shape=[2, 2])], {"y": (1, 3, 5, 4)}, {}
    ),
    "a LayerNormalization whose mean nobody reads": model(
        [node("LayerNormalization", "x s", "y mean")], {"y": X.shape}, {"s": values(5)}
    ),
    "names like those that reading makes": model(
        [
            node("Transpose", "w", "t", perm=[0, 1, 3, 2]),
            node("Conv", "x t", "y/reshape"),
            node("Relu", "y/reshape", "y"),
        ],
        {"y/reshape": MAP, "y": MAP},
        W,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_outputs_are_those_of_onnx_runtime(name: str) -> None:
    data = CASES[name].SerializeToString()
    session = cpu_session(data)
    expected = dict(zip((o.name for o in session.get_outputs()), session.run(None, {"x": X}), strict=True))
    graph = read_onnx(data)
    found: dict[str, Array] = dict(zip(graph.outputs, FloatRun(graph).run([X]), strict=True))
    assert list(found) == list(expected)
    for output, array in expected.items():
        assert found[output].dtype == array.dtype
        np.testing.assert_allclose(found[output], array, rtol=1e-5, atol=1e-5)


def test_an_output_that_dequantizes_a_constant_is_real() -> None:
    nodes = [CONV, node("DequantizeLinear", "q scale zero", "r")]
    constants = W | {"q": np.array([5, 6], np.int8), "scale": np.float32(0.5), "zero": np.int8(3)}
    graph = read_onnx(model(nodes, {"c": MAP, "r": PAIR}, constants).SerializeToString())
    assert graph.constant("r").tolist() == [1.0, 1.5]


def test_further_outputs_of_an_older_batch_norm_are_training_mode() -> None:
    """ONNX Runtime normalizes by the batch's own statistics there; reading it as inference would be wrong."""
    norm = node("BatchNormalization", "x s s s s", "y mean var saved_mean saved_var")
    graph = read_onnx(model([norm], {"y": X.shape}, {"s": np.ones(3, np.float32)}, opset=13).SerializeToString())
    assert [operator.kind for operator in graph.operators] == ["BatchNormalization"]


def test_a_tensor_whose_type_cannot_be_inferred_names_its_operator() -> None:
    loop = model([node("NonZero", "x", "n"), node("Cast", "n", "y", to=1)], {"y": (4, 1)}, {})
    with pytest.raises(
        ModelFileError, match=r"NonZero 'NonZero:n' makes 'n', whose shape .* cannot be inferred; say all"
    ):
        read_onnx(loop.SerializeToString())


def test_negative_sizes_are_unknown_ones() -> None:
    proto = model([node("Relu", "x", "m"), node("Sigmoid", "m", "y")], {"y": (-1, 3, -1, 5)}, {}, shape=(-1, 3, -1, 5))
    inner = proto.graph.value_info.add()
    inner.CopyFrom(proto.graph.output[0])
    inner.name = "m"
    data = proto.SerializeToString()
    assert read_onnx(data, batch=2, shapes={"x": (2, 3, 6, 5)}).tensors["y"].shape == (2, 3, 6, 5)
    with pytest.raises(ModelFileError, match=r"unknown size on axis 2; say it with --input-shape"):
        read_onnx(data, batch=1)
