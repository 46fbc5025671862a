"""Ports in messages, and the real numbers behind integers."""

import json

import numpy as np

from edge.port import DescribedPort, Port, dequantize, in_form_of, port_of


def test_a_port_goes_through_a_message() -> None:
    port = Port(name="image", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=-128)
    told = json.loads(json.dumps(port.plain))
    assert port_of(told) == port
    assert port_of({**told, "values": "random"}) == port  # what else a message says of it is not the port's


def test_dequantize_uses_zero_point_and_scale() -> None:
    assert dequantize(np.array([-128, 127], dtype=np.int8), 0.5, -128).tolist() == [0.0, 127.5]
    assert dequantize(np.array([1.5]), None, None).tolist() == [1.5]
    columns = np.array([[0.5, 2.0]], dtype=np.float32), np.array([[-128, 7]])
    assert dequantize(np.array([[-128, 8], [127, -128]], dtype=np.int8), *columns).tolist() == [[0, 2], [127.5, -270]]
    assert dequantize(np.array([2**31 - 1], dtype=np.int32), 1.0, -(2**31)).tolist() == [2.0**32]  # no integer wraps


def test_one_rounding_in_float32() -> None:
    scale, integers = np.float32(0.1), np.arange(-128, 128, dtype=np.int8)
    exact = (integers.astype(np.float64) - 7) * np.float64(scale)
    assert np.array_equal(dequantize(integers, float(scale), 7), exact.astype(np.float32))


def test_an_output_in_another_files_form_stands_for_the_same_real_values() -> None:
    def told(dtype: str, layout: str, scale: float | None, zero_point: int | None) -> DescribedPort:
        described = {"dtype": dtype, "layout": layout, "scale": scale, "zero_point": zero_point}
        return DescribedPort(name="o", shape=(), meaning="logits", scores="exclusive", **described)  # type: ignore[arg-type]

    before, after = told("uint8", "nchw", 0.5, 120), told("int8", "nhwc", 0.5, -8)
    values = np.array([[[[0, 255]], [[120, 7]]]], dtype=np.uint8)  # (1, 2, 1, 2)
    found = in_form_of(values, before, after)
    assert found.dtype == np.int8
    assert found.flags["C_CONTIGUOUS"]
    assert found.tolist() == [[[[-128, -8], [127, -121]]]]
    real = dequantize(values, 0.5, 120).transpose(0, 2, 3, 1)
    assert np.array_equal(dequantize(found, 0.5, -8), real)
    classes = np.array([[[3, 200]]], dtype=np.uint8)
    same = in_form_of(classes, told("uint8", "nhw", None, None), told("int32", "nhw", None, None))
    assert same.dtype == np.int32
    assert np.array_equal(same, classes)
