"""What explaining a subject needs beside its file; made on the host, where the file can be read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from device_bench.explain.onnx_nodes import OnnxPlan
from device_bench.explain.operator_facts import OperatorFacts

Method = Literal["measured-operators", "onnxruntime-profile"]
ROUNDS = 25
MOST_NS = 120_000_000_000  # fewer rounds where a device would take longer


@dataclass(frozen=True, kw_only=True, eq=False)
class PeakFile:
    """A model file that computes and hardly moves data: its multiply-adds, and what it is in words."""

    data: bytes
    multiply_adds: int
    words: str


@dataclass(frozen=True, kw_only=True, eq=False)
class ExplainSpec:
    """How a subject is explained.

    Attributes:
        facts: the file's operators in order.
        parts: for measured operators, `words` and `lists` of an `edge.graph.importers.tflite.parts.TflitePart` each:
            JSON-ready.
        inputs, less: for the same, as of an `edge.graph.importers.tflite.parts.TfliteOperators`.
        call: for the same, a model that computes hardly anything.
        onnx: for ONNX Runtime's profile.
        peaks: `int8`, `float32` -> file.
        rounds, most_ns: how often everything is timed, unless that takes longer.
    """

    facts: tuple[OperatorFacts, ...]
    parts: Sequence[Mapping[str, Any]] | None = None
    inputs: tuple[int, ...] = ()
    less: tuple[int | None, ...] = ()
    call: bytes | None = None
    onnx: OnnxPlan | None = None
    peaks: Mapping[str, PeakFile] = field(default_factory=dict)
    rounds: int = ROUNDS
    most_ns: int = MOST_NS

    @property
    def method(self) -> Method:
        """What takes the file apart."""
        return "measured-operators" if self.onnx is None else "onnxruntime-profile"
