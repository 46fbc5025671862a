"""Whatever lies in a file, reading it ends in a graph or in one line that names the file."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from edge.errors import EdgeError, ModelFileError
from edge.graph.importers.onnx.reader import read_onnx

TEXT = """<ir_version: 8, opset_import: ["": 17]> net (float[1,3,8,8] x) => (int8[1,4,8,8] y)
<float s = {0.5}, int8 z = {3}, float low = {0}, float high = {6}> {
  c = Conv<pads=[1,1,1,1], kernel_shape=[3,3]>(x, w, b)
  r = Clip(c, low, high)
  q = QuantizeLinear(r, s, z)
  d = DequantizeLinear(q, s, z)
  k = MaxPool<kernel_shape=[1,1]>(d)
  y = QuantizeLinear(k, s, z)
}"""


def proto() -> onnx.ModelProto:
    model = onnx.parser.parse_model(TEXT)
    for name, shape in (("w", (4, 3, 3, 3)), ("b", (4,))):
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones(shape, np.float32), name))
    return model


def assert_one_line(error: ModelFileError, where: str) -> None:
    assert str(error).startswith(where) and "\n" not in str(error)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_are_read_or_refused_in_one_line(seed: int) -> None:
    data = proto().SerializeToString()
    rng = np.random.default_rng(seed)
    refused = 0
    for _ in range(100):
        mutated = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 4)):
            mutated[place] = rng.integers(0, 256)
        try:
            read_onnx(bytes(mutated))
        except ModelFileError as error:
            refused += 1
            assert_one_line(error, "onnx: ")
    assert refused > 5


def test_every_truncation_is_read_or_refused_in_one_line() -> None:
    data = proto().SerializeToString()
    for length in range(0, len(data), 7):
        with pytest.raises(ModelFileError) as caught:
            read_onnx(data[:length])
        assert_one_line(caught.value, "onnx: ")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"none\.onnx: no such ONNX file"):
        read_onnx(tmp_path / "none.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 something else", bytes(1000), b"\xff" * 100])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"model\.onnx: is "):
        read_onnx(path)


def test_external_data_is_refused_with_the_other_files_name() -> None:
    model = proto()
    weight = next(entry for entry in model.graph.initializer if entry.name == "w")
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../weights.bin")
    with pytest.raises(ModelFileError, match=r"keeps 'w' in \.\./\.\./weights\.bin"):
        read_onnx(model.SerializeToString())


def test_a_constant_larger_than_the_file_is_refused_before_it_is_built() -> None:
    model = proto()
    weight = next(entry for entry in model.graph.initializer if entry.name == "w")
    weight.dims[0] = 2**31 - 1
    with pytest.raises(ModelFileError, match="does not fit the data it holds"):
        read_onnx(model.SerializeToString())


@pytest.mark.parametrize("version", [1, 6, 999])
def test_an_unsupported_operator_set_is_refused_with_the_range(version: int) -> None:
    model = proto()
    model.opset_import[0].version = version
    with pytest.raises(ModelFileError, match=f"uses operator set {version}; supported are 7 to"):
        read_onnx(model.SerializeToString())


def test_a_scale_that_is_no_scale_is_refused() -> None:
    model = proto()
    scale = next(entry for entry in model.graph.initializer if entry.name == "s")
    scale.CopyFrom(onnx.numpy_helper.from_array(np.array(-0.5, np.float32), "s"))
    with pytest.raises(ModelFileError, match="not a positive finite number"):
        read_onnx(model.SerializeToString())


def test_model_local_functions_are_refused_with_the_way_out() -> None:
    model = proto()
    body = [onnx.helper.make_node("Relu", ["a"], ["b"])]
    opsets = [onnx.helper.make_opsetid("", 17)]
    model.functions.append(onnx.helper.make_function("local", "f", ["a"], ["b"], body, opsets))
    with pytest.raises(ModelFileError, match=r"model-local functions \(f\); inline them with onnx\.inliner"):
        read_onnx(model.SerializeToString())


def test_a_name_that_is_not_text_is_refused() -> None:
    data = proto().SerializeToString().replace(b"MaxPool", b"\xff" * 7)
    with pytest.raises(ModelFileError, match=r"not UTF-8 text|is not an ONNX file"):
        read_onnx(data)


def test_an_empty_axis_is_refused() -> None:
    model = proto()
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 0
    with pytest.raises(ModelFileError, match="input 'x' has size 0 on axis 2"):
        read_onnx(model.SerializeToString())


@pytest.mark.unhurried
@pytest.mark.parametrize("seed", range(2))
def test_what_a_mutated_file_reads_as_is_written_or_refused(seed: int) -> None:
    data = proto().SerializeToString()
    rng = np.random.default_rng(100 + seed)
    written = 0
    for _ in range(100):
        mutated = bytearray(data)
        mutated[rng.integers(0, len(data))] = rng.integers(0, 256)
        try:
            graph = canonical(read_onnx(bytes(mutated)))
            to_nhwc(graph)
            onnx_bytes(graph)
            onnxruntime_form(graph)
            written += 1
        except EdgeError as error:
            assert "\n" not in str(error)
    assert written > 5
