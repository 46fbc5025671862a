"""The beginnings of a TFLite file as small changes of it: what their times differ by is what each operator takes."""

from dataclasses import dataclass
from typing import Any

from edge.errors import ModelFileError
from edge.graph.tflite_file import DAMAGE, FileModel, parse
from edge.graph.tflite_schema import schema

SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, MODEL_SIGNATURES = 8, 10, 18  # of the fields, in a flatbuffer's vtable
WORD_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class TflitePrefixes:
    """What turns a file into one of its beginnings without another copy of its weights.

    Beginning k (from 1) is the file with the number k at `operators_at` (the length of its list of operators), 0 at
    each of `emptied_at`, and a list of its outputs appended, to which the word at `outputs_at` leads; all are
    little-endian words of 32 bits. See `device_bench.agent.file_beginnings.beginning`.

    Attributes:
        operators_at, outputs_at, emptied_at: byte offsets in the file.
        outputs: for every beginning, the indices of the tensors that the rest of the file, or its caller, would read.
    """

    operators_at: int
    outputs_at: int
    emptied_at: tuple[int, ...]
    outputs: tuple[tuple[int, ...], ...]


def tflite_prefixes(data: bytes) -> TflitePrefixes:
    """The first operator of a file's only subgraph as a model, the first two, and so on to all of them.

    Constants, options and quantization stay as they are, the inputs too; signatures are dropped, for they name outputs.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: not a sound TFLite file, or one with several subgraphs.
    """
    parsed = parse(data, "TFLite data")
    module = schema()
    try:
        model = module.Model.GetRootAs(data, 0)
        if model.SubgraphsLength() != 1:
            raise ModelFileError(
                "TFLite data", f"has {model.SubgraphsLength()} subgraphs; only files of one can be cut"
            )
        subgraph = model.Subgraphs(0)
        signatures = _list_at(model._tab, MODEL_SIGNATURES)
        operators_at = _list_at(subgraph._tab, SUBGRAPH_OPERATORS)
        outputs_at = _field_at(subgraph._tab, SUBGRAPH_OUTPUTS)
    except DAMAGE as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError("TFLite data", f"damaged TFLite file: {error}") from error
    if operators_at is None or outputs_at is None:
        raise ModelFileError("TFLite data", "has no operators or no outputs")
    return TflitePrefixes(
        operators_at=operators_at,
        outputs_at=outputs_at,
        emptied_at=() if signatures is None else (signatures,),
        outputs=tuple(_outputs(parsed, count) for count in range(1, len(parsed.operators) + 1)),
    )


def _field_at(table: Any, field: int) -> int | None:
    offset = table.Offset(field)
    return int(table.Pos + offset) if offset else None


def _list_at(table: Any, field: int) -> int | None:
    """Where the length of a list stands."""
    offset = table.Offset(field)
    return int(table.Vector(offset)) - WORD_BYTES if offset else None


def _outputs(parsed: FileModel, count: int) -> tuple[int, ...]:
    made = {index for operator in parsed.operators[:count] for index in operator.outputs}
    read = {index for operator in parsed.operators[count:] for index in operator.inputs}
    return tuple(sorted(made & (read | set(parsed.outputs)) or parsed.operators[count - 1].outputs))
