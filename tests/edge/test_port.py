"""Ports in messages, and the real numbers behind integers."""

import json

import numpy as np

from edge.port import Port, dequantize, port_of


def test_a_port_goes_through_a_message() -> None:
    port = Port(name="image", shape=(1, 2, 3), dtype="int8", scale=0.5, zero_point=-128)
    told = json.loads(json.dumps(port.plain))
    assert port_of(told) == port
    assert port_of({**told, "values": "random"}) == port  # what else a message says of it is not the port's


def test_dequantize_uses_zero_point_and_scale() -> None:
    assert dequantize(np.array([-128, 127], dtype=np.int8), 0.5, -128).tolist() == [0.0, 127.5]
    assert dequantize(np.array([1.5]), None, None).tolist() == [1.5]


def test_one_rounding_in_float32() -> None:
    scale, integers = np.float32(0.1), np.arange(-128, 128, dtype=np.int8)
    exact = (integers.astype(np.float64) - 7) * np.float64(scale)
    assert np.array_equal(dequantize(integers, float(scale), 7), exact.astype(np.float32))
