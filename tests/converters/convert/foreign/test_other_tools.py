"""Files that NNCF, Brevitas and ModelOpt themselves write today; each runs in an environment of its own."""

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from converters.convert.calibration import calibration_batches, open_calibration
from converters.convert.foreign import read_foreign
from converters.convert.options import ConvertOptions
from edge.vision.preprocess import Preprocess

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
# The programs of the tools: sys.argv[1] a float ONNX file, sys.argv[2] what to write.
NNCF = """
import sys, numpy, onnx, nncf
images = numpy.random.default_rng(0).normal(size=(8, 1, 3, 32, 32)).astype("float32")
model = nncf.quantize(onnx.load(sys.argv[1]), nncf.Dataset([{"image": image} for image in images]), subset_size=8)
onnx.save(model, sys.argv[2])
"""
MODELOPT = """
import sys, numpy
from modelopt.onnx.quantization import quantize
images = numpy.random.default_rng(0).normal(size=(8, 3, 32, 32)).astype("float32")
quantize(onnx_path=sys.argv[1], quantize_mode="int8", calibration_data={"image": images}, calibration_method="max",
         output_path=sys.argv[2], calibration_eps=["cpu"], high_precision_dtype="fp32")
"""
BREVITAS = """
import sys, torch
import brevitas.nn as qnn
from brevitas.export import export_onnx_qcdq
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias, Uint8ActPerTensorFloat
torch.manual_seed(0)
weight = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": 4}
act = {"return_quant_tensor": True}
model = torch.nn.Sequential(
    qnn.QuantIdentity(act_quant=Int8ActPerTensorFloat, **act),
    qnn.QuantConv2d(3, 8, 3, 2, 1, bias=False, **weight), torch.nn.BatchNorm2d(8),
    qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, **act),
    qnn.QuantConv2d(8, 8, 3, 1, 1, groups=8, bias=False, **weight), torch.nn.BatchNorm2d(8),
    qnn.QuantReLU(act_quant=Uint8ActPerTensorFloat, **act),
    torch.nn.Flatten(),
    qnn.QuantLinear(2048, 10, bias=True, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias,
                    output_quant=Int8ActPerTensorFloat))
for _ in range(20):
    model(torch.randn(4, 3, 32, 32))
model.eval()
export_onnx_qcdq(model, torch.zeros(1, 3, 32, 32), export_path=sys.argv[2], opset_version=17, dynamo=False,
                 input_names=["image"], output_names=["scores"])
"""
# Largest distance in steps of the output's scale. Where the source computes in float (ModelOpt: every pool, resize and
# rectifier, the last layers), each of those activations is rounded here: its own integers are far coarser than a step.
QUANTA = {("modelopt", "segmenter"): 16}
QUANTA_ELSEWHERE = {"classifier": 3, "segmenter": 4}


NETWORKS = pytest.mark.parametrize("network", ["classifier", "segmenter"])
Check = Callable[[str, str, str, str], None]


@pytest.fixture
def check(floats: Mapping[str, Path], convert: Any, tmp_path: Path) -> Check:
    """A function of a tool's name, interpreter and program, and of a network: the tool's file keeps its parameters."""

    def check(tool: str, python: str, program: str, network: str) -> None:
        given, source = tmp_path / "float.onnx", tmp_path / f"{tool}.onnx"
        given.write_bytes(floats[network].read_bytes())  # a copy: a tool may write into what it reads
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        command = [python, "-c", program, str(given), str(source)]
        subprocess.run(command, check=True, capture_output=True, env=environment, cwd=tmp_path, timeout=300)
        images = open_calibration("generated:classify:train:8", None, "minmax")
        # the photographs that the missing ranges come from, so that these cut nothing off
        pixels = next(calibration_batches(images.split, PREPROCESS)).transpose(0, 2, 3, 1)[:3]
        sides = convert(
            read_foreign(source, ConvertOptions(calibration=images), preprocess=PREPROCESS), source, pixels=pixels
        )
        assert sides.differing == 0
        assert np.rint(sides.quanta.max()) <= QUANTA.get((tool, network), QUANTA_ELSEWHERE[network])
        assert _kept(onnx.load(source), sides.file) > 0

    return check


@NETWORKS
def test_nncfs_file_converts_with_its_parameters(check: Check, nncf_python: str, network: str) -> None:
    check("nncf", nncf_python, NNCF, network)


@NETWORKS
def test_modelopts_file_converts_with_its_parameters(check: Check, modelopt_python: str, network: str) -> None:
    check("modelopt", modelopt_python, MODELOPT, network)


def test_brevitas_file_converts_with_its_parameters(check: Check, brevitas_python: str) -> None:
    """Its program trains its own classifier."""
    check("brevitas", brevitas_python, BREVITAS, "classifier")


def _kept(model: Any, file: Any) -> int:
    """Check every activation of the source that the file has by name, but those whose scales moved; their number."""
    constants = {entry.name: numpy_helper.to_array(entry) for entry in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        if node.op_type == "Identity" and node.input[0] in constants:
            constants[node.output[0]] = constants[node.input[0]]
    count = 0
    for node in model.graph.node:
        if node.op_type != "QuantizeLinear" or node.output[0] not in file.tensors or node.input[0] in constants:
            continue
        scale, zero_point = constants[node.input[1]], constants[node.input[2]]
        if scale.size > 1:
            continue
        quantization = file.tensors[node.output[0]].quantization
        assert quantization.scale[0] == np.float32(scale.reshape(()))
        shift = 128 if zero_point.dtype == np.uint8 else 0
        assert quantization.zero_point[0] == int(zero_point.reshape(())) - shift
        count += 1
    return count
