"""Small ONNX models, built in a line, and held against ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tests.support.preprocess_text import preprocess_text

Array = npt.NDArray[Any]

CARD = (
    """task = "classify"
"""
    + preprocess_text(8, 8)
    + """[labels]
names = ["a", "b", "c"]
"""
)


def values(*shape: int, seed: int = 0) -> Array:
    """Normal float32 numbers, the same every time."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def node(kind: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; names separated by blanks, `-` for an absent input."""
    given = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, given, outputs.split(), name=f"{kind}:{outputs.split()[0]}", **attributes)


def model(
    nodes: Sequence[NodeProto],
    outputs: Mapping[str, tuple[int, ...]],
    constants: Mapping[str, Array],
    *,
    shape: tuple[int, ...] = (1, 3, 6, 5),
    dtype: int = TensorProto.FLOAT,
    types: Mapping[str, int] | None = None,
    opset: int = 17,
) -> ModelProto:
    """A model of one input `x`.

    Args:
        dtype: of the input and of the outputs that `types` does not name.
    """
    stated = types or {}
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", dtype, shape)],
        [helper.make_tensor_value_info(name, stated.get(name, dtype), size) for name, size in outputs.items()],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def written(proto: ModelProto, path: Path) -> Path:
    """The model as a file."""
    path.write_bytes(proto.SerializeToString())
    return path


def external(proto: ModelProto, path: Path, *, location: str = "weights.bin") -> Path:
    """The model as a file whose constants lie in another one beside it, as torch's export writes them."""
    onnx.save_model(
        ModelProto.FromString(proto.SerializeToString()),
        path,
        save_as_external_data=True,
        location=location,
        size_threshold=0,
    )
    return path
