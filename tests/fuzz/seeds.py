"""The model files that are damaged: small networks of our own in every form, and official files."""

import os
from pathlib import Path

import numpy as np
import onnx
import torch

from converters.onnx.file import onnx_bytes
from converters.onnxruntime.form import onnxruntime_form
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.graph.graph import Graph
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from tests.support.preprocess_text import preprocess_text

SIDE = 32
NETWORKS = {
    "mobilenet_v2": {"classes": 4, "width": 0.35, "resolution": SIDE},
    "fast_scnn": {"classes": 4, "resolution_hw": (SIDE * 2, SIDE * 2)},
}
OFFICIAL = ("vww_96_int8.tflite", "mobilenet_v1_0.25_128_quant.tflite")
CARD = (
    """
task = "{task}"

"""
    + preprocess_text("{side}", "{side}")
    + """
[labels]
names = ["a", "b", "c", "d"]
"""
)
# operators outside the two networks, so that their readers meet damage too
PARTS = """<ir_version: 8, opset_import: ["": 18]> parts (float[1,3,32,32] x) => (float[1,4] y) {
  c = Conv<kernel_shape=[3,3], strides=[2,2], auto_pad="SAME_UPPER">(x, w)
  h = HardSwish(c)
  s = Split<axis=1, num_outputs=2>(h)
  p = Pad<mode="reflect">(c, pads)
  k = Slice(p, begin, end, axes)
  l = LeakyRelu<alpha=0.1>(k)
  m = Mul(l, h)
  d = DepthToSpace<blocksize=2, mode="CRD">(m)
  t = Transpose<perm=[0,2,3,1]>(d)
  r = Reshape(t, flat)
  g = MatMul(r, v)
  q = Softmax<axis=1>(g)
  y = Identity(q)
}"""


def network(name: str) -> tuple[Graph, Graph]:
    """A float graph with random weights, and its int8 graph."""
    torch.manual_seed(0)
    model = build(name, **NETWORKS[name])
    side = SIDE if name == "mobilenet_v2" else SIDE * 2
    noise = torch.randn(2, 3, side, side)
    with torch.no_grad():
        model(noise)
    graph = float_graph(model.eval(), noise[:1])
    return graph, calibrate(graph, [noise[:1].numpy()])


def parts() -> bytes:
    """An ONNX file of many operators."""
    model = onnx.parser.parse_model(PARTS.replace("s = Split<axis=1, num_outputs=2>(h)\n", ""))
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "v": rng.normal(size=(2048, 4)).astype(np.float32),
        "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
        "begin": np.array([1, 1]),
        "end": np.array([-1, -1]),
        "axes": np.array([2, 3]),
        "flat": np.array([0, -1]),
    }
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    data: bytes = model.SerializeToString()
    return data


def write_seeds(folder: Path) -> dict[str, str]:
    """Write the files and the cards. Returns name of each file -> name of its card."""
    cards = {"classify.toml": ("classify", SIDE), "segment.toml": ("segment", SIDE * 2)}
    for name, (task, side) in cards.items():
        (folder / name).write_text(CARD.format(task=task, side=side))
    (folder / "parts.onnx").write_bytes(parts())
    seeds = {"parts.onnx": "classify.toml"}
    for network_name, card in (("mobilenet_v2", "classify.toml"), ("fast_scnn", "segment.toml")):
        for form, graph in zip(("float", "int8"), network(network_name), strict=True):
            files = {f"{network_name}_{form}.onnx": onnx_bytes(graph), f"{network_name}_{form}.tflite": b""}
            files[f"{network_name}_{form}.tflite"] = tflite_bytes(to_nhwc(graph))
            if form == "int8":
                files[f"{network_name}_uint8.onnx"] = onnxruntime_form(graph)
            for name, data in files.items():
                (folder / name).write_bytes(data)
                seeds[name] = card
    models = Path(os.environ["EDGE_TEST_DATA"]) / "models" if "EDGE_TEST_DATA" in os.environ else None
    for name in OFFICIAL if models is not None and models.is_dir() else ():
        assert models is not None
        (folder / name).write_bytes((models / name).read_bytes())
        seeds[name] = "classify.toml"
    return seeds
