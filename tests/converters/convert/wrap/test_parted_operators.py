"""A file whose operators are read as several: verify runs each of the file's own alone, all its outputs held."""

from pathlib import Path
from typing import Any

import numpy as np

from converters.convert.wrap import WrapOptions, wrap_file
from converters.tflite.file_builder import FileBuilder
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.importers.tflite.reader import read_tflite
from edge.verification.verify import Request, verify
from tests.converters.convert.wrap.conftest import MakeCard
from tests.support.one_operator import Parameters, activation


def parted_file(path: Path) -> Path:
    """Three channels are split, joined in another order and scale (uint8), and averaged."""
    pixels, other = Parameters(scale=1 / 128, zero_point=128), Parameters(scale=1 / 90, zero_point=120)
    tensors = [
        activation("x", (1, 8, 8, 3), pixels, "uint8"),
        *(activation(f"part{place}", (1, 8, 8, 1), pixels, "uint8") for place in range(3)),
        activation("joined", (1, 8, 8, 3), other, "uint8"),
        activation("mean", (1, 3), other, "uint8"),
        Tensor(name="axis", shape=(), dtype="int32", data=np.array(3, np.int32)),
        Tensor(name="axes", shape=(2,), dtype="int32", data=np.array([1, 2], np.int32)),
    ]
    steps: dict[str, tuple[tuple[str, ...], tuple[str, ...], dict[str, Any]]] = {
        "SPLIT": (("axis", "x"), ("part0", "part1", "part2"), {"options": "SplitOptions", "numSplits": 3}),
        "CONCATENATION": (("part2", "part0", "part1"), ("joined",), {"options": "ConcatenationOptions", "axis": 3}),
        "MEAN": (("joined", "axes"), ("mean",), {"options": "ReducerOptions", "keepDims": False}),
    }
    operators = [
        Operator(kind=code, name=code, inputs=reads, outputs=writes) for code, (reads, writes, _) in steps.items()
    ]
    graph = Graph(
        name="parted",
        layout="nhwc",
        operators=tuple(operators),
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=("x",),
        outputs=("mean",),
    )
    builder = FileBuilder(graph)
    for code, (reads, writes, fields) in steps.items():
        places = [[builder.tensor(name) for name in names] for names in (reads, writes)]
        builder.operator(code, places[0], places[1], **fields)
    path.write_bytes(builder.finish("parted"))
    return path


def test_every_operator_of_the_file_is_held_alone(tmp_path: Path, card: MakeCard) -> None:
    source = parted_file(tmp_path / "parted.tflite")
    assert [operator.kind for operator in read_tflite(source).operators] == ["Slice"] * 3 + ["Concat", "Mean"]
    said = 'values = "logits"\nscores = "exclusive"'
    artifact = wrap_file(source, tmp_path / "artifact", WrapOptions(card=card(said, mean=128.0, std=128.0)))
    report = verify(artifact, Request())
    findings = {finding.check: finding.data for finding in report.verdict.findings}
    assert report.verdict.ship and findings["end to end"]["differing"] == 0
    assert findings["operators"]["operators"] == 3 and findings["operators"]["operators_differing"] == 0
