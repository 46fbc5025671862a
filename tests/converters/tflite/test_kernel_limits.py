"""Writer, simulation and LiteRT at the limits of the kernels: exact inside, refused by name outside."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from converters.onnx.file import onnx_bytes
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, per_tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.ops.kernel_limits import (
    LIMITS,
    SIX_OVERFLOWS,
    Limit,
    Scales,
    limit_fault,
    operator_floor,
    smallest_output_scale,
)
from edge.quantization.ptq.calibrate import calibrate
from tests.benchmarks.kernel_limits import JUST, MISSING, graph_at
from tests.support.one_operator import (
    Parameters,
    activation,
    conv_graph,
    graph_of,
    litert_outputs,
    random_input,
)

EDGES = [
    pytest.param(limit, kind, dtype, value, id=f"{kind} {dtype}, {limit.quantity}: {value:.4g}")
    for limit in LIMITS
    for kind in limit.kinds
    for dtype in limit.dtypes
    for value in (limit.low * JUST, limit.high / JUST)
    if (kind, dtype) not in MISSING and np.isfinite(value)
]
BEYOND = [
    pytest.param(limit, kind, value, id=f"{kind}, {limit.quantity}: {value:.4g}")
    for limit in LIMITS
    for kind in limit.kinds
    for value in (limit.low / 2, limit.high * JUST)
    if np.isfinite(value)
]


@pytest.mark.parametrize(("limit", "kind", "dtype", "value"), EDGES)
def test_simulation_equals_litert_just_inside_every_limit(limit: Limit, kind: str, dtype: str, value: float) -> None:
    random = np.random.default_rng(1)
    graph = graph_at(limit, kind, dtype, value, random)
    inputs = [random_input(random, graph.tensors[name]) for name in graph.inputs]
    np.testing.assert_array_equal(IntegerSimulation(graph).run(inputs)[0], litert_outputs(graph, inputs)[0][0])


@pytest.mark.parametrize(("limit", "kind", "value"), BEYOND)
def test_writer_and_simulation_refuse_outside_by_name(limit: Limit, kind: str, value: float) -> None:
    graph = graph_at(limit, kind, limit.dtypes[0], value, np.random.default_rng(1))
    for refusing in (tflite_bytes, IntegerSimulation):
        with pytest.raises(UnsupportedError, match=rf"{kind} '{kind.lower()}'.* outside .* range"):
            refusing(graph)


@pytest.mark.parametrize("ratio", [256, 300, 1000, 2.0**20, 1e27])
def test_a_product_from_256_on_is_refused_and_not_simulated(ratio: float) -> None:
    inputs = [activation(name, (1, 8), Parameters(scale=scale, zero_point=3)) for name, scale in (("a", 0.5), ("b", 1))]
    target = activation("y", (1, 8), Parameters(scale=0.5 / ratio, zero_point=-5))
    graph = graph_of("Mul", inputs, target, {"activation": "none"})
    with pytest.raises(UnsupportedError, match=r"Mul 'mul': the product of the input scales / output scale is"):
        IntegerSimulation(graph)


def six(kind: str, scale: float) -> Graph:
    """A RELU6, alone or fused, over int8 tensors of one scale."""
    window = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "activation": "relu6"}
    attributes = {"Relu6": {}, "MaxPool": window, "AveragePool": {**window, "count_include_pad": False}}
    source = activation("x", (1, 4, 4, 8), Parameters(scale=scale, zero_point=0))
    shape = (1, 4, 4, 8) if kind == "Relu6" else (1, 2, 2, 8)
    return graph_of(kind, (source,), activation("y", shape, Parameters(scale=scale, zero_point=0)), attributes[kind])


@pytest.mark.parametrize("kind", ["Relu6", "MaxPool", "AveragePool"])
def test_a_six_that_int32_cannot_count_is_refused_and_exact_before(kind: str) -> None:
    graph = six(kind, SIX_OVERFLOWS * JUST)
    inputs = [random_input(np.random.default_rng(1), graph.tensors["x"])]
    np.testing.assert_array_equal(IntegerSimulation(graph).run(inputs)[0], litert_outputs(graph, inputs)[0][0])
    for refusing in (tflite_bytes, IntegerSimulation):
        with pytest.raises(UnsupportedError, match=r"with a RELU6 it must be above .* quantize 'y' with a wider range"):
            refusing(six(kind, SIX_OVERFLOWS / 2))
    floor = operator_floor(graph.operators[0], graph.tensors)
    assert SIX_OVERFLOWS < floor < SIX_OVERFLOWS * 1.001


@pytest.mark.parametrize("ratio", [2.0**-12, 2.0**-18])
def test_hard_swish_far_below_its_output_is_refused_and_not_simulated(ratio: float) -> None:
    source = activation("x", (1, 8), Parameters(scale=0.01 * ratio, zero_point=3))
    graph = graph_of("HardSwish", (source,), activation("y", (1, 8), Parameters(scale=0.01, zero_point=-5)), {})
    with pytest.raises(UnsupportedError, match=r"HardSwish 'hardswish': input scale / output scale is"):
        IntegerSimulation(graph)


def test_one_channel_with_a_multiplier_of_256_is_named_before_a_file_is_written() -> None:
    """XNNPACK refuses the whole file for it."""
    source = activation("x", (1, 4, 4, 2), Parameters(scale=0.5, zero_point=0))
    target = activation("y", (1, 4, 4, 2), Parameters(scale=0.25, zero_point=0))
    weight, scales = np.ones((2, 2, 1, 1)), np.array([0.1, 128], np.float32)
    graph = conv_graph(source, target, weight, scales, np.zeros(2))
    with pytest.raises(UnsupportedError, match=r"Conv 'conv': .* is 256, .*XNNPACK refuses the whole file.*'y'"):
        tflite_bytes(graph)
    tensors = {**graph.tensors, "y": replace(target, quantization=per_tensor(np.float32(0.2501), 0))}
    assert tflite_bytes(replace(graph, tensors=tensors))


def test_a_quantized_file_whose_layer_lies_outside_names_it_with_its_scales() -> None:
    """It neither becomes a float layer nor a file that nothing loads."""
    source = activation("x", (1, 2, 4, 4), Parameters(scale=0.5, zero_point=0))
    target = activation("y", (1, 2, 4, 4), Parameters(scale=0.001, zero_point=0))
    graph = conv_graph(source, target, np.ones((2, 2, 1, 1)), np.ones(2, np.float32), np.zeros(2))
    read = to_nhwc(canonical(read_onnx(onnx_bytes(replace(graph, layout="nchw")))))
    for refusing in (tflite_bytes, IntegerSimulation):
        with pytest.raises(UnsupportedError, match=r"Conv 'conv': input scale \* weight scale / output scale is 500"):
            refusing(read)


def test_an_activation_with_several_scales_is_refused_by_name() -> None:
    graph = graph_of(
        "Relu",
        (activation("x", (1, 2), Parameters(scale=0.5, zero_point=0)),),
        activation("y", (1, 2), Parameters(scale=0.5, zero_point=0)),
        {},
    )
    several = replace(per_tensor(np.float32(1), 0), scale=np.ones(2, np.float32), zero_point=np.zeros(2, int), axis=1)
    tensors = {**graph.tensors, "x": replace(graph.tensors["x"], quantization=several)}
    with pytest.raises(UnsupportedError, match=r"Relu 'relu': activation 'x' has 2 scales; TFLite has one"):
        tflite_bytes(replace(graph, tensors=tensors))


@pytest.mark.parametrize(
    ("kind", "scales", "floor"),
    [
        ("Conv", Scales(inputs=(0.5,), weights=(0.1, 8.0)), 0.5 * 8 / 256),
        ("Mul", Scales(inputs=(0.5, 0.25)), 0.125 / 256),
        ("Add", Scales(inputs=(0.5, 2.0)), 2.0 / 256),
        ("LeakyRelu", Scales(inputs=(0.5,), slope=3.0), 1.5 / 128),
        ("Sigmoid", Scales(inputs=(0.5,)), 0.0),
    ],
)
def test_the_floor_of_an_output_scale_lies_just_inside_the_limit(kind: str, scales: Scales, floor: float) -> None:
    assert smallest_output_scale(kind, "int8", scales) == pytest.approx(floor, rel=1e-4)
    assert smallest_output_scale(kind, "int8", scales) > floor or floor == 0


def _dying() -> tuple[Graph, Iterator[np.ndarray]]:
    """A convolution of large values whose output moves by 1e-5 only."""
    random = np.random.default_rng(0)
    source = activation("x", (1, 8, 8, 3), Parameters(scale=1, zero_point=0))
    target = activation("y", (1, 8, 8, 4), Parameters(scale=1, zero_point=0))
    graph = conv_graph(source, target, np.ones((4, 3, 1, 1)), np.ones(4, np.float32), np.zeros(4))
    weight = random.normal(size=(4, 3, 1, 1)).astype(np.float32)
    weight -= weight.mean(axis=1, keepdims=True)
    data = {"weight": weight, "bias": np.zeros(4, np.float32)}
    tensors = {
        name: replace(tensor, dtype="float32", quantization=None, data=data.get(name))
        for name, tensor in graph.tensors.items()
    }
    grey = random.uniform(0, 255, (4, 8, 8, 1)).astype(np.float32)
    return replace(graph, tensors=tensors), iter([np.repeat(grey, 3, axis=3)])


def test_calibration_keeps_an_activation_that_hardly_moves_within_the_limits() -> None:
    graph, images = _dying()
    quantized = calibrate(graph, images)
    output = quantized.tensors["y"].quantization
    assert output is not None
    assert not limit_fault(quantized.operators[0], quantized.tensors)
    assert float(output.scale[0]) == pytest.approx(quantized_floor(quantized), rel=1e-4)
    x = random_input(np.random.default_rng(0), quantized.tensors["x"])
    np.testing.assert_array_equal(IntegerSimulation(quantized).run([x])[0], litert_outputs(quantized, [x])[0][0])


def quantized_floor(graph: Graph) -> float:
    """s_in * the largest s_w / 256 of the first layer."""
    x, weight = (graph.tensors[name].quantization for name in graph.operators[0].inputs[:2])
    assert x is not None
    assert weight is not None
    return float(x.scale[0]) * float(weight.scale.max()) / 256
