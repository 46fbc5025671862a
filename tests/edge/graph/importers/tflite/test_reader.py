"""Reading TFLite files: ours give back the graph, official ones are understood, damaged ones get one line."""

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.engines.engine import open_session
from edge.errors import EdgeError, ModelFileError
from edge.execution.integer import IntegerSimulation
from edge.graph.analyses.counts import count_graph
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.importers.tflite.extract import TfliteExtractor
from edge.graph.importers.tflite.parsing.schema import pack, schema
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.one_operator import Parameters, activation, graph_of, weight_and_bias

# The parameters column of the test data's README.
OFFICIAL_PARAMETERS = {
    "tf2_mobilenet_v2_1.0_224_ptq": 3_489_097,
    "mobilenet_v2_1.0_224_quant": 3_489_097,
    "mobilenet_v1_1.0_224_quant_joined": 4_222_057,
    "mobilenet_v1_0.75_192_quant": 2_578_121,
    "mobilenet_v1_0.5_160_quant": 1_326_633,
    "mobilenet_v1_0.25_224_1_default_1": 467_593,
    "mobilenet_v1_0.25_224_quant": 467_593,
    "mobilenet_v1_0.25_128_quant": 467_593,
    "vww_96_float": 210_850,
    "vww_96_int8": 210_850,
    "deeplabv3_mnv2_dm05_pascal_quant": 688_357,
    "deeplabv3_mnv2_pascal_quant": 2_097_013,
    "deeplab_mobilenet_edgetpu_slim_cityscapes_quant": 2_055_379,
}
# Published MAdds in millions: MobileNetV1's and V2's papers and TF-slim's table, with what the rounding allows.
OFFICIAL_MILLIONS = {
    "tf2_mobilenet_v2_1.0_224_ptq": (300, 1),
    "mobilenet_v1_1.0_224_quant_joined": (569, 0.5),
    "mobilenet_v1_0.25_224_quant": (41, 0.5),
    "mobilenet_v1_0.5_160_quant": (77, 0.5),
    "mobilenet_v1_0.25_128_quant": (14, 0.5),
}


def equal(a: Graph, b: Graph) -> bool:
    same = [
        (x.shape, x.dtype) == (y.shape, y.dtype)
        and (x.data is None) == (y.data is None)
        and (x.data is None or np.array_equal(x.data, y.data))
        and (x.quantization is None if y.quantization is None else y.quantization.same_as(x.quantization))
        for x, y in ((tensor, b.tensors[name]) for name, tensor in a.tensors.items())
    ]
    wiring = [
        (x.kind, x.name, x.inputs, x.outputs, dict(x.attributes))
        == (y.kind, y.name, y.inputs, y.outputs, dict(y.attributes))
        for x, y in zip(a.operators, b.operators, strict=True)
    ]
    return all(same) and all(wiring) and set(a.tensors) == set(b.tensors) and a.layout == b.layout


def test_a_written_graph_reads_back_identical(small_graph: Graph, small_file: bytes) -> None:
    again = read_tflite(small_file)
    assert equal(small_graph, again)
    assert (again.inputs, again.outputs) == (small_graph.inputs, small_graph.outputs)


def test_a_path_and_its_bytes_give_the_same_graph(small_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_file)
    graph = read_tflite(path)
    assert graph.name == "small"
    assert equal(graph, read_tflite(small_file))


def test_constants_are_read_only_views_of_the_file(small_file: bytes) -> None:
    data = read_tflite(small_file).constant("stem.weight")
    assert not data.flags.writeable
    assert not data.flags.owndata


def test_an_operator_without_a_kind_keeps_its_own_name(small_file: bytes) -> None:
    module = schema()
    model = module.ModelT.InitFromPackedBuf(small_file, 0)
    add = next(code for code in model.operatorCodes if code.builtinCode == module.BuiltinOperator.ADD)
    add.builtinCode = add.deprecatedBuiltinCode = module.BuiltinOperator.FLOOR_MOD
    graph = read_tflite(pack(model))
    assert graph.operators[3].kind == graph.operators[3].source == "FLOOR_MOD"
    assert count_graph(graph).unruled == ("FLOOR_MOD (sum)",)


