"""What the writer refuses: a line that names the operator and what is wrong with it."""

from collections.abc import Callable

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from tests.support.writer_cases import CASES, NO_PADS, change_attribute, change_tensor, graph_of

SEVEN = Quantization(scale=np.full(5, 0.01, np.float32), zero_point=np.full(5, 7), axis=0)
OFF = Quantization(scale=np.full(5, 1.0, np.float32), zero_point=np.zeros(5), axis=0)
REFUSALS: dict[str, tuple[str, bool, Callable[[Graph], Graph], str]] = {
    "weight zero point": ("1x1", True, lambda g: change_tensor(g, "w0", quantization=SEVEN), "symmetric"),
    "bias scale": ("1x1", True, lambda g: change_tensor(g, "w1", quantization=OFF), "input scale"),
    "untied pool": ("average pool", True, lambda g: change_tensor(g, "y", quantization=per_tensor(0.1, 0)), "tie them"),
    "untied concat": ("concat", True, lambda g: change_tensor(g, "x1", quantization=per_tensor(0.1, 0)), "'x1'"),
    "softmax range": ("softmax", True, lambda g: change_tensor(g, "y", quantization=per_tensor(0.1, 0)), "fixed"),
    "softmax axis": ("softmax", False, lambda g: change_attribute(g, axis=0), "last one"),
    "resize": ("resize linear half_pixel", False, lambda g: change_attribute(g, mode="cubic"), "cubic"),
    "wrong output size": ("same", False, lambda g: change_attribute(g, pads=NO_PADS), "output size"),
    "pad value": ("pad", True, lambda g: change_attribute(g, value=100.0), "outside"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_no_kernel_computes_is_refused_with_the_operator_named(name: str) -> None:
    case, quantized, change, message = REFUSALS[name]
    with pytest.raises(UnsupportedError, match=message) as caught:
        tflite_bytes(change(graph_of(CASES[case], quantized=quantized)))
    assert "'y'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_operators_are_all_named_at_once_with_a_hint() -> None:
    x, y, z = (Tensor(name=name, shape=(1, 4), dtype="float32") for name in "xyz")
    operators = (
        Operator(kind="Einsum", name="first", inputs=("x",), outputs=("y",)),
        Operator(kind="BatchNorm", name="second", inputs=("y",), outputs=("z",), attributes={"epsilon": 1e-5}),
    )
    tensors = {"x": x, "y": y, "z": z}
    graph = Graph(name="main", layout="nhwc", operators=operators, tensors=tensors, inputs=("x",), outputs=("z",))
    with pytest.raises(UnsupportedError, match=r"Einsum \(first\), BatchNorm \(second\).*fold"):
        tflite_bytes(graph)


def test_an_nchw_graph_is_refused() -> None:
    graph = graph_of(CASES["relu"], quantized=False)
    flipped = Graph(
        name="g", layout="nchw", operators=graph.operators, tensors=graph.tensors, inputs=("x0",), outputs=("y",)
    )
    with pytest.raises(UnsupportedError, match="nchw"):
        tflite_bytes(flipped)
