"""Files of onnxruntime.quantization keep every scale, zero point and weight in the TFLite file."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from converters.convert.foreign import read_foreign
from edge.graph.graph import Graph

pytestmark = pytest.mark.unhurried

UINT8 = {"activation_type": QuantType.QUInt8}
QDQ = {"quant_format": QuantFormat.QDQ, **UINT8}
QOPERATOR = {"quant_format": QuantFormat.QOperator, **UINT8}
INT8 = {"activation_type": QuantType.QInt8}
# what ONNX Runtime is asked for -> the dtype of the TFLite file
WAYS: Mapping[str, tuple[dict[str, Any], str]] = {
    "QDQ uint8 x int8": (QDQ, "int8"),
    "QDQ uint8 x int8 per channel": ({**QDQ, "per_channel": True}, "int8"),
    "QDQ int8 x int8": ({**QDQ, **INT8}, "int8"),
    "QDQ int8 x int8 per channel": ({**QDQ, **INT8, "per_channel": True}, "int8"),
    "QDQ uint8 x uint8": ({**QDQ, "weight_type": QuantType.QUInt8}, "uint8"),
    "QDQ reduced range": ({**QDQ, "reduce_range": True}, "int8"),
    "QDQ percentile": ({**QDQ, "calibrate_method": CalibrationMethod.Percentile}, "int8"),
    "QDQ entropy": ({**QDQ, "calibrate_method": CalibrationMethod.Entropy}, "int8"),
    "QDQ symmetric int8": ({**QDQ, **INT8, "extra_options": {"ActivationSymmetric": True}}, "int8"),
    "QDQ float weights": ({**QDQ, "extra_options": {"AddQDQPairToWeight": True}}, "int8"),
    "QDQ float biases": ({**QDQ, "extra_options": {"QuantizeBias": False}}, "int8"),
    "QDQ dedicated pairs": ({**QDQ, "extra_options": {"DedicatedQDQPair": True}}, "int8"),
    "QDQ asymmetric int8 weights": ({**QDQ, "extra_options": {"WeightSymmetric": False}}, "uint8"),
    "QOperator uint8 x int8": (QOPERATOR, "int8"),
    "QOperator uint8 x int8 per channel": ({**QOPERATOR, "per_channel": True}, "int8"),
    "QOperator int8 x int8": ({**QOPERATOR, **INT8}, "int8"),
    "QOperator uint8 x uint8": ({**QOPERATOR, "weight_type": QuantType.QUInt8}, "uint8"),
}
# network -> the largest distance from ONNX Runtime in steps of the output: averages, resizes and fixed parameters round
QUANTA = {"classifier": 1, "segmenter": 4}


class Noise(CalibrationDataReader):
    """Eight random images."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self._images: Iterator[Any] = iter([random.normal(size=(1, 3, 32, 32)).astype(np.float32) for _ in range(8)])

    def get_next(self) -> dict[str, Any] | None:
        """The next image."""
        image = next(self._images, None)
        return None if image is None else {"image": image}


