"""The file around the operators: buffers, signature, integer class maps and float boundaries."""

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.engines.engine import open_session
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.graph.importers.tflite.parsing.schema import schema
from edge.graph.importers.tflite.reader import read_tflite

NO_PADS = (0, 0, 0, 0)


def two_inputs() -> Graph:
    """An integer sum of x0 and x1."""
    parameters = {"x0": per_tensor(0.0625, -3), "x1": per_tensor(0.0625, -3), "y": per_tensor(0.07, -20)}
    tensors = {
        name: Tensor(name=name, shape=(1, 4, 4, 2), dtype="int8", quantization=each)
        for name, each in parameters.items()
    }
    add = Operator(kind="Add", name="y", inputs=("x0", "x1"), outputs=("y",), attributes={"activation": "none"})
    return Graph(name="main", layout="nhwc", operators=(add,), tensors=tensors, inputs=("x0", "x1"), outputs=("y",))


def test_buffers_start_at_multiples_of_16_bytes_and_equal_ones_are_shared() -> None:
    shape = (6, 6, 1, 1)
    weight = np.arange(36, dtype=np.float32).reshape(shape)
    bias = np.zeros(6, np.float32)
    tensors = [Tensor(name=f"x{k}", shape=(1, 4, 4, 6), dtype="float32") for k in range(3)]
    tensors += [Tensor(name=f"w{k}", shape=shape, dtype="float32", data=weight) for k in range(2)]
    tensors.append(Tensor(name="b", shape=(6,), dtype="float32", data=bias))
    attributes = {"strides": (1, 1), "pads": NO_PADS, "dilations": (1, 1), "group": 1, "activation": "none"}
    operators = tuple(
        Operator(
            kind="Conv", name=f"x{k + 1}", inputs=(f"x{k}", f"w{k}", "b"), outputs=(f"x{k + 1}",), attributes=attributes
        )
        for k in range(2)
    )
    named = {tensor.name: tensor for tensor in tensors}
    graph = Graph(name="main", layout="nhwc", operators=operators, tensors=named, inputs=("x0",), outputs=("x2",))
    data = tflite_bytes(graph)
    model = schema().Model.GetRootAs(data, 0)
    held = [model.Buffers(index).DataAsNumpy() for index in range(1, model.BuffersLength())]
    assert len(held) == 2
    whole = np.frombuffer(data, np.uint8)
    for array in held:
        assert (array.ctypes.data - whole.ctypes.data) % 16 == 0
    assert tflite_bytes(graph) == data


def test_signature_names_inputs_and_outputs() -> None:
    model = schema().ModelT.InitFromPackedBuf(tflite_bytes(two_inputs(), description="d"), 0)
    signature = model.signatureDefs[0]
    assert signature.signatureKey == b"serving_default"
    assert [entry.name for entry in signature.inputs] == [b"x0", b"x1"]
    assert [entry.name for entry in signature.outputs] == [b"y"]
    assert model.description == b"d"


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("keepdims", [False, True])
def test_class_map_is_the_index_of_the_largest_logit(dtype: str, keepdims: bool, tmp_path: Path) -> None:
    shape = (1, 5, 4, 1) if keepdims else (1, 5, 4)
    x = Tensor(name="x", shape=(1, 5, 4, 6), dtype="int8", quantization=per_tensor(0.0625, -3))
    y = Tensor(name="y", shape=shape, dtype=dtype)
    attributes = {"axis": 3, "keepdims": keepdims}
    operator = Operator(kind="ArgMax", name="y", inputs=("x",), outputs=("y",), attributes=attributes)
    graph = Graph(
        name="main", layout="nhwc", operators=(operator,), tensors={"x": x, "y": y}, inputs=("x",), outputs=("y",)
    )
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    values = np.random.default_rng(0).integers(-128, 128, x.shape).astype(np.int8)
    found = open_session("litert", path).run([values])[0]
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values.argmax(3, keepdims=keepdims))


def test_boundaries_are_written_where_a_float_tensor_is_an_input_or_output(tmp_path: Path) -> None:
    x, y = (Tensor(name=name, shape=(1, 8), dtype="float32") for name in "xy")
    q = Tensor(name="q", shape=(1, 8), dtype="int8", quantization=per_tensor(0.5, 3))
    operators = (
        Operator(kind="Quantize", name="q", inputs=("x",), outputs=("q",)),
        Operator(kind="Dequantize", name="y", inputs=("q",), outputs=("y",)),
    )
    tensors = {"x": x, "q": q, "y": y}
    graph = Graph(name="main", layout="nhwc", operators=operators, tensors=tensors, inputs=("x",), outputs=("y",))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    values = np.array([[0, 0.24, 0.26, 1, -3, 100, -100, 7.5]], np.float32)
    expected = 0.5 * (np.clip(np.rint(values / 0.5) + 3, -128, 127) - 3)
    np.testing.assert_array_equal(open_session("litert", path).run([values])[0], expected)
    again = read_tflite(path)
    assert [operator.kind for operator in again.operators] == ["Quantize", "Dequantize"]
    assert per_tensor(0.5, 3).same_as(again.tensors["q"].quantization)
