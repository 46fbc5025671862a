"""Networks of float16 and float64 are read as float32, and what counts in float64 stays exact."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from edge.errors import ModelFileError
from edge.execution.float_run import FloatRun
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_models import model, node, values
from tests.support.onnx_session import cpu_session

runtime = pytest.importorskip("onnxruntime")

KINDS = {"float16": (TensorProto.FLOAT16, np.float16), "float64": (TensorProto.DOUBLE, np.float64)}
X = values(1, 3, 6, 5)


def network(kind: str, *, cast: bool) -> Any:
    """x * k + a, then a mean, and a second output that is a constant; with `cast` the boundary is float32."""
    element, dtype = KINDS[kind]
    constants = {"k": np.asarray(0.5, dtype), "a": values(3, 1, 1).astype(dtype), "anchors": np.asarray([1, 2], dtype)}
    body = [
        node("Mul", "h k", "m"),
        node("Add", "m a", "s"),
        node("Relu", "s", "r"),
        node("ReduceMean", "r", "g", axes=[2, 3], keepdims=0),
    ]
    start = node("Cast", "x", "h", to=element) if cast else node("Identity", "x", "h")
    end = node("Cast", "g", "y", to=TensorProto.FLOAT) if cast else node("Identity", "g", "y")
    boundary = TensorProto.FLOAT if cast else element
    outputs = {"y": (1, 3), "anchors": (2,)}
    return model([start, *body, end], outputs, constants, dtype=boundary, types={"anchors": element})


@pytest.mark.parametrize("cast", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_computes_what_the_file_does_within_its_precision(kind: str, *, cast: bool) -> None:
    proto = network(kind, cast=cast)
    session = cpu_session(proto.SerializeToString())
    given = X if cast else X.astype(KINDS[kind][1])
    expected = session.run(None, {"x": given})
    graph = read_onnx(proto.SerializeToString())
    found = FloatRun(graph).run([given.astype(np.float32)])
    assert graph.notes == (f"{kind} tensors are read as float32",)
    assert {tensor.dtype for tensor in graph.tensors.values()} == {"float32"}
    assert [operator.kind for operator in graph.operators] == ["Mul", "Add", "Mean"]
    for first, second in zip(expected, found, strict=True):
        np.testing.assert_allclose(second, first, rtol=2e-3 if kind == "float16" else 1e-5, atol=1e-3)


def test_a_number_beyond_float32_is_refused_by_name() -> None:
    proto = model(
        [node("Add", "x k", "y")], {"y": (2,)}, {"k": np.array([1e300, 1])}, shape=(2,), dtype=TensorProto.DOUBLE
    )
    with pytest.raises(ModelFileError, match=r"constant 'k' holds 1e\+300, beyond float32"):
        read_onnx(proto.SerializeToString())


def test_a_cast_that_rounds_stays() -> None:
    nodes = [node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Cast", "h", "y", to=TensorProto.FLOAT)]
    graph = read_onnx(model(nodes, {"y": X.shape}, {}).SerializeToString())
    assert [operator.kind for operator in graph.operators] == ["Cast", "Cast"] and graph.notes == ()
    assert np.array_equal(FloatRun(graph).run([X])[0], X.astype(np.float16).astype(np.float32))


def test_sizes_are_computed_in_the_files_own_precision() -> None:
    """49 / 49 is not 1 in float32 arithmetic of reciprocals; a size must not lose a pixel by it."""
    nodes = [
        node("Cast", "size", "s", to=TensorProto.DOUBLE),
        node("Mul", "s part", "p"),
        node("Floor", "p", "f"),
        node("Cast", "f", "i", to=TensorProto.INT64),
        node("Concat", "lead i", "z", axis=0),
        node(
            "Resize", "x - - z", "y", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor"
        ),
    ]
    part = np.array([1 / 3, 1 / 3]) * (1 + 2**-52)
    constants = {"size": np.array([6, 6]), "part": part, "lead": np.array([1, 3])}
    size = tuple(int(value) for value in np.floor(np.array([6.0, 6.0]) * part))
    proto = model(nodes, {"y": (1, 3, *size)}, constants, shape=(1, 3, 6, 6))
    graph = read_onnx(proto.SerializeToString())
    assert graph.tensors["y"].shape == (1, 3, *size) and graph.notes == ()
