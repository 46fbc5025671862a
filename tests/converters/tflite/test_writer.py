"""What the writer makes of every operator: LiteRT computes it, XNNPACK takes it, and the reader gives it back."""

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.writer import WRITERS, tflite_bytes
from edge.engines.engine import open_session
from edge.execution.float_run import run_float
from edge.graph.graph import KINDS, Graph, Operator
from edge.graph.importers.tflite.parsing.schema import schema
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.writer_cases import CASES, change_tensor, graph_of


def codes_of(data: bytes) -> tuple[str, ...]:
    """Operator names of a file in order, read with the schema itself."""
    module = schema()
    names = {number: name for name, number in vars(module.BuiltinOperator).items() if isinstance(number, int)}
    model = module.ModelT.InitFromPackedBuf(data, 0)
    return tuple(
        names[model.operatorCodes[operator.opcodeIndex].builtinCode] for operator in model.subgraphs[0].operators
    )


def assert_same_tensors(read: Graph, written: Graph) -> None:
    for name, tensor in written.tensors.items():
        again = read.tensors[name]
        assert (again.shape, again.dtype) == (tensor.shape, tensor.dtype), name
        if tensor.data is not None:
            assert again.data is not None
            np.testing.assert_array_equal(again.data, tensor.data)
        if tensor.quantization is None:
            assert again.quantization is None
        else:
            assert tensor.quantization.same_as(again.quantization), name


# tests/converters/tflite/test_math.py writes these and runs them.
MATHEMATICS = frozenset(
    [
        "Abs",
        "Ceil",
        "Cos",
        "Div",
        "Elu",
        "Exp",
        "Floor",
        "Gelu",
        "HardSigmoid",
        "L2Norm",
        "LeakyRelu",
        "Log",
        "LogSoftmax",
        "Max",
        "Min",
        "Neg",
        "PRelu",
        "Pow",
        "ReduceMax",
        "ReduceMin",
        "ReduceSum",
        "Round",
        "Rsqrt",
        "Sin",
        "Sqrt",
    ]
)


def test_every_kind_is_written_or_refused_by_name() -> None:
    assert set(WRITERS) <= set(KINDS)
    others = {"ArgMax", "Cast", "Quantize", "Dequantize"} | MATHEMATICS
    assert {case.kind for case in CASES.values()} | others == set(WRITERS)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("quantized", [False, True], ids=["float32", "int8"])
def test_file_holds_the_expected_operators_and_reads_back_identical(name: str, quantized: bool) -> None:
    graph = graph_of(CASES[name], quantized=quantized)
    data = tflite_bytes(graph)
    assert codes_of(data) == CASES[name].codes
    again = read_tflite(data)
    assert_same_tensors(again, graph)
    if len(CASES[name].codes) == 1 and CASES[name].kind != "Clip":
        assert again.operators[0].kind == graph.operators[0].kind
        assert dict(again.operators[0].attributes) == dict(graph.operators[0].attributes)
        assert tflite_bytes(again) == data


@pytest.mark.parametrize("name", CASES)
def test_float_file_computes_what_torch_computes(name: str, tmp_path: Path) -> None:
    graph = graph_of(CASES[name], quantized=False)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    rng = np.random.default_rng(5)
    inputs = [rng.normal(size=graph.tensors[name].shape).astype(np.float32) * 3 for name in graph.inputs]
    expected = np.asarray(run_float(graph, inputs)["y"])
    np.testing.assert_allclose(open_session("litert", path).run(inputs)[0], expected, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_integer_file_runs_and_xnnpack_takes_what_it_can(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    graph = graph_of(case, quantized=True)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(graph))
    session = open_session("litert", path)
    rng = np.random.default_rng(5)
    output = session.run([rng.integers(-128, 128, graph.tensors[name].shape).astype(np.int8) for name in graph.inputs])
    assert output[0].shape == case.output
    assert output[0].dtype == np.int8
    assert session.outputs[0].scale == float(graph.tensors["y"].quantization.scale[0])
    if case.xnnpack:
        assert session.info.delegated_operators == len(case.codes)
    else:
        assert session.info.delegated_operators is not None
        assert session.info.delegated_operators < len(case.codes)


def test_a_missing_bias_becomes_zeros(tmp_path: Path) -> None:
    graph = graph_of(CASES["same"], quantized=True)
    old = graph.operators[0]
    operator = Operator(kind="Conv", name="y", inputs=("x0", "w0", ""), outputs=("y",), attributes=dict(old.attributes))
    bare = Graph(
        name="main", layout="nhwc", operators=(operator,), tensors=graph.tensors, inputs=("x0",), outputs=("y",)
    )
    zeros = change_tensor(graph, "w1", data=np.zeros(5, np.int32))
    values = np.random.default_rng(0).integers(-128, 128, (1, 9, 8, 6)).astype(np.int8)
    results = []
    for index, each in enumerate((bare, zeros)):
        path = tmp_path / f"{index}.tflite"
        path.write_bytes(tflite_bytes(each))
        results.append(open_session("litert", path).run([values])[0])
    np.testing.assert_array_equal(*results)
