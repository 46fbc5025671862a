"""What a foreign file leaves unquantized: derived from its neighbours, from images, or refused by name."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.convert.calibration import open_calibration
from converters.convert.foreign import read_foreign
from converters.convert.options import ConvertOptions
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.errors import UnsupportedError
from edge.vision.preprocess import Preprocess

F32 = np.float32
PREPROCESS = Preprocess(
    colour_order="rgb",
    height=32,
    width=32,
    interpolation="bilinear",
    fit="stretch",
    crop_fraction=1.0,
    mean=(127.5, 127.5, 127.5),
    std=(127.5, 127.5, 127.5),
)
SPLIT = "generated:classify:train:4"


def quantize(net: Any, x: str, name: str, scale: float, zero_point: int) -> str:
    parameters = [net.constant(f"{name}.scale", F32(scale)), net.constant(f"{name}.zero", np.int8(zero_point))]
    net.node("QuantizeLinear", [x, *parameters], name)
    return net.node("DequantizeLinear", [name, *parameters], f"{name}/real")


def open_ended(net: Any, folder: Path) -> Path:
    """A residual block whose inner sum and last layer are left in float, as ModelOpt and NNCF leave them."""
    x = quantize(net, "image", "image/q", 0.008, 0)
    stem = quantize(net, net.conv(x, "stem", 3, 8, 3, strides=[2, 2]), "stem/q", 0.03, 5)
    branch = net.conv(stem, "branch", 8, 8)
    joined = quantize(net, net.node("Add", [stem, branch], "sum"), "sum/q", 0.05, 0)
    pooled = net.node("MaxPool", [joined], "pooled", kernel_shape=[16, 16])
    flat = net.node("Flatten", [pooled], "flat")
    weight = net.constant("fc.weight", net.random.normal(size=(10, 8)).astype(F32))
    net.node("Gemm", [flat, weight], "scores", transB=1)
    return net.save(folder / "open.onnx", "scores")


def test_activations_without_a_range_are_refused_with_both_ways_out(network: Any, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as raised:
        read_foreign(open_ended(network, tmp_path))
    message = str(raised.value)
    assert message.startswith("2 activations have no scale in the source")
    assert "'branch' (Conv branch), 'scores' (Gemm scores)" in message
    assert "--calibration SPLIT" in message and "--allow-float Conv,Add,Gemm" in message


def test_calibration_images_give_what_nothing_else_tells(network: Any, convert: Any, tmp_path: Path) -> None:
    source = open_ended(network, tmp_path)
    images = open_calibration(SPLIT, None, "minmax")
    sides = convert(
        read_foreign(source, ConvertOptions(calibration=images), preprocess=PREPROCESS), source, compare=False
    )
    how = {entry.tensor: entry.how for entry in sides.foreign.derived}
    assert how["branch"] == how["scores"] == "calibration"
    assert "'sum/q/real', which MaxPool passes on" in how["pooled"] and "Reshape passes on" in how["flat"]
    for name, scale, zero_point in (("image/q", 0.008, 0), ("stem/q", 0.03, 5), ("sum/q", 0.05, 0)):
        quantization = sides.file.tensors[name].quantization
        assert (quantization.scale[0], quantization.zero_point[0]) == (F32(scale), zero_point)
    assert sides.differing == 0
    assert {tensor.dtype for tensor in sides.file.tensors.values()} <= {"int8", "int32"}


def test_calibrated_ranges_are_those_of_the_clamped_float_network(network: Any, tmp_path: Path) -> None:
    """A source that clamps by a QuantizeLinear alone is calibrated behind that clamp."""
    x = quantize(network, "image", "image/q", 0.008, 0)
    low = quantize(network, network.node("Mul", [x, network.constant("ten", F32(10))], "wide"), "wide/q", 0.01, -128)
    network.node("Mul", [low, network.constant("two", F32(2))], "scores")
    source = network.save(tmp_path / "m.onnx", "scores")
    images = open_calibration(SPLIT, None, "minmax")
    derived = read_foreign(source, ConvertOptions(calibration=images), preprocess=PREPROCESS).derived
    found = next(entry.parameters for entry in derived if entry.tensor == "scores")
    assert found.range == pytest.approx((0.0, 2 * 2.55), rel=1e-3)


def test_an_operator_that_may_stay_in_float_needs_no_range(network: Any, tmp_path: Path) -> None:
    graph = read_foreign(
        open_ended(network, tmp_path), ConvertOptions(allow_float=frozenset({"branch", "Gemm", "Add"}))
    ).graph
    real = [operator.name for operator in graph.operators if graph.tensors[operator.outputs[0]].dtype == "float32"]
    assert "branch" in real and "scores" in real and "stem" not in real


def test_fixed_kernels_and_joined_ranges_need_no_images(network: Any, convert: Any, tmp_path: Path) -> None:
    x = quantize(network, "image", "image/q", 0.008, 0)
    left = quantize(network, network.conv(x, "left", 3, 4), "left/q", 0.02, -128)
    right = quantize(network, network.conv(x, "right", 3, 4), "right/q", 0.01, 0)
    joined = network.node("Concat", [left, right], "joined", axis=1)
    network.node("Sigmoid", [joined], "scores")
    source = network.save(tmp_path / "m.onnx", "scores")
    sides = convert(read_foreign(source), source)
    how = {entry.tensor: entry for entry in sides.foreign.derived}
    assert how["scores"].how == "fixed by the kernel of Sigmoid"
    low, high = how["joined"].parameters.range
    assert low == pytest.approx(-1.28, abs=0.02) and high == pytest.approx(5.1, abs=0.02)
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 2


def test_a_tensor_that_is_also_read_in_float_is_quantized_once(network: Any, convert: Any, tmp_path: Path) -> None:
    """ModelOpt quantizes what a convolution reads and leaves the skip beside it in float."""
    x = quantize(network, "image", "image/q", 0.008, 0)
    plain = network.conv(x, "stem", 3, 8)
    inner = quantize(network, plain, "stem/q", 0.03, 0)
    other = quantize(network, network.conv(inner, "branch", 8, 8), "branch/q", 0.03, 0)
    quantize(network, network.node("Add", [plain, other], "sum"), "sum/q", 0.05, 0)
    source = network.save(tmp_path / "m.onnx", "sum/q/real")
    sides = convert(read_foreign(source), source)
    add = next(operator for operator in sides.file.operators if operator.kind == "Add")
    assert set(add.inputs) == {"stem/q", "branch/q"}
    assert sides.foreign.derived == ()
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 2


def test_convert_states_what_was_derived(
    network: Any, tiny_card: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, card = open_ended(network, tmp_path), tmp_path / "card.toml"
    card.write_text(tiny_card.replace('"h"]', '"h", "i", "j"]'))
    given = ["convert", str(source), "--card", str(card), "-o", str(tmp_path / "a"), "--no-verify", "--json"]
    assert main(given) == 1
    assert "--calibration SPLIT" in capsys.readouterr().err
    assert main([*given, "--calibration", SPLIT, "-n", "2"]) == 0
    printed = json.loads(capsys.readouterr().out)
    stated = open_artifact(tmp_path / "a").manifest.quantization
    assert stated.calibration_images == 2 and stated.ranges == "mse"
    assert [entry["tensor"] for entry in printed["derived"]] == [entry.tensor for entry in stated.derived]
    assert "scores" in {entry.tensor for entry in stated.derived}
