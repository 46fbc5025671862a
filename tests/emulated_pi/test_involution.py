"""Involutions on an emulated Raspberry Pi: aarch64's kernels give the simulation's integers too."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.execution.integer import IntegerSimulation
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

RUN = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
interpreter = Interpreter(sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
answers = []
for image in np.load(sys.argv[2]):
    interpreter.set_tensor(given["index"], image[None])
    interpreter.invoke()
    answers.append(interpreter.get_tensor(made["index"]))
np.save(sys.argv[3], np.concatenate(answers))
"""


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_rednet_has_the_simulations_integers_on_aarch64(activation: str, emulated_pi: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build("rednet", classes=16, width=0.25, resolution=33, activation=activation).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    x = torch.randn(4, 3, 33, 33)
    with torch.no_grad():
        model(x)
    graph = to_nhwc(calibrate(float_graph(model.eval(), x[:1]), [x.numpy()]))
    (tmp_path / "model.tflite").write_bytes(tflite_bytes(graph))
    images = np.random.default_rng(0).integers(-128, 128, (4, 33, 33, 3)).astype(np.int8)
    np.save(tmp_path / "images.npy", images)
    files = [str(tmp_path / name) for name in ("model.tflite", "images.npy", "answers.npy")]
    subprocess.run([emulated_pi, "-c", RUN, *files], capture_output=True, timeout=120, check=True)
    expected = np.concatenate([IntegerSimulation(graph).run([image[None]])[0] for image in images])
    answers = np.load(files[2])
    assert len(np.unique(expected)) > 10 and int((answers != expected).sum()) == 0
