"""The QDQ file carries every tensor, name and parameter of the graph, and comes back as the same graph."""

import numpy as np
import onnx
import pytest

from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.passes.rewrite import rebuild
from edge.quantization.ptq.calibrate import calibrate
from tests.support.onnx_session import cpu_session

NET = """<ir_version: 8, opset_import: ["": 17]> net (float[1,3,16,16] x) => (float[1,5,16,16] y) {
  c1 = Conv<pads=[0,0,1,1], strides=[2,2]>(x, w1, b1)
  r1 = Clip(c1, low, high)
  c2 = Conv<pads=[1,1,1,1], group=8>(r1, w2, b2)
  r2 = Relu(c2)
  p = AveragePool<kernel_shape=[4,4], strides=[4,4]>(r2)
  u = Resize<mode="linear">(p, , , s8)
  c3 = Conv(r2, w3, b3)
  a = Add(c3, r1)
  j = Concat<axis=1>(a, u)
  c4 = Conv(j, w4, b4)
  y = Resize<mode="linear">(c4, , , s16)
}"""


def int8_graph() -> Graph:
    proto = onnx.parser.parse_model(NET)
    rng = np.random.default_rng(0)
    shapes = {"w1": (8, 3, 3, 3), "w2": (8, 1, 3, 3), "w3": (8, 8, 1, 1), "w4": (5, 16, 1, 1)}
    shapes |= {"b1": (8,), "b2": (8,), "b3": (8,), "b4": (5,)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    arrays |= {"low": np.array(0, np.float32), "high": np.array(6, np.float32)}
    arrays |= {"s8": np.array([1, 8, 8, 8]), "s16": np.array([1, 5, 16, 16])}
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    graph = read_onnx(proto.SerializeToString())
    return calibrate(graph, [rng.normal(size=(4, 3, 16, 16)).astype(np.float32)], estimator="minmax")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return int8_graph()


def assert_equal(left: Graph, right: Graph) -> None:
    def described(operator: Operator) -> tuple[object, ...]:
        return operator.kind, operator.name, operator.inputs, operator.outputs, dict(operator.attributes)

    assert [described(operator) for operator in left.operators] == [described(operator) for operator in right.operators]
    assert set(left.tensors) == set(right.tensors)
    for name, tensor in left.tensors.items():
        other = right.tensors[name]
        assert (tensor.shape, tensor.dtype) == (other.shape, other.dtype)
        assert tensor.quantization is None or tensor.quantization.same_as(other.quantization), name
        assert (tensor.data is None) == (other.data is None)
        if tensor.data is not None:
            np.testing.assert_array_equal(tensor.data, other.data)


def test_reading_what_was_written_gives_the_same_graph(graph: Graph) -> None:
    assert_equal(read_onnx(onnx_bytes(graph)), graph)


def test_the_bytes_depend_on_the_graph_alone(graph: Graph) -> None:
    data = onnx_bytes(graph)
    assert onnx_bytes(int8_graph()) == data and onnx_bytes(read_onnx(data)) == data


def test_the_file_is_valid_and_its_inputs_and_outputs_are_integers(graph: Graph) -> None:
    proto = onnx.load_from_string(onnx_bytes(graph))
    onnx.checker.check_model(proto, full_check=True)
    ends = [*proto.graph.input, *proto.graph.output]
    assert [value.type.tensor_type.elem_type for value in ends] == [onnx.TensorProto.INT8] * 2
    assert proto.producer_name == "edge-deploy" and proto.opset_import[0].version == 17


def test_each_operator_in_the_files_own_arithmetic_gives_the_simulations_integers(graph: Graph) -> None:
    """ONNX Runtime without fusions computes in float32, so that a value near a tie may round the other way."""
    x = np.random.default_rng(3).integers(-128, 128, (1, 3, 16, 16)).astype(np.int8)
    expected = IntegerSimulation(graph).run_all([x])
    for operator in graph.operators:
        inputs = tuple(name for name in operator.inputs if name and graph.tensors[name].data is None)
        alone = onnx_bytes(rebuild(graph, [operator], inputs=inputs, outputs=operator.outputs))
        session = cpu_session(alone, as_it_stands=True)
        found = session.run(None, {name: np.asarray(expected[name]) for name in inputs})[0].astype(int)
        difference = np.abs(found - np.asarray(expected[operator.outputs[0]]).astype(int))
        ties = operator.kind in ("AveragePool", "Resize")
        assert difference.max() <= 1 and (ties or (difference > 0).mean() < 0.01), operator.name


def test_an_index_map_reads_the_integers_and_is_int32(graph: Graph) -> None:
    output = graph.outputs[0]
    tensors = dict(graph.tensors)
    tensors["map"] = type(tensors[output])(name="map", shape=(1, 16, 16), dtype="int32")
    arg_max = Operator(
        kind="ArgMax", name="map", inputs=(output,), outputs=("map",), attributes={"axis": 1, "keepdims": False}
    )
    mapped = rebuild(graph, [*graph.operators, arg_max], tensors, outputs=("map",))
    data = onnx_bytes(mapped)
    assert_equal(read_onnx(data), mapped)
    session = cpu_session(data)
    assert session.get_outputs()[0].type == "tensor(int32)"


def test_an_nhwc_graph_and_an_unknown_operator_are_refused(graph: Graph) -> None:
    with pytest.raises(UnsupportedError, match="is nhwc; ONNX is written from NCHW graphs"):
        onnx_bytes(to_nhwc(graph))
    text = '<ir_version: 8, opset_import: ["": 17]> net (float[1,3] x) => (float[1,3] y) { y = Erf(x) }'
    with pytest.raises(UnsupportedError, match=r"operator 'Erf_0' \(Erf\) cannot be written to ONNX"):
        onnx_bytes(read_onnx(onnx.parser.parse_model(text).SerializeToString()))
