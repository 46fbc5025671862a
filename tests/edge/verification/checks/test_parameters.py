"""What a writer may omit is judged by the tensor that it was merged into."""

from dataclasses import replace

import numpy as np
import pytest

from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.verification.checks.parameters import compared

STEP = per_tensor(np.float32(0.5), 3)


def graph(*operators: tuple[str, str, str, dict[str, object]]) -> Graph:
    """A chain of operators over tensors of one element, all with the same parameters."""
    names = list(dict.fromkeys(name for _, source, target, _ in operators for name in (source, target)))
    tensors = {name: Tensor(name=name, shape=(1, 1, 1, 1), dtype="int8", quantization=STEP) for name in names}
    made = [
        Operator(kind=kind, name=target, inputs=(source,), outputs=(target,), attributes=attributes)
        for kind, source, target, attributes in operators
    ]
    return Graph(
        name="chain", layout="nchw", operators=tuple(made), tensors=tensors, inputs=(names[0],), outputs=(names[-1],)
    )


TURN = {"perm": (0, 2, 3, 1)}
FLAT = {"shape": (1, 1, 1, 1)}
SOURCE = graph(
    ("Relu", "x", "a", {}), ("Transpose", "a", "t", TURN), ("Reshape", "t", "r", FLAT), ("Relu", "r", "y", {})
)


@pytest.mark.parametrize("kept", ["a", "t", "r"])
def test_a_transpose_that_the_writer_joined_or_dropped_is_no_fault(kept: str) -> None:
    finding = compared("model.tflite", "source.onnx", SOURCE, graph(("Relu", "x", kept, {}), ("Relu", kept, "y", {})))
    assert finding.passed
    assert finding.detail == "scale, zero point and constants of 5 tensors identical"


def test_other_parameters_than_those_it_was_merged_into_are_a_fault() -> None:
    found = graph(("Relu", "x", "a", {}), ("Relu", "a", "y", {}))
    other = replace(SOURCE.tensors["t"], quantization=per_tensor(np.float32(0.25), 3))
    finding = compared("model.tflite", "source.onnx", SOURCE.with_tensors([other]), found)
    assert not finding.passed
    assert finding.data["tensor"] == "t" and "'t': scale" in finding.detail


def test_an_activation_that_nothing_holds_is_a_fault() -> None:
    finding = compared("model.tflite", "source.onnx", SOURCE, graph(("Relu", "x", "y", {})))
    assert not finding.passed
    assert "activation 'a' is not in model.tflite (and 2 more)" in finding.detail
