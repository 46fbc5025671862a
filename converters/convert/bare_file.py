"""An ONNX model or a checkpoint becomes a TFLite file alone: no card, no artifact, but the same proof."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converters.convert.foreign import read_foreign
from converters.convert.heads import append_head
from converters.convert.options import PLAIN, ConvertOptions, refuse_input_size
from converters.packaging.integer_only import require_integer_only
from converters.packaging.package import Precision, precision_of
from converters.passes.layout.axis_order import NeededTranspose
from converters.passes.layout.nhwc import to_nhwc_with_reasons
from converters.tflite.writer import tflite_bytes
from edge.errors import FileError
from edge.files.atomic import check_writable, write_bytes
from edge.files.bounded_file import check_file
from edge.files.overwriting import refuse_inputs
from edge.graph.analyses.float_operators import float_operators
from edge.graph.graph import Graph, Tensor
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.verification.checks.parameters import quantized_tensors, tensor_problems

if TYPE_CHECKING:
    from converters.convert.file_check import FileCheck


@dataclass(frozen=True, kw_only=True)
class BareFile:
    """A TFLite file that was written, and what is to be known about it.

    Attributes:
        graph: read back from the file.
        operators: TFLite operator -> how many the file holds.
        floats: operators of an INT8 file that compute in float, as `KIND (name)`.
        transposes: those that stayed, with the reason.
        parameters_kept, parameters_changed: quantized tensors of the source that the file holds under the same name
            with the same scale, zero point and integers, and those that differ in any.
        notes: of the reader of foreign models.
        check: None when it was not asked for.
    """

    path: Path
    size_bytes: int
    precision: Precision
    graph: Graph
    operators: Mapping[str, int]
    floats: tuple[str, ...]
    transposes: tuple[NeededTranspose, ...]
    parameters_kept: int
    parameters_changed: tuple[str, ...]
    notes: tuple[str, ...]
    check: "FileCheck | None"


@dataclass(frozen=True, kw_only=True)
class _Source:
    graph: Graph
    quantized: Mapping[str, Tensor]
    notes: tuple[str, ...]


def convert_file(source: Path, target: Path, options: ConvertOptions = PLAIN, *, verify: bool = True) -> BareFile:
    """Convert a model of any number of inputs and outputs to one TFLite file, written only if it computes right.

    Args:
        source: a float or quantized `.onnx` file, or a `.safetensors` checkpoint.
        target: the `.tflite` file.
        options: `head`, `batch`, `shapes`, `keep_nchw_io` and `allow_float`; of a checkpoint also `input_size_hw`, with
            `calibration`.
        verify: run the file in LiteRT on generated inputs before it is written, and hold it against the integer
            simulation or a float32 execution, see `refuse_wrong`.

    Raises:
        FileError, ModelFileError: the source is missing, damaged or neither, or the target cannot be written.
        UnsupportedError: an operator that cannot be converted, by name.
        UsageError: a batch or a shape that the model cannot have.
        EngineError: the file does not compute what the source does; nothing is written.
    """
    refuse_inputs("-o", target, source)
    check_writable(target)
    read = _read(source, options)
    keep_nchw_io, allow_float = options.keep_nchw_io, options.allow_float
    nhwc, transposes = to_nhwc_with_reasons(read.graph, keep_nchw_io=keep_nchw_io)
    precision = precision_of(read.graph)
    if precision != "float32":
        require_integer_only(nhwc, allowed=allow_float)
    data = tflite_bytes(nhwc, description=f"edge-deploy {precision}")
    written = read_tflite(data)
    floats = float_operators(nhwc) if precision != "float32" else []
    check = None
    if verify:
        from converters.convert.file_check import check_file, refuse_wrong  # the references run in torch

        check = check_file(read.graph, data, keep_nchw_io=keep_nchw_io)
        refuse_wrong(source, check, integer=precision != "float32" and not floats)
    kept, changed = _parameters(read.quantized, written)
    write_bytes(target, data)
    return BareFile(
        path=target,
        size_bytes=len(data),
        precision=precision,
        graph=written,
        operators=Counter(operator.source or operator.kind for operator in written.operators),
        floats=tuple(f"{operator.kind} ({operator.name})" for operator in floats),
        transposes=transposes,
        parameters_kept=kept,
        parameters_changed=changed,
        notes=read.notes,
        check=check,
    )


def _read(source: Path, options: ConvertOptions) -> _Source:
    check_file(source)
    quantized: Mapping[str, Tensor] = {}
    notes: tuple[str, ...] = ()
    if source.suffix == ".onnx":
        refuse_input_size(source, options)
        foreign = read_foreign(source, options)
        graph = append_head(foreign.graph, options.head or "logits")
        quantized = quantized_tensors(read_onnx(source, batch=1, shapes=options.shapes))
        notes = foreign.notes()
    elif source.suffix == ".safetensors":
        from converters.convert.export import export_checkpoint
        from converters.convert.opened_checkpoint import open_checkpoint

        graph = export_checkpoint(open_checkpoint(source, options), head=options.head or "logits")
        quantized = quantized_tensors(graph)
    else:
        raise FileError(source, "is neither a checkpoint (.safetensors) nor an ONNX file (.onnx)")
    if options.batch is not None:
        from converters.passes.with_batch import with_batch

        graph = with_batch(graph, options.batch)
    return _Source(graph=graph, quantized=quantized, notes=notes)


def _parameters(source: Mapping[str, Tensor], written: Graph) -> tuple[int, tuple[str, ...]]:
    """How many quantized tensors of the source are the same in the file, and what differs, one sentence each."""
    found = quantized_tensors(written)
    shared = [name for name in source if name in found]
    changed = {name: problem for name in shared for problem in tensor_problems(source[name], found[name])}
    return len(shared) - len(changed), tuple(changed.values())
