"""Written files keep every output under its name, whatever it is, and generated names meet none of the model's."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from converters.convert.bare_file import convert_file
from converters.convert.options import ConvertOptions
from converters.onnx.file import onnx_bytes
from converters.packaging.stored_weights import onnx_with_stored_weights
from converters.passes.canonical import canonical
from edge.cli.main import main
from edge.engines.litert import open_litert
from edge.engines.torch.engine import open_torch
from edge.errors import UnsupportedError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import open_onnx
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.calibrate import calibrate
from tests.support.onnx_models import CARD, Array, external, model, node, values, written

pytest.importorskip("ai_edge_litert")

MAP = (1, 4, 4, 3)
W = {"w": values(4, 3, 3, 3)}
X = values(1, 3, 6, 5)


def channels_last(array: Array) -> Array:
    return array.transpose(0, 2, 3, 1) if array.ndim == 4 else array


@pytest.mark.parametrize("size", [(), (2,), (1, 2, 3, 4), (0, 4)])
def test_a_constant_output_is_in_the_file(tmp_path: Path, size: tuple[int, ...]) -> None:
    constant = np.arange(np.prod(size), dtype=np.float32).reshape(size)
    source = written(model([node("Conv", "x w", "c")], {"c": MAP, "k": size}, W | {"k": constant}), tmp_path / "n.onnx")
    file = convert_file(source, tmp_path / "n.tflite")
    outputs = open_litert(file.path).run([channels_last(X)])
    assert file.graph.outputs == ("c", "k")
    assert np.array_equal(outputs[1], channels_last(constant))
    assert np.array_equal(open_torch(source).run([X])[1], constant)


def test_a_weight_that_is_an_output_too_is_the_weight(tmp_path: Path) -> None:
    source = written(model([node("Conv", "x w", "c")], {"c": MAP, "w": (4, 3, 3, 3)}, W), tmp_path / "n.onnx")
    file = convert_file(source, tmp_path / "n.tflite")
    assert np.array_equal(open_litert(file.path).run([channels_last(X)])[1], channels_last(W["w"]))


def test_two_names_of_one_tensor_are_two_outputs(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Identity", "c", "a"), node("Identity", "c", "b")]
    file = convert_file(written(model(nodes, {"a": MAP, "b": MAP}, W), tmp_path / "n.onnx"), tmp_path / "n.tflite")
    first, second = open_litert(file.path).run([channels_last(X)])
    assert file.graph.outputs == ("a", "b") and np.array_equal(first, second)


def quantized(graph: Graph) -> Graph:
    return calibrate(canonical(graph), [np.random.default_rng(1).normal(size=(8, 3, 6, 5)).astype(np.float32)])


@pytest.mark.parametrize(
    "output", ["x/scale", "x/zero_point", "x/real", "c/float", "c/linear", "w/scale", "constant_0.0"]
)
@pytest.mark.parametrize("integers", [False, True])
def test_a_name_like_a_generated_one_stays_the_models(output: str, *, integers: bool) -> None:
    nodes = [node("Conv", "x w", "c"), node("Clip", "c zero six", "r"), node("Conv", "r w2", output)]
    constants = W | {"w2": values(4, 4, 1, 1), "zero": np.float32(0), "six": np.float32(6)}
    graph = read_onnx(model(nodes, {output: MAP}, constants).SerializeToString())
    graph = quantized(graph) if integers else graph
    read = read_onnx(onnx_bytes(graph))
    run = IntegerSimulation if integers else FloatRun
    given = np.zeros((1, 3, 6, 5), np.int8) if integers else X
    assert read.outputs == (output,)
    assert np.array_equal(run(read).run([given])[0], run(graph).run([given])[0])


@pytest.mark.parametrize("keep_nchw_io", [False, True])
@pytest.mark.parametrize(
    "names", ["x/nhwc x/nchw", "x/transposed x/nhwc", "w/nhwc k/nhwc", "k/nhwc k/raised", "x/nhwc x/nhwc/stored"]
)
def test_a_name_like_one_of_the_change_of_layout_stays_the_models(
    tmp_path: Path, names: str, *, keep_nchw_io: bool
) -> None:
    first, second = names.split()
    nodes = [node("Conv", "x w", first), node("Add", f"{first} k", second)]
    proto = model(nodes, {first: MAP, second: MAP}, W | {"k": values(4, 1, 1)})
    source = written(proto, tmp_path / "n.onnx")
    file = convert_file(source, tmp_path / "n.tflite", ConvertOptions(keep_nchw_io=keep_nchw_io))
    found = open_litert(file.path).run([X if keep_nchw_io else channels_last(X)])
    for one, other in zip(found, open_torch(source).run([X]), strict=True):
        assert np.allclose(one, other if keep_nchw_io else channels_last(other), atol=1e-5)


@pytest.mark.parametrize("form", ["int8", "float16"])
def test_stored_weights_take_names_that_are_free(form: str) -> None:
    nodes = [node("Conv", "x w", f"w/{form}"), node("Relu", f"w/{form}", f"w/{form}/scale")]
    data = onnx_bytes(read_onnx(model(nodes, {f"w/{form}/scale": MAP}, W).SerializeToString()))
    smaller = onnx_with_stored_weights(data, form)  # type: ignore[arg-type]
    open_onnx(smaller)
    assert np.allclose(FloatRun(read_onnx(smaller)).run([X])[0], FloatRun(read_onnx(data)).run([X])[0], atol=0.2)


def test_weight_scales_on_the_wrong_axis_are_said(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "xq"),
        node("DequantizeLinear", "xq s z", "xd"),
        node("DequantizeLinear", "wq ws wz", "wd", axis=1),
        node("Conv", "xd wd", "c"),
        node("QuantizeLinear", "c s z", "cq"),
        node("DequantizeLinear", "cq s z", "y"),
    ]
    constants = {
        "s": np.float32(0.1),
        "z": np.int8(0),
        "wq": np.ones((4, 3, 3, 3), np.int8),
        "ws": np.full(3, 0.1, np.float32),
        "wz": np.zeros(3, np.int8),
    }
    source = written(model(nodes, {"y": MAP}, constants), tmp_path / "n.onnx")
    with pytest.raises(
        UnsupportedError, match=r"the scales of weight 'wq' run along its inputs \(axis 1\).*allow it with"
    ):
        convert_file(source, tmp_path / "n.tflite")


def test_a_model_that_only_rounds_is_held_against_the_integers(tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")]
    source = written(model(nodes, {"y": X.shape}, {"s": np.float32(0.1), "z": np.int8(3)}), tmp_path / "n.onnx")
    with pytest.raises(UnsupportedError, match="1 operator would stay in float: Dequantize"):
        convert_file(source, tmp_path / "n.tflite")
    file = convert_file(source, tmp_path / "n.tflite", ConvertOptions(allow_float=frozenset({"Dequantize"})))
    assert file.check is not None and file.check.reference == "integer simulation"


@pytest.mark.parametrize("nodes", [["Sqrt"], ["Relu", "Log"], ["Neg", "Log"]])
def test_nans_and_infinities_are_values_like_others(tmp_path: Path, nodes: list[str]) -> None:
    names = ["x", *(f"t{index}" for index in range(len(nodes) - 1)), "y"]
    chain = [node(kind, before, after) for kind, before, after in zip(nodes, names, names[1:], strict=False)]
    file = convert_file(written(model(chain, {"y": X.shape}, {}), tmp_path / "n.onnx"), tmp_path / "n.tflite")
    assert file.check is not None and [(o.differing, o.largest < 1e-3) for o in file.check.outputs] == [(0, True)]


def test_what_was_changed_while_reading_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By convert and by inspect, of a model of an older set with data beside it and open sizes."""
    proto = model([node("Conv", "x w", "y")], {"y": (-1, 4, -1, 3)}, W, shape=(-1, 3, -1, 5), opset=9)
    source = external(proto, tmp_path / "n.onnx")
    assert main(["convert", str(source), "-o", str(tmp_path / "n.tflite"), "--input-shape", "x=1x3x6x5"]) == 0
    assert "converted from operator set 9 to 13 by onnx" in capsys.readouterr().out
    assert main(["inspect", str(source), "--input-shape", "x=1x3x6x5"]) == 0
    assert "converted from operator set 9 to 13 by onnx" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "n.tflite"), "--input-shape", "x=1x3x6x5"]) == 2


