"""Networks with gates, norms and functions through the whole road: calibrated, written, read back, run."""

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.packaging.integer_only import require_integer_only
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.passes.legalize import legalize
from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import calibrate
from tests.support.one_operator import litert_outputs
from tests.support.onnx_session import cpu_session

Array = npt.NDArray[Any]
SHAPE = (1, 3, 12, 10)

# name -> nodes from x to y, kinds that the integer graph must hold, largest error of the simulation in output quanta
NETWORKS: dict[str, tuple[str, set[str]]] = {
    "squeeze and excite": (
        "a = Conv(x, w, b) h = HardSwish(a) m = GlobalAveragePool(h) s = HardSigmoid<alpha=0.16666667, beta=0.5>(m) "
        "e = Mul(h, s) y = Conv(e, v, b)",
        {"Conv", "HardSwish", "Mean", "Mul"},
    ),
    "gelu, leaky and a slope per channel": (
        "a = Conv(x, w, b) g = Gelu(a) l = LeakyRelu<alpha=0.1>(g) p = PRelu(l, slope) y = Conv(p, v, b)",
        {"Conv", "Gelu", "LeakyRelu", "PRelu"},
    ),
    "extremes and arithmetic with numbers": (
        "a = Conv(x, w, b) c = Max(a, low) d = Min(c, row) n = Neg(d) q = Div(n, two) r = Sub(one, q) "
        "z = Clip(r, low, two) y = Abs(z)",
        {"Conv", "Max", "Min", "Mul", "Sub", "Clip", "Abs"},
    ),
    "norm over the channels": (
        "a = Conv(x, w, b) n = LpNormalization<axis=1, p=2>(a) y = Conv(n, v, b)",
        {"Conv", "L2Norm"},
    ),
    "roots of sums": (
        "a = Conv(x, w, b) k = Mul(a, a) t = ReduceSum(k, axes) o = Add(t, one) q = Sqrt(o) i = Reciprocal(q) "
        "y = Mul(a, i)",
        {"Conv", "Mul", "ReduceSum", "Add", "Rsqrt"},
    ),
    "logarithms of shares": (
        "a = Conv(x, w, b) e = Elu(a) m = ReduceMax(e, axes) f = Flatten(m) y = LogSoftmax(f)",
        {"Conv", "Elu", "ReduceMax", "Reshape", "LogSoftmax"},
    ),
}


def network(body: str) -> Graph:
    """The canonical float graph of some nodes, with random layers of 3 channels."""
    random = np.random.default_rng(5)
    proto = onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 20]> main (float[{",".join(map(str, SHAPE))}] x) => (float y) {{ {body} }}'
    )
    constants = {
        "w": random.normal(0, 0.5, (3, 3, 3, 3)),
        "v": random.normal(0, 0.5, (3, 3, 1, 1)),
        "b": random.normal(0, 0.5, 3),
        "slope": np.array([0.3, -0.2, 0.05]).reshape(3, 1, 1),
        "row": np.array([0.5, 1.0, 2.5]).reshape(3, 1, 1),
        "low": np.array(-0.75),
        "one": np.array(1.0),
        "two": np.array(2.0),
        "three": np.array(3.0),
    }
    for name, values in constants.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values, np.float32), name))
    proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    return canonical(read_onnx(onnx.shape_inference.infer_shapes(proto, data_prop=True).SerializeToString()))


def images(count: int) -> Array:
    return np.random.default_rng(1).normal(0, 1, (count, *SHAPE[1:])).astype(np.float32)


def integers(graph: Graph, image: Array) -> Array:
    """An image as the integer graph takes it."""
    quantization = graph.tensors[graph.inputs[0]].quantization
    assert quantization is not None
    return np.clip(np.rint(image / quantization.scale[0]) + quantization.zero_point[0], -128, 127).astype(np.int8)


def litert_and_simulation(graph: Graph, image: Array) -> tuple[Array, Array]:
    """What the TFLite file and the simulation of the source file answer, both as NHWC stores it."""
    nhwc = to_nhwc(graph)
    raw = integers(graph, image)
    output = litert_outputs(nhwc, [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])[0][0]
    simulated = IntegerSimulation(graph).run([raw])[0]
    return output, simulated.transpose(0, 2, 3, 1) if simulated.ndim == 4 else simulated


@pytest.mark.parametrize("name", NETWORKS)
def test_a_calibrated_network_is_integer_only_exact_and_near_its_parent(name: str) -> None:
    body, kinds = NETWORKS[name]
    parent = network(body)
    graph = read_onnx(onnx_bytes(legalize(calibrate(parent, [images(16)], estimator="minmax"))))
    assert {operator.kind for operator in graph.operators} == kinds
    require_integer_only(graph)
    for image in images(3):
        output, simulated = litert_and_simulation(graph, image[None])
        assert np.array_equal(output, simulated)
    quantization = graph.tensors[graph.outputs[0]].quantization
    assert quantization is not None
    real = FloatRun(parent).run([images(3)[:1]])[0]
    found = IntegerSimulation(graph).run([integers(graph, images(3)[:1])])[0]
    error = np.abs((found.astype(np.float64) - quantization.zero_point[0]) * quantization.scale[0] - real)
    assert np.sqrt(np.square(error).mean()) < 0.05 * np.abs(real).max()
    assert legalize(graph) is not None and len(legalize(graph).operators) == len(graph.operators)


@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_runs_the_same_network_within_two_quanta(name: str) -> None:

    parent = network(NETWORKS[name][0])
    graph = read_onnx(onnx_bytes(legalize(calibrate(parent, [images(16)], estimator="minmax"))))
    session = cpu_session(onnxruntime_form(graph))
    raw = integers(graph, images(1))
    (port,) = session.get_inputs()
    shift = 128 if port.type == "tensor(uint8)" else 0
    output = session.run(None, {port.name: (raw.astype(np.int16) + shift).astype(np.uint8 if shift else np.int8)})[0]
    simulated = IntegerSimulation(graph).run([raw])[0]
    assert np.abs(np.asarray(output).astype(int) - 128 - simulated.astype(int)).max() <= 2


def test_onnxruntime_loads_a_tensor_that_is_read_as_integers_and_as_reals() -> None:

    parent = network("c = Conv(x, w, b) p = Pow(c, three) y = Add(p, c)")
    graph = read_onnx(onnx_bytes(legalize(calibrate(parent, [images(8)], estimator="minmax"))))
    kinds = [operator.kind for operator in graph.operators]
    assert kinds == ["Conv", "Dequantize", "Pow", "Quantize", "Add"]
    session = cpu_session(onnxruntime_form(graph))
    assert session.get_outputs()[0].type == "tensor(uint8)"


def test_what_has_no_integer_kernel_is_refused_with_the_reason_or_allowed_by_name() -> None:
    parent = network("a = Conv(x, w, b) s = Sin(a) p = Cos(s) y = Conv(p, v, b)")
    graph = read_onnx(onnx_bytes(legalize(calibrate(parent, [images(8)], estimator="minmax"))))
    assert [o.kind for o in graph.operators] == [
        "Conv", "Dequantize", "Sin", "Quantize", "Dequantize", "Cos", "Quantize", "Conv",
    ]  # fmt: skip
    with pytest.raises(
        UnsupportedError, match=r"2 operators would stay in float: Sin \(.*no integer kernel.*--allow-float Sin,Cos"
    ):
        require_integer_only(graph)
    require_integer_only(graph, allowed={"Sin", "Cos"})
    output, simulated = litert_and_simulation(graph, images(1))
    assert np.abs(output.astype(int) - simulated).max() <= 1
