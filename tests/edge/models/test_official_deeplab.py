"""Somebody else's DeepLabv3 in our network: Google's Pascal VOC file, its weights dequantized, on photographs.

`deeplabv3_mnv2_pascal_quant` was trained, quantized and written elsewhere. Where our network with its weights gives the
logits of the file's own graph executed in float, the strides, dilations, paddings, rectifiers and the order of the
joined paths are those of the network that the paper's figures belong to.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.litert import open_litert
from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.deeplab import deeplab_mobilenet_v2
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from tests.support.official_deeplab import (
    CLASSES,
    NAME,
    SIDE,
    float_graph_to_logits,
    full_size_classes,
    logits_of,
    photograph,
    with_weights_of,
)

pytestmark = pytest.mark.data

PHOTOGRAPHS = (0, 90, 170)


def test_every_weight_of_the_file_has_its_place(test_data: Path) -> None:
    """The same number of convolutions, of the same shapes, strides, dilations, paddings and rectifiers."""
    theirs = float_graph_to_logits(test_data / "models" / f"{NAME}.tflite")
    ours = float_graph(deeplab_mobilenet_v2(classes=CLASSES).eval(), torch.zeros(1, 3, SIDE, SIDE))

    def convolutions(graph: Graph) -> list[tuple[object, ...]]:
        return sorted(  # the file computes the pooled path after the 1x1, we before it
            (str(graph.tensors[operator.inputs[1]].shape), str(dict(sorted(operator.attributes.items()))))
            for operator in graph.operators
            if operator.kind == "Conv"
        )

    assert convolutions(ours) == convolutions(theirs)


@pytest.mark.unhurried
@pytest.mark.parametrize("index", PHOTOGRAPHS)
def test_the_logits_are_those_of_the_files_own_graph_in_float(test_data: Path, index: int) -> None:
    graph = float_graph_to_logits(test_data / "models" / f"{NAME}.tflite")
    pixels = photograph(test_data, index)
    (expected,) = FloatRun(graph).run([(pixels.astype(np.float32) - 128) / 128])
    found = logits_of(with_weights_of(graph), pixels).permute(0, 2, 3, 1).numpy()
    assert found.shape == expected.shape == (1, 33, 33, CLASSES)
    assert np.abs(found - expected).max() <= 1e-3 * np.ptp(expected)


@pytest.mark.unhurried
def test_the_class_map_is_nearly_that_of_the_quantized_file(test_data: Path) -> None:
    """Logits enlarged as the file enlarges them (corners on corners); 8 bits alone stand between the two."""
    path = test_data / "models" / f"{NAME}.tflite"
    model, session = with_weights_of(float_graph_to_logits(path)), open_litert(path, kernels="xnnpack")
    for index in PHOTOGRAPHS:
        pixels = photograph(test_data, index)
        (theirs,) = session.run([pixels])
        assert (full_size_classes(logits_of(model, pixels)) == theirs).mean() > 0.99


@pytest.mark.unhurried
def test_its_integers_are_simulated_exactly_at_full_size(test_data: Path, tmp_path: Path) -> None:
    """Post-training, 513x513, by our writer: one partition of XNNPACK, no SPACE_TO_BATCH, 0 of 45,738 logits differ."""
    model = with_weights_of(float_graph_to_logits(test_data / "models" / f"{NAME}.tflite"))
    given, seen = (photograph(test_data, index).astype(np.float32) / 128 - 1 for index in (0, 90))
    calibration = [np.ascontiguousarray(given.transpose(0, 3, 1, 2))]
    graph = calibrate(float_graph(model, torch.zeros(1, 3, SIDE, SIDE)), calibration)
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(graph)))
    file = read_tflite(path)
    assert {operator.source for operator in file.operators} == {
        *("ADD", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "MEAN", "RESIZE_BILINEAR"),
    }
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(file)
    assert session.info.delegated_operators == session.info.operators
    quantization = file.tensors[file.inputs[0]].quantization
    assert quantization is not None
    total = Difference()
    for image in (given, seen):
        raw = np.rint(image / quantization.scale) + quantization.zero_point
        raw = raw.clip(-128, 127).astype(np.int8)
        total += integer_difference(session.run([raw])[0], simulation.run([raw])[0])
    assert (total.values, total.differing) == (2 * 33 * 33 * CLASSES, 0)