def test_a_map_larger_than_its_image_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("Conv", "x w", "c"), node("Resize", "c - scales", "y", mode="linear")]
    constants = {"w": values(2, 3, 1, 1), "scales": np.array([1, 1, 2, 2], np.float32)}
    source = written(model(nodes, {"y": (1, 2, 16, 16)}, constants, shape=(1, 3, 8, 8)), tmp_path / "n.onnx")
    card = CARD.replace("classify", "segment").replace('["a", "b", "c"]', '["a", "b"]')
    (tmp_path / "card.toml").write_text(card)
    assert main(["convert", str(source), "--card", str(tmp_path / "card.toml"), "-o", str(tmp_path / "out")]) == 2
    assert "output 'y' has 16 rows for images of 8; a map is no larger than its image" in capsys.readouterr().err


def test_a_pool_of_plain_integers_is_right_or_refused(tmp_path: Path) -> None:
    pool = node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    proto = model([pool], {"y": (1, 3, 6, 5)}, {}, dtype=TensorProto.UINT8)
    graph = read_onnx(proto.SerializeToString())
    x = np.random.default_rng(0).integers(0, 256, (1, 3, 6, 5)).astype(np.uint8)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    assert np.array_equal(FloatRun(graph).run([x])[0], windows.max((-2, -1)))
