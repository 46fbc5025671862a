"""What the writer makes of every operator: LiteRT computes it, XNNPACK takes it, and the reader gives it back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.tflite.writer import WRITERS, tflite_bytes
from edge.errors import UnsupportedError
from edge.graph.graph import KINDS, Graph, Operator, Quantization, Tensor, per_tensor
from edge.graph.tflite import read_tflite
from edge.graph.tflite_schema import schema
from edge.quantization.float_run import run_float
from edge.runtime.engine import open_session

NO_PADS = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operator: shapes of its activations and of the constants behind them.

    tied: input and output have one set of parameters. xnnpack: its delegate (LiteRT 2.3) takes the int8 form.
    """

    kind: str
    inputs: tuple[tuple[int, ...], ...] = ((1, 9, 8, 6),)
    weights: tuple[tuple[int, ...], ...] = ()
    output: tuple[int, ...] = (1, 9, 8, 6)
    tied: bool = False
    codes: tuple[str, ...] = ()
    xnnpack: bool = True
    output_parameters: tuple[float, int] = (0.07, -20)
    indices: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


def conv(
    output: tuple[int, ...],
    weight: tuple[int, ...],
    pads: tuple[int, ...],
    *codes: str,
    kind: str = "Conv",
    **other: Any,
) -> Case:
    attributes = {"strides": (1, 1), "pads": pads, "dilations": (1, 1), "group": 1, "activation": "none"}
    return Case(kind=kind, weights=(weight, weight[:1]), output=output, codes=codes, attributes={**attributes, **other})


def pool(kind: str, output: tuple[int, ...], pads: tuple[int, ...], *codes: str, **other: Any) -> Case:
    attributes = {"kernel": (3, 3), "strides": (2, 2), "pads": pads, "activation": "none"}
    if kind == "AveragePool":
        attributes["count_include_pad"] = False
    taken = kind == "MaxPool"  # int8 AVERAGE_POOL_2D runs on the built-in kernel
    return Case(kind=kind, output=output, tied=True, codes=codes, xnnpack=taken, attributes={**attributes, **other})