def test_a_custom_operator_named_like_a_kind_does_not_pass_for_it(small_file: bytes) -> None:
    module = schema()
    model = module.ModelT.InitFromPackedBuf(small_file, 0)
    add = next(code for code in model.operatorCodes if code.builtinCode == module.BuiltinOperator.ADD)
    add.builtinCode = add.deprecatedBuiltinCode = module.BuiltinOperator.CUSTOM
    add.customCode = "Conv"
    assert read_tflite(pack(model)).operators[3].kind == "CUSTOM_Conv"


def test_repeated_and_missing_tensor_names_become_unique(small_file: bytes) -> None:
    model = schema().ModelT.InitFromPackedBuf(small_file, 0)
    tensors = model.subgraphs[0].tensors
    for tensor in tensors[1:4]:
        tensor.name = tensors[0].name
    tensors[5].name = None
    graph = read_tflite(pack(model))
    assert {"image", "image#1", "image#2", "image#3", "tensor_5"} <= set(graph.tensors)


def test_half_precision_weights_behind_dequantize_become_float_constants() -> None:
    weight = np.arange(6, dtype=np.float16).reshape(2, 3)
    tensors = [
        Tensor(name="x", shape=(1, 3), dtype="float32"),
        Tensor(name="half", shape=(2, 3), dtype="float16", data=weight),
        Tensor(name="weight", shape=(2, 3), dtype="float32", data=weight.astype(np.float32)),
        Tensor(name="y", shape=(1, 2), dtype="float32"),
    ]
    gemm = Operator(kind="Gemm", name="y", inputs=("x", "weight"), outputs=("y",), attributes={"activation": "none"})
    named = {tensor.name: tensor for tensor in tensors}
    whole = Graph(name="main", layout="nhwc", operators=(gemm,), tensors=named, inputs=("x",), outputs=("y",))
    module = schema()
    model = module.ModelT.InitFromPackedBuf(tflite_bytes(whole), 0)
    subgraph = model.subgraphs[0]
    computed = next(index for index, tensor in enumerate(subgraph.tensors) if tensor.name == b"weight")
    model.buffers.append(module.BufferT(data=weight.reshape(-1).view(np.uint8)))
    half = module.TensorT(
        shape=np.array([2, 3], np.int32), type=module.TensorType.FLOAT16, buffer=len(model.buffers) - 1, name="half"
    )
    subgraph.tensors.append(half)
    subgraph.tensors[computed].buffer = 0
    model.operatorCodes.append(
        module.OperatorCodeT(deprecatedBuiltinCode=6, builtinCode=module.BuiltinOperator.DEQUANTIZE, version=3)
    )
    subgraph.operators.insert(
        0,
        module.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1,
            inputs=np.array([len(subgraph.tensors) - 1], np.int32),
            outputs=np.array([computed], np.int32),
        ),
    )
    graph = read_tflite(pack(model))
    assert [operator.kind for operator in graph.operators] == ["Gemm"]
    np.testing.assert_array_equal(graph.constant("weight"), weight.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a TFLite file|bytes"),
        (b"hello", "not a TFLite file"),
        (b"\x00" * 64, "not a TFLite file"),
        (b"\x20\x00\x00\x00TFL3" + b"\xff" * 64, "damaged"),
    ],
)
def test_a_foreign_file_is_refused_with_its_path(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=message) as caught:
        read_tflite(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such TFLite file"):
        read_tflite(tmp_path / "none.tflite")


def _changed(data: bytes, change: Callable[[Any], None]) -> Graph:
    """The file read after a change of its first subgraph."""
    model = schema().ModelT.InitFromPackedBuf(data, 0)
    change(model.subgraphs[0])
    return read_tflite(pack(model))


def _weight(subgraph: Any) -> Any:
    """The second input of the first operator."""
    return subgraph.tensors[subgraph.operators[0].inputs[1]]


@pytest.mark.parametrize(("name", "bits"), [("INT4", 4), ("STRING", 0), ("COMPLEX64", 64), ("BFLOAT16", 16)])
def test_types_without_a_numpy_equivalent_are_named_and_the_rest_is_read(
    small_file: bytes, name: str, bits: int
) -> None:
    plain = read_tflite(small_file)

    def change(subgraph: Any) -> None:
        _weight(subgraph).type = getattr(schema().TensorType, name)

    graph = _changed(small_file, change)
    assert [note.partition(" (")[0] for note in graph.notes] == [f"not supported here: tensors of type {name}"]
    assert graph.operators[0].kind == plain.operators[0].source and "" in graph.operators[0].inputs
    assert [operator.kind for operator in graph.operators[1:]] == [operator.kind for operator in plain.operators[1:]]
    assert count_graph(graph).unruled[0].startswith(plain.operators[0].source)
    assert Tensor(name="x", shape=(3, 3), dtype=name.lower()).size_bytes == -(-9 * bits // 8)


@pytest.mark.parametrize("what", ["state tensors", "sparse weights", "tensors that nothing makes", "Vela scratch"])
def test_sound_files_with_more_than_is_read_are_not_called_damaged(small_file: bytes, what: str) -> None:
    def change(subgraph: Any) -> None:
        module, weight = schema(), _weight(subgraph)
        if what == "sparse weights":
            weight.sparsity = module.SparsityParametersT()
            return
        weight.buffer, weight.isVariable = 0, what == "state tensors"

    model = schema().ModelT.InitFromPackedBuf(small_file, 0)
    change(model.subgraphs[0])
    if what == "Vela scratch":
        code = model.operatorCodes[model.subgraphs[0].operators[0].opcodeIndex]
        code.builtinCode, code.deprecatedBuiltinCode, code.customCode = schema().BuiltinOperator.CUSTOM, 32, "ethos-u"
    graph = read_tflite(pack(model))
    assert graph.notes[0].startswith(f"not supported here: {what} (")
    with pytest.raises(EdgeError, match=graph.operators[0].kind):
        IntegerSimulation(graph)


def test_weights_behind_the_flatbuffer_are_read(small_file: bytes) -> None:
    model = schema().ModelT.InitFromPackedBuf(small_file, 0)
    weight = _weight(model.subgraphs[0])
    values = bytes(model.buffers[weight.buffer].data)
    model.buffers[weight.buffer].data = None
    model.buffers[weight.buffer].offset, model.buffers[weight.buffer].size = 2, len(values)  # kept, not left away
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    data = bytearray(builder.Output())
    data += bytes(-len(data) % 16)
    buffer = schema().Model.GetRootAs(bytes(data), 0).Buffers(weight.buffer)
    at = buffer._tab.Pos + buffer._tab.Offset(6)
    assert data[at : at + 8] == (2).to_bytes(8, "little")
    data[at : at + 8] = len(data).to_bytes(8, "little")
    graph, plain = read_tflite(bytes(data) + values), read_tflite(small_file)
    name = plain.operators[0].inputs[1]
    np.testing.assert_array_equal(graph.constant(name), plain.constant(name))
    with pytest.raises(ModelFileError, match="ends behind the file"):
        read_tflite(bytes(data) + values[:-1])


def test_a_fully_connected_operator_flattens_its_input_as_the_kernel_does(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    flat = activation("flat", (2, 12), Parameters(scale=0.1, zero_point=3))
    y = activation("y", (2, 5), Parameters(scale=0.9, zero_point=-7))
    scale = np.full(5, 0.02, np.float32)
    weight, bias = weight_and_bias(
        random.integers(-127, 128, (5, 12)), scale, random.integers(-9, 9, 5), np.float32(0.1)
    )
    model = schema().ModelT.InitFromPackedBuf(
        tflite_bytes(graph_of("Gemm", [flat], y, {"activation": "relu"}, (weight, bias))), 0
    )
    source = model.subgraphs[0].tensors[model.subgraphs[0].inputs[0]]
    source.shape = [1, 2, 3, 4]
    path = tmp_path / "flattens.tflite"
    path.write_bytes(pack(model))
    graph = read_tflite(path)
    assert [operator.kind for operator in graph.operators] == ["Reshape", "Gemm"]
    cost = count_graph(graph)
    assert (cost.multiply_adds, cost.parameters, cost.unruled) == (2 * 12 * 5, 65, ())
    x = random.integers(-128, 128, (1, 2, 3, 4)).astype(np.int8)
    for kernels in ("xnnpack", "builtin"):
        np.testing.assert_array_equal(
            IntegerSimulation(graph).run([x])[0], open_session("litert", path, kernels=kernels).run([x])[0]
        )


@pytest.mark.unhurried
def test_mutated_files_are_read_or_refused_in_one_line(small_file: bytes) -> None:
    rng = random.Random(0)
    outcomes: Counter[str] = Counter()
    for _ in range(400):
        data = _mutated(small_file, rng)
        try:
            count_graph(read_tflite(data))
            extractor = TfliteExtractor(data)
            for index in range(len(extractor.file.operators)):
                extractor.extract(index)
            outcomes["read"] += 1
        except EdgeError as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
    assert min(outcomes["read"], outcomes["refused"]) > 20


def _mutated(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    if rng.random() < 0.2:
        return bytes(damaged[: rng.randrange(len(damaged))])
    words = (b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00", rng.randbytes(4))
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        position = rng.randrange(len(damaged) - 4)
        if rng.random() < 0.5:
            damaged[position] ^= 1 << rng.randrange(8)
        else:
            damaged[position : position + 4] = rng.choice(words)
    return bytes(damaged)


def test_tables_that_claim_more_than_the_file_holds_are_refused(small_file: bytes) -> None:
    model = schema().ModelT.InitFromPackedBuf(small_file, 0)
    model.subgraphs[0].operators = model.subgraphs[0].operators[3:4] * 50
    data = pack(model)
    vector = int.from_bytes(np.array(50, "<u4").tobytes(), "little").to_bytes(4, "little")
    assert vector in data
    with pytest.raises(ModelFileError):
        read_tflite(data.replace(vector, (2**30).to_bytes(4, "little")))


@pytest.mark.data
@pytest.mark.parametrize("name", OFFICIAL_PARAMETERS)
def test_official_files_are_read_and_counted(name: str, test_data: Path) -> None:
    graph = read_tflite(test_data / "models" / f"{name}.tflite")
    cost = count_graph(graph)
    assert cost.parameters == OFFICIAL_PARAMETERS[name]
    assert cost.unruled == ()
    if name in OFFICIAL_MILLIONS:
        millions, tolerance = OFFICIAL_MILLIONS[name]
        assert abs(cost.multiply_adds / 1e6 - millions) <= tolerance


@pytest.mark.data
@pytest.mark.parametrize("name", ["vww_96_int8", "vww_96_float", "mobilenet_v1_0.25_128_quant"])
def test_an_official_file_written_again_computes_the_same(name: str, test_data: Path, tmp_path: Path) -> None:
    path = test_data / "models" / f"{name}.tflite"
    graph = read_tflite(path)
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(tflite_bytes(graph))
    assert equal(graph, read_tflite(copy))
    x = graph.tensors[graph.inputs[0]]
    values = np.random.default_rng(0).integers(0, 128, x.shape).astype(x.dtype)
    results = [open_session("litert", each).run([values])[0] for each in (path, copy)]
    np.testing.assert_array_equal(*results)
