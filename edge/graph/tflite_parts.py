"""Parts of a TFLite file as small changes of it, so that its weights need not travel or lie anywhere a second time."""

from dataclasses import dataclass
from typing import Any

from edge.errors import ModelFileError
from edge.graph.tflite_file import DAMAGE, FileModel, parse
from edge.graph.tflite_schema import schema

# Offsets of fields in a flatbuffer's vtable, by the schema's numbering.
SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, MODEL_SIGNATURES = 6, 8, 10, 18
WORD_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class TflitePart:
    """What `edge.runtime.file_parts.part_of` does to the whole file.

    Attributes:
        words: (byte offset, number) little-endian words of 32 bits that are overwritten.
        lists: (byte offset, numbers) lists of such words that are appended, and the word that is to lead there.
    """

    words: tuple[tuple[int, int], ...]
    lists: tuple[tuple[int, tuple[int, ...]], ...]


def tflite_operators(data: bytes) -> tuple[TflitePart, ...]:
    """Every operator of a file's only subgraph as a model of its own, in order.

    Constants, options and quantization stay as they are. The inputs are the operator's that are no constants, each
    once; the outputs are its outputs.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: not a sound TFLite file, one with several subgraphs, or one whose operators stand before the
            list of them.
    """
    parsed, places = _read(data)
    found = []
    for operator, table_at in zip(parsed.operators, places.tables_at, strict=True):
        slot_at = places.operators_at + WORD_BYTES
        if table_at <= slot_at:
            raise ModelFileError("TFLite data", "its operators stand before the list of them; it cannot be cut")
        inputs = tuple(
            index for index in dict.fromkeys(operator.inputs) if index >= 0 and parsed.tensors[index].data is None
        )
        found.append(
            TflitePart(
                words=((places.operators_at, 1), (slot_at, table_at - slot_at), *places.emptied),
                lists=((places.inputs_at, inputs), (places.outputs_at, operator.outputs)),
            )
        )
    return tuple(found)


def tflite_prefixes(data: bytes) -> tuple[TflitePart, ...]:
    """The first operator of a file's only subgraph, the first two, and so on to all of them; inputs as in the file.

    The outputs are what the operators left away, or the caller of the whole file, would read.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: not a sound TFLite file, or one with several subgraphs.
    """
    parsed, places = _read(data)
    return tuple(
        TflitePart(
            words=((places.operators_at, count), *places.emptied),
            lists=((places.outputs_at, _open_ends(parsed, count)),),
        )
        for count in range(1, len(parsed.operators) + 1)
    )


@dataclass(frozen=True, kw_only=True)
class _Places:
    """Byte offsets: of the list of operators (its length), of the words that lead to inputs and outputs, of tables.

    `emptied`: the list of signatures gets the length 0, for signatures name outputs.
    """

    operators_at: int
    inputs_at: int
    outputs_at: int
    tables_at: tuple[int, ...]
    emptied: tuple[tuple[int, int], ...]


def _read(data: bytes) -> tuple[FileModel, _Places]:
    parsed = parse(data, "TFLite data")
    module = schema()
    try:
        model = module.Model.GetRootAs(data, 0)
        if model.SubgraphsLength() != 1:
            raise ModelFileError(
                "TFLite data", f"has {model.SubgraphsLength()} subgraphs; only files of one can be cut"
            )
        subgraph = model.Subgraphs(0)
        fields = [_field_at(subgraph._tab, field) for field in (SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS)]
        operators_at = _list_at(subgraph._tab, SUBGRAPH_OPERATORS)
        if operators_at is None or None in fields:
            raise ModelFileError("TFLite data", "has no operators, no inputs or no outputs")
        signatures_at = _list_at(model._tab, MODEL_SIGNATURES)
        tables = tuple(int(subgraph.Operators(place)._tab.Pos) for place in range(subgraph.OperatorsLength()))
    except DAMAGE as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError("TFLite data", f"damaged TFLite file: {error}") from error
    inputs_at, outputs_at = (int(place or 0) for place in fields)
    emptied = () if signatures_at is None else ((signatures_at, 0),)
    return parsed, _Places(
        operators_at=operators_at, inputs_at=inputs_at, outputs_at=outputs_at, tables_at=tables, emptied=emptied
    )


def _field_at(table: Any, field: int) -> int | None:
    offset = table.Offset(field)
    return int(table.Pos + offset) if offset else None


def _list_at(table: Any, field: int) -> int | None:
    """Where the length of a list stands."""
    offset = table.Offset(field)
    return int(table.Vector(offset)) - WORD_BYTES if offset else None


def _open_ends(parsed: FileModel, count: int) -> tuple[int, ...]:
    made = {index for operator in parsed.operators[:count] for index in operator.outputs}
    read = {index for operator in parsed.operators[count:] for index in operator.inputs}
    return tuple(sorted(made & (read | set(parsed.outputs)) or parsed.operators[count - 1].outputs))