@pytest.fixture(scope="module")
def quantized(floats: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Mapping[tuple[str, str], Path]:
    """Every way's file of both networks."""
    logging.getLogger().setLevel(logging.ERROR)
    folder = tmp_path_factory.mktemp("onnxruntime")
    files = {}
    for network, path in floats.items():
        prepared = folder / f"{network}.onnx"
        quant_pre_process(str(path), str(prepared))
        for way, (options, _) in WAYS.items():
            files[way, network] = folder / f"{network} {way}.onnx"
            quantize_static(str(prepared), str(files[way, network]), Noise(), **options)
    return files


def stated(model: Any) -> tuple[dict[str, tuple[Any, Any]], dict[str, Any]]:
    """Per quantized activation its scale and zero point, and per weight q - zero_point, read from the file's nodes."""
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    integers = dict(constants)
    activations, weights = {}, {}
    positions = {"QuantizeLinear": (1, 0), "QLinearConv": (6, 3), "QLinearAdd": (6, -1), "QLinearConcat": (0, -1)}
    positions |= {"QLinearMul": (6, -1), "QLinearAveragePool": (3, -1), "QLinearGlobalAveragePool": (3, -1)}
    positions |= {"QGemm": (7, 3), "DequantizeLinear": (-1, 0)}
    for node in model.graph.node:
        if node.op_type not in positions:
            continue
        output, weight = positions[node.op_type]
        if node.op_type == "QuantizeLinear" and node.input[0] in constants:
            scale, zero = constants[node.input[1]], constants[node.input[2]]
            integers[node.output[0]] = np.clip(np.rint(constants[node.input[0]] / scale) + zero, -128, 127)
            continue
        if output >= 0:
            activations[node.output[0]] = (constants[node.input[output]], constants[node.input[output + 1]])
        if weight >= 0 and node.input[weight] in integers and integers[node.input[weight]].ndim in (2, 4):
            data, zero = integers[node.input[weight]].astype(int), constants[node.input[weight + 2]].astype(int)
            form = (-1,) + (1,) * (data.ndim - 1) if zero.size > 1 else ()
            weights[node.input[weight]] = (data - zero.reshape(form), constants[node.input[weight + 1]])
    return activations, weights


def in_file(graph: Graph, name: str) -> tuple[float, int]:
    """Scale and zero point of a tensor of the file, the zero point as uint8 has it."""
    tensor = graph.tensors[name]
    assert tensor.quantization is not None
    shift = 128 if tensor.dtype == "int8" else 0
    return tensor.quantization.scale[0], int(tensor.quantization.zero_point[0]) + shift


@pytest.mark.parametrize("network", ["classifier", "segmenter"])
@pytest.mark.parametrize("way", WAYS)
def test_the_file_has_the_source_s_parameters_and_integers(
    quantized: Mapping[tuple[str, str], Path], convert: Any, way: str, network: str
) -> None:
    source = quantized[way, network]
    sides = convert(read_foreign(source), source)
    activations, weights = stated(onnx.load(source))
    kept = [name for name in activations if name in sides.file.tensors]
    given = {
        name: (np.float32(scale), int(zero_point) + (128 if zero_point.dtype == np.int8 else 0))
        for name, (scale, zero_point) in activations.items()
    }
    for name in kept:
        assert in_file(sides.file, name) == given[name], name
    # a twin of the same parameters vanishes: a second pair, a fused rectifier, a reshape
    assert {given[name] for name in activations} == {given[name] for name in kept}
    assert weights
    for name, (integers, scale) in weights.items():
        tensor = sides.file.tensors[name]
        assert tensor.data is not None and tensor.quantization is not None
        centred = tensor.data.astype(int) - int(tensor.quantization.zero_point[0])
        assert np.array_equal(centred, integers), name
        assert np.array_equal(tensor.quantization.scale, scale.astype(np.float32).reshape(-1)), name
    assert sides.file.tensors[sides.file.inputs[0]].dtype == WAYS[way][1]
    assert sides.differing == 0
    assert np.rint(sides.quanta.max()) <= QUANTA[network]


def test_symmetric_uint8_weights_become_int8(floats: Mapping[str, Path], convert: Any, tmp_path: Path) -> None:
    options = {"weight_type": QuantType.QUInt8, "extra_options": {"WeightSymmetric": True}}
    prepared, source = tmp_path / "prepared.onnx", tmp_path / "quantized.onnx"
    quant_pre_process(str(floats["classifier"]), str(prepared))
    quantize_static(str(prepared), str(source), Noise(), **QDQ, **options)
    sides = convert(read_foreign(source), source)
    weights = [operator.inputs[1] for operator in sides.file.operators if operator.kind in ("Conv", "Gemm")]
    assert {sides.file.tensors[name].dtype for name in weights} == {"int8"}
    assert sides.differing == 0 and np.rint(sides.quanta.max()) <= QUANTA["classifier"]
