"""A small integer network as a graph and as a TFLite file, and what runs such files."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor


def _weighted(name: str, x_scale: float, shape: tuple[int, ...], rng: np.random.Generator) -> list[Tensor]:
    scale = rng.uniform(0.002, 0.01, shape[0]).astype(np.float32)
    zero = np.zeros(shape[0], np.int64)
    weight = rng.integers(-127, 128, shape).astype(np.int8)
    bias = rng.integers(-500, 500, shape[0]).astype(np.int32)
    bias_scale = np.float32(x_scale) * scale
    return [
        Tensor(
            name=f"{name}.weight",
            shape=shape,
            dtype="int8",
            data=weight,
            quantization=Quantization(scale=scale, zero_point=zero, axis=0),
        ),
        Tensor(
            name=f"{name}.bias",
            shape=bias.shape,
            dtype="int32",
            data=bias,
            quantization=Quantization(scale=bias_scale, zero_point=zero, axis=0),
        ),
    ]


@pytest.fixture(scope="session")
def interpreter() -> Callable[[bytes], Any]:
    """Opens a file with the built-in kernels, without a delegate: all its tensors can be read."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")

    def opened(data: bytes) -> Any:
        made = litert.Interpreter(
            model_content=data,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        made.allocate_tensors()
        return made

    return opened


@pytest.fixture
def small_graph() -> Graph:
    """stem (s2) -> depthwise -> project, added to the stem; mean; linear: every form of weight that a file has."""
    rng = np.random.default_rng(0)
    activations = {
        "image": ((1, 16, 12, 3), 0.008, -1),
        "stem": ((1, 8, 6, 8), 0.02, -128),
        "depthwise": ((1, 8, 6, 8), 0.05, -128),
        "project": ((1, 8, 6, 8), 0.11, 3),
        "sum": ((1, 8, 6, 8), 0.12, -4),
        "mean": ((1, 8), 0.09, 0),
        "logits": ((1, 5), 0.2, 7),
    }
    tensors = [
        Tensor(name=name, shape=shape, dtype="int8", quantization=per_tensor(scale, zero_point))
        for name, (shape, scale, zero_point) in activations.items()
    ]
    tensors += _weighted("stem", 0.008, (8, 3, 3, 3), rng)
    tensors += _weighted("depthwise", 0.02, (8, 1, 3, 3), rng)
    tensors += _weighted("project", 0.05, (8, 8, 1, 1), rng)
    tensors += _weighted("logits", 0.09, (5, 8), rng)
    conv = {"strides": (1, 1), "pads": (1, 1, 1, 1), "dilations": (1, 1), "group": 1, "activation": "relu6"}
    attributes: dict[str, dict[str, object]] = {
        "stem": {**conv, "strides": (2, 2), "pads": (0, 0, 1, 1)},
        "depthwise": {**conv, "group": 8},
        "project": {**conv, "pads": (0, 0, 0, 0), "activation": "none"},
        "sum": {"activation": "none"},
        "mean": {"axes": (1, 2), "keepdims": False},
        "logits": {"activation": "none"},
    }
    wiring = {
        "stem": ("Conv", ("image", "stem.weight", "stem.bias")),
        "depthwise": ("Conv", ("stem", "depthwise.weight", "depthwise.bias")),
        "project": ("Conv", ("depthwise", "project.weight", "project.bias")),
        "sum": ("Add", ("stem", "project")),
        "mean": ("Mean", ("sum",)),
        "logits": ("Gemm", ("mean", "logits.weight", "logits.bias")),
    }
    operators = tuple(
        Operator(kind=kind, name=name, inputs=inputs, outputs=(name,), attributes=attributes[name])
        for name, (kind, inputs) in wiring.items()
    )
    return Graph(
        name="main",
        layout="nhwc",
        operators=operators,
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=("image",),
        outputs=("logits",),
    )


@pytest.fixture
def small_file(small_graph: Graph) -> bytes:
    """The small network as a TFLite file."""
    return tflite_bytes(small_graph)