def resize(mode: str, coordinates: str) -> Case:
    attributes = {"mode": mode, "coordinates": coordinates, "size_hw": (18, 16)}
    code = {"linear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}[mode]
    return Case(
        kind="Resize", output=(1, 18, 16, 6), tied=True, codes=(code,), xnnpack=mode == "linear", attributes=attributes
    )


def moved(kind: str, output: tuple[int, ...], code: str, *, xnnpack: bool = True, **attributes: Any) -> Case:
    return Case(kind=kind, output=output, tied=True, codes=(code,), xnnpack=xnnpack, attributes=attributes)


TWO = ((1, 9, 8, 6), (1, 9, 8, 6))
CASES: dict[str, Case] = {
    "1x1": conv((1, 9, 8, 5), (5, 6, 1, 1), NO_PADS, "CONV_2D", activation="relu"),
    "same": conv((1, 9, 8, 5), (5, 6, 3, 3), (1, 1, 1, 1), "CONV_2D"),
    "same stride 2": conv((1, 5, 4, 5), (5, 6, 3, 3), (1, 0, 1, 1), "CONV_2D", strides=(2, 2), activation="relu6"),
    "valid": conv((1, 7, 6, 5), (5, 6, 3, 3), NO_PADS, "CONV_2D"),
    "explicit pads": conv((1, 5, 4, 5), (5, 6, 3, 3), (1, 1, 1, 1), "PAD", "CONV_2D", strides=(2, 2)),
    "dilated": conv((1, 9, 8, 5), (5, 6, 3, 3), (2, 2, 2, 2), "CONV_2D", dilations=(2, 2)),
    "grouped": conv((1, 9, 8, 4), (4, 3, 3, 3), (1, 1, 1, 1), "CONV_2D", group=2),
    "depthwise": conv((1, 9, 8, 6), (6, 1, 3, 3), (1, 1, 1, 1), "DEPTHWISE_CONV_2D", group=6, activation="relu6"),
    "depthwise x2": conv((1, 5, 4, 12), (12, 1, 3, 3), (1, 0, 1, 1), "DEPTHWISE_CONV_2D", group=6, strides=(2, 2)),
    "depthwise dilated": conv((1, 9, 8, 6), (6, 1, 3, 3), (2, 2, 2, 2), "DEPTHWISE_CONV_2D", group=6, dilations=(2, 2)),
    "gemm": Case(
        kind="Gemm",
        inputs=((1, 20),),
        weights=((7, 20), (7,)),
        output=(1, 7),
        codes=("FULLY_CONNECTED",),
        attributes={"activation": "none"},
    ),
    "add": Case(kind="Add", inputs=TWO, codes=("ADD",), attributes={"activation": "relu"}),
    "add broadcast": Case(kind="Add", inputs=(TWO[0], (1, 1, 1, 6)), codes=("ADD",), attributes={"activation": "none"}),
    "sub": Case(kind="Sub", inputs=TWO, codes=("SUB",), attributes={"activation": "none"}),
    "mul": Case(kind="Mul", inputs=TWO, codes=("MUL",), attributes={"activation": "none"}),
    "average pool": pool("AveragePool", (1, 4, 3, 6), NO_PADS, "AVERAGE_POOL_2D"),
    "average pool same": pool("AveragePool", (1, 5, 4, 6), (1, 0, 1, 1), "AVERAGE_POOL_2D"),
    "average pool padded": pool(
        "AveragePool", (1, 5, 4, 6), (1, 0, 1, 1), "PAD", "AVERAGE_POOL_2D", count_include_pad=True
    ),
    "max pool": pool("MaxPool", (1, 5, 4, 6), (1, 0, 1, 1), "MAX_POOL_2D"),
    "max pool padded": Case(
        **{
            **vars(pool("MaxPool", (1, 5, 4, 6), (1, 1, 1, 1), "PADV2", "MAX_POOL_2D")),
            "xnnpack": False,
        }
    ),
    "mean": Case(kind="Mean", output=(1, 6), codes=("MEAN",), attributes={"axes": (1, 2), "keepdims": False}),
    "mean kept": Case(kind="Mean", output=(1, 1, 1, 6), codes=("MEAN",), attributes={"axes": (1, 2), "keepdims": True}),
    **{
        f"resize {mode} {coordinates}": resize(mode, coordinates)
        for mode in ("linear", "nearest")
        for coordinates in ("half_pixel", "asymmetric", "align_corners")
    },
    "concat": Case(
        kind="Concat",
        inputs=(*TWO, (1, 9, 8, 2)),
        output=(1, 9, 8, 14),
        tied=True,
        codes=("CONCATENATION",),
        attributes={"axis": 3},
    ),
    "pad": moved("Pad", (1, 12, 9, 6), "PAD", pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=0.0),
    "pad of ones": moved(
        "Pad", (1, 12, 9, 6), "PADV2", xnnpack=False, pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=0.5
    ),
    "reshape": moved("Reshape", (1, 72, 6), "RESHAPE", shape=(1, 72, 6)),
    "transpose": moved("Transpose", (1, 6, 9, 8), "TRANSPOSE", perm=(0, 3, 1, 2)),
    "slice": moved("Slice", (1, 6, 8, 4), "SLICE", begin=(0, 2, 0, 1), end=(1, 8, 8, 5), strides=(1, 1, 1, 1)),
    "strided slice": moved(
        "Slice",
        (1, 5, 4, 6),
        "STRIDED_SLICE",
        xnnpack=False,
        begin=(0, 0, 1, 0),
        end=(1, 9, 8, 6),
        strides=(1, 2, 2, 1),
    ),
    "slice backwards": moved(
        "Slice",
        (1, 9, 4, 6),
        "STRIDED_SLICE",
        xnnpack=False,
        begin=(0, 8, 7, 0),
        end=(1, -1, -1, 6),
        strides=(1, -1, -2, 1),
    ),
    "reflect pad": moved(
        "ReflectPad", (1, 12, 12, 6), "MIRROR_PAD", xnnpack=False, pads=((0, 0), (1, 2), (0, 4), (0, 0))
    ),
    "gather": Case(
        kind="Gather",
        output=(1, 9, 8, 4),
        tied=True,
        codes=("GATHER",),
        xnnpack=False,
        attributes={"axis": 3},
        indices=(5, 0, 3, 3),
    ),
    "depth to space": Case(
        kind="DepthToSpace",
        inputs=((1, 4, 5, 12),),
        output=(1, 8, 10, 3),
        tied=True,
        codes=("DEPTH_TO_SPACE",),
        attributes={"block": 2, "mode": "DCR"},
    ),
    "space to depth": Case(
        kind="SpaceToDepth",
        inputs=((1, 4, 6, 3),),
        output=(1, 2, 3, 12),
        tied=True,
        codes=("SPACE_TO_DEPTH",),
        attributes={"block": 2},
    ),
    "tile": moved("Tile", (1, 18, 8, 18), "TILE", xnnpack=False, repeats=(1, 2, 1, 3)),
    "expand": Case(
        kind="Expand",
        inputs=((1, 1, 8, 1),),
        output=(1, 9, 8, 6),
        tied=True,
        codes=("BROADCAST_TO",),
        xnnpack=False,
        attributes={"shape": (1, 9, 8, 6)},
    ),
    "matmul": Case(
        kind="MatMul",
        inputs=((1, 3, 4, 5), (1, 3, 5, 6)),
        output=(1, 3, 4, 6),
        codes=("BATCH_MATMUL",),
        xnnpack=False,
    ),
    "gemm of more axes": Case(
        kind="Gemm",
        inputs=((2, 3, 20),),
        weights=((7, 20), (7,)),
        output=(2, 3, 7),
        codes=("FULLY_CONNECTED",),
        attributes={"activation": "relu"},
    ),
    "conv transpose same": conv(
        (1, 18, 16, 5), (5, 6, 4, 4), (1, 1, 1, 1), "TRANSPOSE_CONV", kind="ConvTranspose", strides=(2, 2)
    ),
    "conv transpose valid": conv(
        (1, 20, 18, 5),
        (5, 6, 3, 3),
        NO_PADS,
        "TRANSPOSE_CONV",
        kind="ConvTranspose",
        strides=(2, 2),
        activation="relu6",
    ),
    "conv transpose cut": conv(
        (1, 18, 16, 5), (5, 6, 3, 3), (1, 1, 0, 0), "TRANSPOSE_CONV", "SLICE", kind="ConvTranspose", strides=(2, 2)
    ),
    "softmax": Case(
        kind="Softmax",
        inputs=((1, 10),),
        output=(1, 10),
        codes=("SOFTMAX",),
        xnnpack=False,
        output_parameters=(1 / 256, -128),
        attributes={"axis": 1},
    ),
    "relu": Case(kind="Relu", codes=("RELU",), tied=True, xnnpack=False),
    "relu6": Case(kind="Relu6", codes=("RELU6",), tied=True, xnnpack=False),
    "clip": Case(kind="Clip", codes=("RELU6",), tied=True, xnnpack=False, attributes={"min": 0.0, "max": 6.0}),
    "sigmoid": Case(kind="Sigmoid", codes=("LOGISTIC",), output_parameters=(1 / 256, -128)),
    "tanh": Case(kind="Tanh", codes=("TANH",), output_parameters=(1 / 128, 0)),
    "hard swish": Case(kind="HardSwish", codes=("HARD_SWISH",), xnnpack=False),
}
X_PARAMETERS = per_tensor(0.0625, -3)


def graph_of(case: Case, *, quantized: bool) -> Graph:
    """A one-operator graph with random constants; names are x0, x1, ..., w0, w1, y."""
    rng = np.random.default_rng(3)
    dtype = "int8" if quantized else "float32"
    output_parameters = X_PARAMETERS if case.tied else per_tensor(*case.output_parameters)
    tensors = [
        Tensor(name=f"x{k}", shape=shape, dtype=dtype, quantization=X_PARAMETERS if quantized else None)
        for k, shape in enumerate(case.inputs)
    ]
    tensors += _constants(case, rng, quantized=quantized)
    names = tuple(tensor.name for tensor in tensors)
    output = Tensor(name="y", shape=case.output, dtype=dtype, quantization=output_parameters if quantized else None)
    operator = Operator(kind=case.kind, name="y", inputs=names, outputs=("y",), attributes=case.attributes)
    return Graph(
        name="main",
        layout="nhwc",
        operators=(operator,),
        tensors={tensor.name: tensor for tensor in (*tensors, output)},
        inputs=names[: len(case.inputs)],
        outputs=("y",),
    )


def _constants(case: Case, rng: np.random.Generator, *, quantized: bool) -> list[Tensor]:
    if case.indices:
        indices = np.array(case.indices, np.int32)
        return [Tensor(name="i", shape=indices.shape, dtype="int32", data=indices)]
    if not case.weights:
        return []
    weight_shape, bias_shape = case.weights
    if not quantized:
        arrays = [rng.normal(size=shape).astype(np.float32) for shape in case.weights]
        return [Tensor(name=f"w{k}", shape=array.shape, dtype="float32", data=array) for k, array in enumerate(arrays)]
    scale = rng.uniform(0.001, 0.02, weight_shape[0]).astype(np.float32)
    zero = np.zeros(scale.size, np.int64)
    weight = rng.integers(-127, 128, weight_shape).astype(np.int8)
    bias = rng.integers(-2000, 2000, bias_shape).astype(np.int32)
    bias_scale = X_PARAMETERS.scale * scale
    return [
        Tensor(
            name="w0",
            shape=weight.shape,
            dtype="int8",
            data=weight,
            quantization=Quantization(scale=scale, zero_point=zero, axis=0),
        ),
        Tensor(
            name="w1",
            shape=bias.shape,
            dtype="int32",
            data=bias,
            quantization=Quantization(scale=bias_scale, zero_point=zero, axis=0),
        ),
    ]


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


# tests/converters/test_math.py writes these and runs them.
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


def change_tensor(graph: Graph, name: str, **changes: Any) -> Graph:
    tensor = graph.tensors[name]
    fields = {key: getattr(tensor, key) for key in ("name", "shape", "dtype", "data", "quantization")}
    return graph.with_tensors([Tensor(**{**fields, **changes})])


def change_attribute(graph: Graph, **changes: Any) -> Graph:
    old = graph.operators[0]
    operator = Operator(
        kind=old.kind, name=old.name, inputs=old.inputs, outputs=old.outputs, attributes={**old.attributes, **changes}
    )
    return Graph(
        name=graph.name,
        layout=graph.layout,
        operators=(operator,),
        tensors=graph.tensors,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


SEVEN = Quantization(scale=np.full(5, 0.01, np.float32), zero_point=np.full(5, 7), axis=0)
OFF = Quantization(scale=np.full(5, 1.0, np.float32), zero_point=np.zeros(5), axis=0)
REFUSALS: dict[str, tuple[str, bool, Callable[[Graph], Graph], str]] = {
    "weight zero point": ("1x1", True, lambda g: change_tensor(g, "w0", quantization=SEVEN), "symmetric"),
    "bias scale": ("1x1", True, lambda g: change_tensor(g, "w1", quantization=OFF), "input scale"),
    "untied pool": ("average pool", True, lambda g: change_tensor(g, "y", quantization=per_tensor(0.1, 0)), "tie them"),
    "untied concat": ("concat", True, lambda g: change_tensor(g, "x1", quantization=per_tensor(0.1, 0)), "'x1'"),
    "softmax range": ("softmax", True, lambda g: change_tensor(g, "y", quantization=per_tensor(0.1, 0)), "fixed"),
    "softmax axis": ("softmax", False, lambda g: change_attribute(g, axis=0), "last one"),
    "resize": ("resize linear half_pixel", False, lambda g: change_attribute(g, mode="cubic"), "cubic"),
    "pads that do not count": ("average pool same", False, lambda g: change_attribute(g, pads=(0, 1, 2, 0)), "SAME"),
    "wrong output size": ("same", False, lambda g: change_attribute(g, pads=NO_PADS), "output size"),
    "pad value": ("pad", True, lambda g: change_attribute(g, value=100.0), "outside"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_no_kernel_computes_is_refused_with_the_operator_named(name: str) -> None:
    case, quantized, change, message = REFUSALS[name]
    with pytest.raises(UnsupportedError, match=message) as caught:
        tflite_bytes(change(graph_of(CASES[case], quantized=quantized)))
    assert "'y'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_operators_are_all_named_at_once_with_a_hint() -> None:
    x, y, z = (Tensor(name=name, shape=(1, 4), dtype="float32") for name in "xyz")
    operators = (
        Operator(kind="Einsum", name="first", inputs=("x",), outputs=("y",)),
        Operator(kind="BatchNorm", name="second", inputs=("y",), outputs=("z",), attributes={"epsilon": 1e-5}),
    )
    tensors = {"x": x, "y": y, "z": z}
    graph = Graph(name="main", layout="nhwc", operators=operators, tensors=tensors, inputs=("x",), outputs=("z",))
    with pytest.raises(UnsupportedError, match=r"Einsum \(first\), BatchNorm \(second\).*fold"):
        tflite_bytes(graph)


def test_an_nchw_graph_is_refused() -> None:
    graph = graph_of(CASES["relu"], quantized=False)
    flipped = Graph(
        name="g", layout="nchw", operators=graph.operators, tensors=graph.tensors, inputs=("x0",), outputs=("y",)
    )
    with pytest.raises(UnsupportedError, match="nchw"):
        tflite_bytes(flipped)


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
