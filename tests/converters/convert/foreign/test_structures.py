"""Structures that quantization tools write, one at a time: what is kept, derived, moved or refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.convert.foreign import read_foreign
from converters.convert.options import ConvertOptions
from edge.errors import EdgeError, UnsupportedError, UsageError

F32 = np.float32


def quantize(net: Any, x: str, name: str, scale: Any, zero_point: Any, **axis: int) -> str:
    """Add QuantizeLinear and DequantizeLinear; `name` is the integer tensor. Returns the real one."""
    parameters = [net.constant(f"{name}.scale", np.asarray(scale, F32)), net.constant(f"{name}.zero", zero_point)]
    net.node("QuantizeLinear", [x, *parameters], name, **axis)
    return net.node("DequantizeLinear", [name, *parameters], f"{name}/real", **axis)


def image(net: Any) -> str:
    return quantize(net, "image", "image/q", 0.04, np.int8(0))


def weight(net: Any, name: str, data: Any, scale: Any, zero_point: Any = None, **axis: int) -> str:
    """Add a weight of integers with its DequantizeLinear. Returns the real one."""
    scale = np.asarray(scale, F32)
    zero = np.zeros(scale.shape, data.dtype) if zero_point is None else zero_point
    names = [net.constant(f"{name}/q", data), net.constant(f"{name}.scale", scale), net.constant(f"{name}.zero", zero)]
    return net.node("DequantizeLinear", names, name, **axis)


def integers(net: Any, *shape: int, low: int = -127) -> Any:
    return net.random.integers(low, 128, shape).astype(np.int8)


def conv(net: Any, x: str, name: str, w: str, bias: str = "", **attributes: Any) -> str:
    return net.node("Conv", [x, w, bias] if bias else [x, w], name, **attributes)


def parameters(graph: Any, name: str) -> tuple[float, int]:
    quantization = graph.tensors[name].quantization
    return float(quantization.scale[0]), int(quantization.zero_point[0])


def test_a_weight_of_minus_128_is_kept_and_said(network: Any, convert: Any, tmp_path: Path) -> None:
    data = integers(network, 4, 3, 1, 1)
    data[:2, 0] = -128
    y = conv(network, image(network), "c", weight(network, "w", data, 0.01))
    quantize(network, y, "y", 0.1, np.int8(3))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert np.array_equal(sides.file.constant("w/q"), data)
    (note,) = sides.foreign.notes()
    assert note.startswith("2 weights are -128")
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_two_weights_of_minus_128_in_a_channel_make_a_uint8_file(network: Any, convert: Any, tmp_path: Path) -> None:
    """int8 kernels for aarch64 without dot product overflow on them."""
    data = integers(network, 4, 3, 1, 1)
    data[0, :2] = -128
    y = conv(network, image(network), "c", weight(network, "w", data, 0.01))
    quantize(network, y, "y", 0.1, np.int8(3))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert sides.file.tensors["w/q"].dtype == sides.file.tensors["y"].dtype == "uint8"
    assert np.array_equal(sides.file.constant("w/q"), data.astype(int) + 128)
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_two_weights_of_minus_128_beside_scales_per_channel_are_kept_with_a_warning(
    network: Any, tmp_path: Path
) -> None:
    data = integers(network, 4, 3, 1, 1)
    data[0, :2] = -128
    y = conv(network, image(network), "c", weight(network, "w", data, [0.01, 0.02, 0.03, 0.04], axis=0))
    quantize(network, y, "y", 0.1, np.int8(3))
    foreign = read_foreign(network.save(tmp_path / "m.onnx", "y/real"))
    assert np.array_equal(foreign.graph.constant("w/q"), data)
    assert "overflow in XNNPACK's kernels for aarch64" in foreign.notes()[1]


def test_a_weight_with_a_zero_point_that_fits_loses_it(network: Any, convert: Any, tmp_path: Path) -> None:
    data = network.random.integers(3, 100, (4, 3, 1, 1)).astype(np.uint8)
    y = conv(network, image(network), "c", weight(network, "w", data, 0.01, np.uint8(90)))
    quantize(network, y, "y", 0.1, np.uint8(128))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert np.array_equal(sides.file.constant("w/q"), data.astype(int) - 90)
    assert sides.file.tensors["w/q"].dtype == "int8" and sides.file.tensors["y"].dtype == "int8"
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_a_zero_point_per_channel_that_does_not_fit_is_refused(network: Any, tmp_path: Path) -> None:
    data, zero = integers(network, 4, 3, 1, 1), np.array([100, 0, 0, 0], np.int8)
    data[0] = -128
    y = conv(network, image(network), "c", weight(network, "w", data, [0.01] * 4, zero, axis=0))
    quantize(network, y, "y", 0.1, np.int8(0))
    with pytest.raises(UnsupportedError, match=r"Conv 'c': weight 'w/q' has a zero point.*symmetrically"):
        read_foreign(network.save(tmp_path / "m.onnx", "y/real"))


def test_float_weights_are_quantized_and_clipped_as_the_source_says(network: Any, convert: Any, tmp_path: Path) -> None:
    """Brevitas: QuantizeLinear, Clip to 4 bits, DequantizeLinear on the weight; scale as a vector of one."""
    real = network.random.normal(size=(4, 3, 1, 1)).astype(F32)
    names = [network.constant("s", np.array([0.2], F32)), network.constant("z", np.zeros(1, np.int8))]
    q = network.node("QuantizeLinear", [network.constant("w", real), *names], "w/q", axis=0)
    limits = [network.constant("low", np.int8(-7)), network.constant("high", np.int8(7))]
    clipped = network.node("Clip", [q, *limits], "w/clipped")
    w = network.node("DequantizeLinear", [clipped, *names], "w/real", axis=0)
    quantize(network, conv(network, image(network), "c", w), "y", 0.05, np.int8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    expected = np.clip(np.rint(real / F32(0.2)), -7, 7)
    assert np.array_equal(sides.file.constant("w/clipped"), expected)
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_batch_norm_behind_integer_weights_moves_into_their_scales(network: Any, convert: Any, tmp_path: Path) -> None:
    data = integers(network, 4, 3, 3, 3)
    y = conv(network, image(network), "c", weight(network, "w", data, 0.01), pads=[1, 1, 1, 1])
    gamma = np.array([0.5, -2.0, 1.0, 0.3], F32)
    rest = {"beta": [0.1, 0, -0.2, 0], "mean": [0.2, 0, 0, 0.1], "variance": [1.0, 2.0, 0.5, 1.0]}
    names = [network.constant("gamma", gamma), *(network.constant(key, np.array(v, F32)) for key, v in rest.items())]
    y = network.node("Relu", [network.node("BatchNormalization", [y, *names], "n")], "r")
    quantize(network, y, "y", 0.02, np.uint8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    sign = np.sign(gamma).reshape(-1, 1, 1, 1)
    assert np.array_equal(sides.file.constant("w/q/folded"), data * sign)
    factor = np.abs(gamma) / np.sqrt(np.array(rest["variance"]) + 1e-5)
    scales = sides.file.tensors["w/q/folded"].quantization.scale
    assert np.allclose(scales, 0.01 * factor, rtol=1e-6)
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_scales_per_channel_of_a_depthwise_input_move_into_the_weights(
    network: Any, convert: Any, tmp_path: Path
) -> None:
    """NNCF: the input of a depthwise convolution has a scale per channel."""
    first, second = integers(network, 4, 3, 1, 1), integers(network, 4, 1, 3, 3)
    y = conv(network, image(network), "c", weight(network, "w", first, [0.01] * 4, axis=0))
    scales = np.array([0.02, 0.01, 0.005, 0.0231], F32)
    y = quantize(network, network.node("Relu", [y], "r"), "x", scales, np.zeros(4, np.uint8), axis=1)
    y = conv(network, y, "d", weight(network, "v", second, [0.01] * 4, axis=0), group=4, pads=[1, 1, 1, 1])
    quantize(network, y, "y", 0.05, np.int8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert parameters(sides.file, "x") == (float(scales.max()), -128)
    assert np.array_equal(sides.file.constant("w/q/scaled"), first)
    assert np.array_equal(sides.file.constant("v/q/scaled"), second)
    assert "4 channels of 'x'" in sides.foreign.notes()[0]
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


def test_fake_quantize_is_a_quantize_and_a_dequantize(network: Any, convert: Any, tmp_path: Path) -> None:
    def fake(x: str, name: str, low: Any, high: Any, levels: int) -> str:
        limits = [network.constant(f"{name}.{k}", np.asarray(v, F32)) for k, v in (("low", low), ("high", high))]
        return network.node("FakeQuantize", [x, *limits, *limits], name, domain="org.openvinotoolkit", levels=levels)

    real = network.random.normal(size=(4, 3, 1, 1)).astype(F32)
    top = np.abs(real).max(axis=(1, 2, 3), keepdims=True)
    w = fake(network.constant("w", real), "w/fake", -top, top, 255)
    y = conv(network, fake("image", "image/fake", -5.12, 5.08, 256), "c", w)
    fake(y, "y", 0.0, 2.55, 256)
    source = network.save(tmp_path / "m.onnx", "y", domains=("org.openvinotoolkit",), shape=(1, 4, 32, 32))
    sides = convert(read_foreign(source), source, compare=False)
    weights = next(operator.inputs[1] for operator in sides.file.operators if operator.kind == "Conv")
    assert np.array_equal(sides.file.constant(weights), np.rint(real / (top / 127)))
    assert parameters(sides.file, sides.file.inputs[0]) == (pytest.approx(0.04), 0)
    assert parameters(sides.file, sides.file.outputs[0]) == (pytest.approx(0.01), -128)
    assert sides.differing == 0


def test_a_sigmoid_of_other_parameters_changes_them_behind_its_kernel(
    network: Any, convert: Any, tmp_path: Path
) -> None:
    y = network.node("Sigmoid", [image(network)], "s")
    quantize(network, y, "y", 0.0039, np.uint8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert [operator.kind for operator in sides.file.operators] == ["Sigmoid", "Quantize"]
    assert parameters(sides.file, "y/tied") == (1 / 256, -128)
    assert parameters(sides.file, "y") == (float(F32(0.0039)), -128)
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= 1


@pytest.mark.parametrize(("scale", "first"), [(0.041, "Quantize"), (0.02, "AveragePool"), (0.4, "AveragePool")])
def test_an_average_changes_parameters_where_that_rounds_less(
    network: Any, convert: Any, tmp_path: Path, scale: float, first: str
) -> None:
    """Before it only if the new range cuts nothing off and its grid is not much coarser."""
    y = network.node("AveragePool", [image(network)], "p", kernel_shape=[4, 4], strides=[4, 4])
    quantize(network, y, "y", scale, np.int8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    sides = convert(read_foreign(source), source)
    assert sides.file.operators[0].kind == first
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= (2 if scale < 0.04 else 1)


def test_a_bias_in_another_scale_is_rounded_and_the_change_said(network: Any, convert: Any, tmp_path: Path) -> None:
    w = weight(network, "w", integers(network, 4, 3, 1, 1), 0.01)
    bias = network.constant("b", np.array([0.10005, -0.2, 0.0, 0.3], F32))
    quantize(network, conv(network, image(network), "c", w, bias), "y", 0.1, np.int8(0))
    source = network.save(tmp_path / "m.onnx", "y/real")
    foreign = read_foreign(source)
    (rounding,) = foreign.roundings
    assert rounding.operator == "c" and rounding.change <= 0.5 * 0.04 * 0.01 + 1e-9
    assert "the largest change is" in foreign.notes()[0]
    assert convert(foreign, source).differing == 0


def test_a_bias_that_does_not_fit_is_refused(network: Any, tmp_path: Path) -> None:
    w = weight(network, "w", integers(network, 4, 3, 1, 1), [1e-12, 0.01, 0.01, 0.01], axis=0)
    bias = network.constant("b", np.ones(4, F32))
    quantize(network, conv(network, image(network), "c", w, bias), "y", 0.1, np.int8(0))
    with pytest.raises(UnsupportedError, match="Conv 'c': a bias of 1 does not fit int32"):
        read_foreign(network.save(tmp_path / "m.onnx", "y/real"))


@pytest.mark.parametrize("kind", ["dynamic", "float"])
def test_ranges_that_are_computed_while_running_are_refused_by_name(network: Any, tmp_path: Path, kind: str) -> None:
    if kind == "dynamic":
        network.nodes.append(dynamic(network))
        w = network.constant("w", integers(network, 4, 3, 1, 1))
        network.node("ConvInteger", ["q", w, "z"], "sum")
        network.node("Cast", ["sum"], "y", to=1)
        source, message = network.save(tmp_path / "m.onnx", "y"), r"DynamicQuantizeLinear.*ConvInteger.*quantize static"
        with pytest.raises(UnsupportedError, match=message):
            read_foreign(source)
        return
    network.conv("image", "y", 3, 4)
    assert read_foreign(network.save(tmp_path / "m.onnx", "y")).derived == ()


def dynamic(network: Any) -> Any:
    from onnx import helper

    return helper.make_node("DynamicQuantizeLinear", ["image"], ["q", "s", "z"], name="dynamic")


def test_calibration_needs_a_preprocessing_and_a_quantized_source(network: Any, tmp_path: Path) -> None:
    from converters.convert.calibration import open_calibration

    source = network.save(tmp_path / "m.onnx", network.conv("image", "y", 3, 4))
    images = open_calibration("generated:classify:train:2", None, "mse")
    with pytest.raises(UsageError, match="need a preprocessing"):
        read_foreign(source, ConvertOptions(calibration=images))
    with pytest.raises(EdgeError, match="-n counts calibration images"):
        open_calibration(None, 5, "mse")
