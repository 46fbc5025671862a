"""Two small float networks as ONNX files, and what running a converted file on both sides gives."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.convert.foreign import Foreign
from converters.onnx.file import onnx_bytes
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.engines.engine import open_session
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from tests.support.onnx_session import cpu_session

SIZE = 32
Converted = Callable[..., "Sides"]


@dataclass
class Network:
    """An ONNX graph under construction: constants from one generator, nodes named after their outputs."""

    opset: int = 17
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    def constant(self, name: str, values: Any) -> str:
        """Add a constant."""
        self.constants[name] = numpy_helper.from_array(np.asarray(values), name)
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Add a node with one output."""
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def conv(self, x: str, name: str, inputs: int, outputs: int, size: int = 1, group: int = 1, **more: Any) -> str:
        """Add a convolution that keeps the size of the map, with weights of unit gain."""
        gain = np.sqrt(2 / (inputs // group * size * size))
        weight = self.random.normal(size=(outputs, inputs // group, size, size)) * gain
        bias = self.random.normal(size=outputs) * 0.2
        names = [self.constant(f"{name}.weight", weight.astype(np.float32))]
        names.append(self.constant(f"{name}.bias", bias.astype(np.float32)))
        pads = [size // 2] * 4
        return self.node("Conv", [x, *names], name, group=group, kernel_shape=[size, size], pads=pads, **more)

    def resize(self, x: str, name: str, scale: float) -> str:
        """Add a bilinear resize."""
        scales = self.constant(f"{name}.scales", np.array([1, 1, scale, scale], np.float32))
        return self.node("Resize", [x, "", scales], name, mode="linear", coordinate_transformation_mode="half_pixel")

    def save(self, path: Path, output: str, *, domains: tuple[str, ...] = (), shape: Any = None) -> Path:
        """Write the file: input `image` (1, 3, SIZE, SIZE), one float output, of `shape` if it cannot be inferred."""
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, (1, 3, SIZE, SIZE))],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
            list(self.constants.values()),
        )
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(name, 1) for name in domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        inferred = onnx.shape_inference.infer_shapes(model)
        onnx.save(inferred, path)
        return path


@pytest.fixture
def network() -> Network:
    """An empty network."""
    return Network()


@pytest.fixture(scope="session")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Float ONNX files: a classifier of inverted residuals, and a segmenter with pools, resizes, concat and a gate."""
    folder = tmp_path_factory.mktemp("floats")
    classifier = Network()
    x = _rectified(classifier, classifier.conv("image", "stem", 3, 8, 3, strides=[2, 2]), 6)
    for index, (inputs, outputs) in enumerate(((8, 12), (12, 12), (12, 16))):
        wide = 2 * inputs
        y = _rectified(classifier, classifier.conv(x, f"expand{index}", inputs, wide), 6)
        y = _rectified(classifier, classifier.conv(y, f"depthwise{index}", wide, wide, 3, group=wide), 6)
        y = classifier.conv(y, f"project{index}", wide, outputs)
        x = classifier.node("Add", [x, y], f"sum{index}") if inputs == outputs else y
    x = classifier.node("GlobalAveragePool", [x], "pool")
    x = classifier.node("Flatten", [x], "flat")
    weight = classifier.constant("fc.weight", classifier.random.normal(size=(10, 16)).astype(np.float32))
    bias = classifier.constant("fc.bias", classifier.random.normal(size=10).astype(np.float32))
    classifier.node("Gemm", [x, weight, bias], "scores", transB=1)
    segmenter = Network()
    low = segmenter.node("Relu", [segmenter.conv("image", "stem", 3, 8, 3, strides=[2, 2])], "stem/relu")
    deep = segmenter.conv(low, "deep", 8, 12, 3, strides=[2, 2])
    parts = [deep]
    for size in (2, 4):
        name = f"pool{size}"
        pooled = segmenter.node("AveragePool", [deep], name, kernel_shape=[size, size], strides=[size, size])
        parts.append(segmenter.resize(segmenter.conv(pooled, f"{name}/conv", 12, 4), f"{name}/up", size))
    skip = segmenter.conv(low, "skip", 8, 8)
    parts.append(segmenter.node("MaxPool", [skip], "skip/pool", kernel_shape=[2, 2], strides=[2, 2]))
    joined = segmenter.node("Concat", parts, "joined", axis=1)
    fused = segmenter.node("Relu", [segmenter.conv(joined, "fuse", 28, 8)], "fuse/relu")
    head = segmenter.conv(fused, "head", 8, 5)
    gate = segmenter.node("Sigmoid", [head], "gate")
    segmenter.resize(segmenter.node("Mul", [gate, head], "gated"), "scores", 4)
    return {
        "classifier": classifier.save(folder / "classifier.onnx", "scores"),
        "segmenter": segmenter.save(folder / "segmenter.onnx", "scores"),
    }


def _rectified(network: Network, x: str, ceiling: float) -> str:
    limits = [network.constant("zero", np.float32(0)), network.constant("six", np.float32(ceiling))]
    return network.node("Clip", [x, *limits], f"{x}/clip")


@dataclass(frozen=True, kw_only=True)
class Sides:
    """A converted model and its answers to the same images.

    Attributes:
        file: the graph of the TFLite file, as read back from it.
        differing: values of LiteRT with XNNPACK that are not the integer simulation's.
        quanta: distance of the real outputs from ONNX Runtime's on the source, in steps of the output's scale.
    """

    foreign: Foreign
    file: Graph
    differing: int
    quanta: np.ndarray[Any, Any]


@pytest.fixture(scope="session")
def convert(tmp_path_factory: pytest.TempPathFactory) -> Converted:
    """A function from a foreign model and the path of its source to `Sides`.

    Both get the images `pixels`, float32 (n, h, w, 3) as the model takes them, or a few random ones. ONNX
    Runtime executes the source literally: DequantizeLinear, operator, QuantizeLinear, without fusions. Without
    `compare`, for sources that it does not know, there are no quanta.
    """
    folder = tmp_path_factory.mktemp("files")

    def run(foreign: Foreign, source: Path, *, pixels: Any = None, compare: bool = True) -> Sides:
        data = tflite_bytes(to_nhwc(read_onnx(onnx_bytes(foreign.graph))))
        path = folder / "model.tflite"
        path.write_bytes(data)
        file = read_tflite(data)
        session = open_session("litert", path, threads=1, kernels="xnnpack")
        given, made = file.tensors[file.inputs[0]], file.tensors[file.outputs[0]]
        assert given.quantization is not None and made.quantization is not None
        if pixels is None:
            pixels = np.random.default_rng(1).normal(size=(3, *given.shape[1:])).astype(np.float32)
        limits = np.iinfo(given.dtype)
        integers = np.rint(pixels / given.quantization.scale[0]) + given.quantization.zero_point[0]
        integers = np.clip(integers, limits.min, limits.max).astype(given.dtype)
        expected = IntegerSimulation(file).run([integers])[0]
        outputs = np.concatenate([session.run([integers[k : k + 1]])[0] for k in range(len(pixels))])
        quanta = np.zeros(1)
        if compare:
            real = (outputs.astype(np.float64) - made.quantization.zero_point[0]) * made.quantization.scale[0]
            truth = np.concatenate([_literally(source, image) for image in pixels.transpose(0, 3, 1, 2)])
            real = real.transpose(0, 3, 1, 2) if real.ndim == 4 else real
            quanta = np.abs(real - truth) / made.quantization.scale[0]
        differing = int(np.count_nonzero(outputs != expected))
        return Sides(foreign=foreign, file=file, differing=differing, quanta=quanta)

    return run


def _literally(source: Path, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    graph = onnx.load(source).graph
    unsigned = {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.UINT8}
    saturate = any(node.op_type == "QLinearConv" and node.input[2] in unsigned for node in graph.node)
    session = cpu_session(source, as_it_stands=not saturate)  # these are rewritten to sum exactly
    return np.asarray(session.run(None, {session.get_inputs()[0].name: image[None]})[0])
