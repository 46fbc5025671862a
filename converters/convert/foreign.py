"""Reading a model that another tool quantized: its own parameters kept, what it leaves open derived, and said."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from converters.convert.calibration import activation_ranges
from converters.convert.options import PLAIN, ConvertOptions
from converters.passes.asymmetric_weights import may_overflow
from converters.passes.canonical import canonical
from converters.passes.fold_batch_norm import fold_batch_norm
from converters.passes.integer_batch_norm import integer_batch_norm
from edge.artifact.scheme import input_range
from edge.errors import UnsupportedError, UsageError
from edge.graph.graph import Graph
from edge.graph.importers.onnx.operators.qoperator import DYNAMIC
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.bias_rounding import LAYERS, BiasRounding, bias_roundings
from edge.quantization.ptq.float_reference import float_reference
from edge.quantization.ptq.insert_parameters import insert_parameters
from edge.quantization.ptq.missing_ranges import Derived, Range, derive, is_partly_quantized
from edge.quantization.ptq.per_channel_activations import per_channel_activations
from edge.vision.pixels import normalize_table
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """A foreign model in canonical form (NCHW, int8 or float32).

    Attributes:
        derived: parameters of activations that the source does not state; nothing for a float model.
        roundings: layers whose bias is not a multiple of input scale * weight scale.
        moved: activations whose scales per channel moved into weights, a sentence each.
    """

    graph: Graph
    derived: tuple[Derived, ...]
    roundings: tuple[BiasRounding, ...]
    moved: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """What a person should know about how this model was read, one sentence each."""
        said = [*self.graph.notes, *self.moved]
        if self.roundings:
            worst = max(self.roundings, key=lambda rounding: rounding.output_quanta)
            said.append(
                f"{len(self.roundings)} biases are rounded to input scale * weight scale; the largest change is "
                f"{worst.output_quanta:.2g} steps of the output of '{worst.operator}'"
            )
        layers = [operator for operator in self.graph.operators if operator.kind in LAYERS]
        weights = [self.graph.tensors[name] for name in {operator.inputs[1] for operator in layers}]
        count = sum(int(np.count_nonzero(weight.data == -128)) for weight in weights if weight.dtype == "int8")
        if count:
            said.append(f"{count} weights are -128, which TFLite's specification does not allow in int8 weights; kept")
        if any(may_overflow(weight) for weight in weights):
            said.append(
                "two weights of -128 in one output channel overflow in XNNPACK's kernels for aarch64 without dot "
                "product (Raspberry Pi 4): its answers are wrong there; quantize the weights to [-127, 127]"
            )
        return tuple(said)


def read_foreign(source: Path, options: ConvertOptions = PLAIN, *, preprocess: Preprocess | None = None) -> Foreign:
    """Read a float or quantized ONNX file.

    Args:
        options: `shapes`, `allow_float`, and `calibration` for the ranges that nothing else tells; without it such a
            model is refused.
        preprocess: what the model's input takes; needed with calibration images. Tells the range of an input that the
            source leaves in float.

    Raises:
        ModelFileError: the file is missing, damaged or foreign to ONNX.
        UnsupportedError: activations without a range, or ranges that are computed while running, by name.
        UsageError: calibration images for a model whose source quantizes nothing, or without a preprocessing.
    """
    calibration, allow_float = options.calibration, options.allow_float
    if calibration is not None and preprocess is None:
        raise UsageError("calibration images need a preprocessing; give a card")
    derived: list[Derived] = []
    roundings: list[BiasRounding] = []
    moved: list[str] = []

    def complete(graph: Graph) -> Graph:
        _refuse_dynamic(graph)
        weights = any(tensor.quantization is not None for tensor in graph.tensors.values())
        if calibration is not None and not weights:
            raise UsageError(f"{source} is a float model; quantize it with `edge quantize`")
        if not weights or (calibration is None and not is_partly_quantized(graph)):
            return graph
        graph, said = per_channel_activations(fold_batch_norm(integer_batch_norm(graph)))
        moved.extend(said)

        def from_images(names: tuple[str, ...]) -> dict[str, Range]:
            assert calibration is not None and preprocess is not None
            return dict(activation_ranges(float_reference(graph), names, calibration, preprocess))

        levels = None if preprocess is None else input_range(normalize_table(preprocess))
        known, found = derive(
            graph,
            allow_float=allow_float,
            input_range=levels,
            calibrator=None if calibration is None else from_images,
        )
        derived.extend(found)
        graph = insert_parameters(graph, known, allow_float)
        roundings.extend(bias_roundings(graph))
        return graph

    graph = canonical(read_onnx(source, batch=1, shapes=options.shapes, complete=complete))
    return Foreign(graph=graph, derived=tuple(derived), roundings=tuple(roundings), moved=tuple(moved))


def _refuse_dynamic(graph: Graph) -> None:
    found = [operator for operator in graph.operators if operator.kind in DYNAMIC]
    if found:
        said = ", ".join(f"{operator.kind} ({operator.name})" for operator in found[:5])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        raise UnsupportedError(
            f"{len(found)} operators compute their ranges while running: {said}{more}; integer files need fixed "
            "ranges, quantize statically with calibration images (quantize_static in ONNX Runtime)"
        )
