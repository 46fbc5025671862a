"""A TFLite file alone: any inputs and outputs, proved before it is written, and nothing written when it is wrong."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from converters.convert.bare_file import convert_file
from converters.convert.file_check import FileCheck, OutputCheck, refuse_wrong
from converters.convert.options import ConvertOptions
from edge.artifact.manifest import open_artifact
from edge.cli.convert import parse_shape
from edge.cli.main import main
from edge.engines.engine import EngineInfo
from edge.engines.litert import open_litert
from edge.engines.output_difference import FLOAT_TOLERANCE
from edge.errors import EngineError, FileError, ModelFileError, UnsupportedError, UsageError
from edge.graph.importers.tflite.reader import read_tflite

XNNPACK = EngineInfo(
    engine="litert",
    version="2",
    kernels="xnnpack",
    delegate="XNNPACK",
    operators=1,
    delegated_operators=1,
    threads=1,
    machine="x86_64",
)


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def write_model(path: Path, inputs: str, outputs: str, body: str, constants: Mapping[str, np.ndarray]) -> Path:
    text = f'<ir_version: 8, opset_import: ["": 17]> net ({inputs}) => ({outputs}) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    path.write_bytes(proto.SerializeToString())
    return path


@pytest.fixture
def two_by_two(tmp_path: Path) -> Path:
    """Two images and a vector in, a map and scores out; both convolutions share one weight."""
    body = (
        "p = Conv(a, w) q = Conv(b, w) s = Add(p, q) y = Relu(s) g = GlobalAveragePool(s) "
        "f = Flatten(g) h = Concat<axis=1>(f, v) z = Gemm<transB=1>(h, m)"
    )
    return write_model(
        tmp_path / "two.onnx",
        "float[1,3,6,5] a, float[1,3,6,5] b, float[1,2] v",
        "float[1,4,4,3] y, float[1,7] z",
        body,
        {"w": values(4, 3, 3, 3), "m": values(7, 6)},
    )


@pytest.fixture
def open_sizes(tmp_path: Path) -> Path:
    """A model whose batch, height and width the file leaves open."""
    body = "c = Conv(x, w) g = GlobalAveragePool(c) f = Flatten(g) y = Gemm<transB=1>(f, m)"
    constants = {"w": values(4, 3, 3, 3), "m": values(7, 4)}
    return write_model(tmp_path / "open.onnx", "float[N,3,H,W] x", "float[N,7] y", body, constants)


def test_several_inputs_and_outputs_keep_their_names_and_order(two_by_two: Path, tmp_path: Path) -> None:
    file = convert_file(two_by_two, tmp_path / "two.tflite")
    assert file.graph.inputs == ("a", "b", "v") and file.graph.outputs == ("y", "z")
    assert file.operators["CONV_2D"] == 2 and file.operators["TRANSPOSE"] == 0 and not file.transposes
    assert file.check is not None and all(output.differing == 0 for output in file.check.outputs)
    assert (tmp_path / "two.tflite").stat().st_size == file.size_bytes


def test_nchw_boundaries_take_one_transpose_each(two_by_two: Path, tmp_path: Path) -> None:
    file = convert_file(two_by_two, tmp_path / "two.tflite", ConvertOptions(keep_nchw_io=True))
    shapes = [file.graph.tensors[name].shape for name in (*file.graph.inputs, *file.graph.outputs)]
    assert shapes == [(1, 3, 6, 5), (1, 3, 6, 5), (1, 2), (1, 4, 4, 3), (1, 7)]
    assert file.operators["TRANSPOSE"] == 3
    assert [(entry.tensor, entry.reason) for entry in file.transposes] == [
        ("a", "the input stays NCHW"),
        ("b", "the input stays NCHW"),
        ("y", "the output stays NCHW"),
    ]


def test_open_sizes_are_filled_on_request_alone(open_sizes: Path, tmp_path: Path) -> None:
    target = tmp_path / "open.tflite"
    with pytest.raises(ModelFileError, match="'x' has an unknown size on axis 2; say it with --input-shape"):
        convert_file(open_sizes, target)
    file = convert_file(open_sizes, target, ConvertOptions(shapes={"x": (1, 3, 8, 9)}))
    assert file.graph.tensors["x"].shape == (1, 8, 9, 3)
    with pytest.raises(UsageError, match="unknown input 'y'"):
        convert_file(open_sizes, target, ConvertOptions(shapes={"y": (1, 3, 8, 9)}))
    with pytest.raises(UsageError, match="'x' has 4 axes, --input-shape says 1x3x8"):
        convert_file(open_sizes, target, ConvertOptions(shapes={"x": (1, 3, 8)}))
    with pytest.raises(UsageError, match="'x' has size 3 on axis 1, --input-shape says 1x4x8x9"):
        convert_file(open_sizes, target, ConvertOptions(shapes={"x": (1, 4, 8, 9)}))


def test_a_batch_gives_every_sample_its_own_answer(open_sizes: Path, tmp_path: Path) -> None:
    shapes = {"x": (1, 3, 8, 9)}
    convert_file(open_sizes, tmp_path / "one.tflite", ConvertOptions(shapes=shapes))
    convert_file(open_sizes, tmp_path / "four.tflite", ConvertOptions(shapes=shapes, batch=4))
    x = values(4, 8, 9, 3)
    one, four = open_litert(tmp_path / "one.tflite"), open_litert(tmp_path / "four.tflite")
    each = np.concatenate([one.run([x[i : i + 1]])[0] for i in range(4)])
    np.testing.assert_allclose(four.run([x])[0], each, rtol=1e-5, atol=1e-6)


def test_a_batch_that_the_model_cannot_have_is_refused(tmp_path: Path) -> None:
    mixing = write_model(tmp_path / "m.onnx", "float[1,4] x", "float[1,4] y", "y = Softmax<axis=0>(x)", {})
    with pytest.raises(UsageError, match="a batch of 2: Softmax 'Softmax_0' works along axis 0"):
        convert_file(mixing, tmp_path / "m.tflite", ConvertOptions(batch=2))
    fixed = write_model(tmp_path / "f.onnx", "float[3,4] x", "float[3,4] y", "y = Relu(x)", {})
    with pytest.raises(UsageError, match="a batch of 2: input 'x' is 3x4; export the model with batch 1"):
        convert_file(fixed, tmp_path / "f.tflite", ConvertOptions(batch=2))
    assert convert_file(fixed, tmp_path / "f.tflite", ConvertOptions(batch=3)).graph.tensors["x"].shape == (3, 4)


def test_an_integer_file_carries_the_parameters_of_its_source(road: Path, tmp_path: Path) -> None:
    for source in (road / "int8" / "source.onnx", road / "run" / "qat.safetensors"):
        file = convert_file(source, tmp_path / "alone.tflite")
        assert file.precision == "int8" and file.parameters_kept > 20 and not file.parameters_changed
        assert file.check is not None and all(output.largest == 0 for output in file.check.outputs)
    packed = read_tflite(open_artifact(road / "int8").file("model.tflite"))
    alone = read_tflite(tmp_path / "alone.tflite")
    assert [operator.kind for operator in alone.operators] == [operator.kind for operator in packed.operators]


def test_what_cannot_be_converted_writes_nothing(tmp_path: Path) -> None:
    unknown = write_model(tmp_path / "u.onnx", "float[1,4] x", "float[1,4] y", "y = Hardmax(x)", {})
    with pytest.raises(UnsupportedError, match="Hardmax"):
        convert_file(unknown, tmp_path / "u.tflite")
    with pytest.raises(FileError, match="no such file"):
        convert_file(tmp_path / "none.onnx", tmp_path / "u.tflite")
    assert not (tmp_path / "u.tflite").exists()


def test_a_file_that_computes_otherwise_is_refused() -> None:
    wrong = OutputCheck(name="y", values=1000, differing=1, largest=1.0)
    check = FileCheck(info=XNNPACK, reference="integer simulation", samples=3, outputs=(wrong,))
    with pytest.raises(EngineError, match=r"m\.onnx: output 'y' .* 1 of 1000 values, by up to 1; nothing was written"):
        refuse_wrong(Path("m.onnx"), check, integer=True)
    refuse_wrong(Path("m.onnx"), check, integer=False)
    assert FLOAT_TOLERANCE <= 1e-3


def test_the_verb_prints_what_the_file_holds(
    two_by_two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "two.tflite"
    assert main(["convert", str(two_by_two), "-o", str(target), "--json", "--keep-nchw-io"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["file"] == str(target) and said["operators"]["CONV_2D"] == 2 and len(said["transposes"]) == 3
    assert [entry["name"] for entry in said["inputs"]] == ["a", "b", "v"]
    assert said["check"]["reference"] == "float32 execution"
    assert main(["convert", str(two_by_two), "-o", str(target)]) == 0
    assert "no TRANSPOSE" in capsys.readouterr().out


def test_options_that_do_not_hold_together_are_asked_wrongly(
    two_by_two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = str(tmp_path / "two.tflite")
    assert main(["convert", str(two_by_two), "-o", target, "--name", "me"]) == 2
    assert "--name: " in capsys.readouterr().err
    assert main(["convert", str(two_by_two), "-o", str(tmp_path / "folder"), "--batch", "2"]) == 2
    assert "an artifact runs one image at a time" in capsys.readouterr().err
    assert main(["convert", str(two_by_two), "-o", target, "--input-shape", "a=1xthreex6"]) == 2
    assert "expected NAME=SIZExSIZE" in capsys.readouterr().err
    assert main(["convert", str(two_by_two.with_name("none.onnx")), "-o", target]) == 2


def test_a_shape_may_hold_an_equals_sign_in_its_name() -> None:
    assert parse_shape("images=1x3x224x224") == ("images", (1, 3, 224, 224))
    assert parse_shape("a=b=1") == ("a=b", (1,))
