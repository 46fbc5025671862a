"""The simulation gives LiteRT's integers for whole networks on real photographs: official files and ours."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.engines.litert import open_litert
from edge.evaluation.fidelity import Difference, integer_difference
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import normalize, resize
from edge.vision.preprocess import Preprocess

pytestmark = pytest.mark.data

OFFICIAL = [
    "tf2_mobilenet_v2_1.0_224_ptq",
    "mobilenet_v2_1.0_224_quant",
    "mobilenet_v1_1.0_224_quant_joined",
    "mobilenet_v1_0.25_128_quant",
    "vww_96_int8",
    "deeplabv3_mnv2_dm05_pascal_quant",
]
IMAGES = 50


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Other work may share the machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def preprocess_for(height: int, width: int) -> Preprocess:
    """[-1, 1], the whole frame."""
    return Preprocess(
        colour_order="rgb",
        height=height,
        width=width,
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )


@pytest.mark.parametrize("name", OFFICIAL)
def test_an_official_file_is_simulated_exactly(test_data: Path, name: str) -> None:
    """int8 per-channel and uint8 per-tensor files, on photographs: 0 values differ."""
    path = test_data / "models" / f"{name}.tflite"
    graph = read_tflite(path)
    given = graph.tensors[graph.inputs[0]]
    photographs = open_split(images=test_data / "imagenet_samples" / "dev")
    preprocess = preprocess_for(*given.shape[1:3])
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(graph)
    total = Difference()
    for index in range(2 if "deeplab" in name else 5):
        pixels = resize(photographs.image(index), preprocess)[None]
        x = pixels if given.dtype == "uint8" else (pixels.astype(np.int16) - 128).astype(np.int8)
        for expected, found in zip(session.run([x]), simulation.run([x]), strict=True):
            total += integer_difference(expected, found)
    assert total.values > 0 and total.differing == 0


def network(name: str, test_data: Path, split: Split, preprocess: Preprocess) -> Graph:
    """A float graph: the published weights, or for Fast-SCNN random ones with batch statistics of real images."""
    torch.manual_seed(0)
    if name == "fast_scnn":
        model = build(name, classes=11, resolution_hw=(preprocess.height, preprocess.width)).train()
        with torch.no_grad():
            for _ in range(3):
                model(torch.from_numpy(batch(split, preprocess, range(4))))
    else:
        model = build(name, classes=1001)
        load_pretrained(model, test_data / "models" / f"{name}_1.0_224.safetensors")
    return float_graph(model.eval(), torch.zeros(1, 3, preprocess.height, preprocess.width))


def batch(split: Split, preprocess: Preprocess, indices: range) -> np.ndarray:
    """float32 NCHW."""
    pixels = np.stack([resize(split.image(index), preprocess) for index in indices])
    return np.ascontiguousarray(normalize(pixels, preprocess).transpose(0, 3, 1, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mobilenet_v1", "mobilenet_v2", "fast_scnn"])
def test_our_networks_are_exact_on_fifty_photographs(test_data: Path, tmp_path: Path, name: str) -> None:
    """PTQ, QDQ ONNX, TFLite: every logit of 50 images equal in the simulation of the ONNX and in LiteRT."""
    if name == "fast_scnn":
        split, preprocess = open_split(split=f"camvid:{test_data / 'camvid'}:val"), preprocess_for(360, 480)
    else:
        split, preprocess = open_split(images=test_data / "imagenet_samples" / "dev"), preprocess_for(224, 224)
    quantized = calibrate(
        network(name, test_data, split, preprocess),
        (batch(split, preprocess, range(start, start + 4)) for start in (50, 54)),
        estimator="minmax",
    )
    source = read_onnx(onnx_bytes(quantized))
    path = tmp_path / "model.tflite"
    path.write_bytes(tflite_bytes(to_nhwc(source)))
    session, simulation = open_litert(path, kernels="xnnpack"), IntegerSimulation(source)
    parameters = source.tensors[source.inputs[0]].quantization
    assert parameters is not None
    total = Difference()
    for index in range(IMAGES):
        real = batch(split, preprocess, range(index, index + 1))
        levels = np.rint(real / parameters.scale[0]) + parameters.zero_point[0]
        x = np.clip(levels, -128, 127).astype(np.int8)
        simulated = simulation.run([x])[0]
        found = session.run([np.ascontiguousarray(x.transpose(0, 2, 3, 1))])[0]
        total += integer_difference(simulated.transpose(0, 2, 3, 1) if simulated.ndim == 4 else simulated, found)
        assert len(np.unique(found)) > 20  # a saturated or constant output would prove nothing
    assert total.values >= IMAGES * 1001 and total.differing == 0
