"""Parts of a TFLite file as small changes of it, so that its weights need not travel or lie anywhere a second time.

Where no second machine is asked, `edge.graph.importers.tflite.extract` makes a small file of one operator.
"""

from dataclasses import dataclass
from typing import Any

from edge.errors import ModelFileError
from edge.graph.importers.tflite.parsing.file import DAMAGE, FileModel, parse
from edge.graph.importers.tflite.parsing.schema import schema

# Offsets of fields in a flatbuffer's vtable, by the schema's numbering.
SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_OPERATORS, MODEL_SIGNATURES = 6, 8, 10, 18
WORD_BYTES = 4
PADS = ("PAD", "PADV2", "MIRROR_PAD")


@dataclass(frozen=True, kw_only=True)
class TflitePart:
    """What `edge.engines.file_parts.part_of` does to the whole file.

    Attributes:
        words: (byte offset, number) little-endian words of 32 bits that are overwritten.
        lists: (byte offset, numbers) lists of such words that are appended, and the word that is to lead there.
    """

    words: tuple[tuple[int, int], ...]
    lists: tuple[tuple[int, tuple[int, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class TfliteOperators:
    """Every operator of a file's only subgraph as a model of its own.

    Attributes:
        inputs: of the whole, as indices of tensors.
        parts: in order. Where `less` names another operator, the part is the two of them, and the time of the other one
            is to be taken off: a delegate computes a pad within what follows it.
    """

    inputs: tuple[int, ...]
    parts: tuple[TflitePart, ...]
    less: tuple[int | None, ...]


def tflite_operators(data: bytes) -> TfliteOperators:
    """Take a file apart.

    Constants, options and quantization stay as they are. A part's inputs are what it takes from outside and is no
    constant, each once; its outputs are those of its last operator.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: not a sound TFLite file, one with several subgraphs, or one whose operators stand before the
            list of them.
    """
    parsed, places = _read(data)
    followers = [_follower(parsed, place) for place in range(len(parsed.operators))]
    parts = []
    for place, follower in enumerate(followers):
        chosen = (place,) if follower is None else (place, follower)
        parts.append(_part(parsed, places, chosen))
    return TfliteOperators(inputs=parsed.inputs, parts=tuple(parts), less=tuple(followers))


def _follower(parsed: FileModel, place: int) -> int | None:
    """The only operator that reads a pad's output."""
    operator = parsed.operators[place]
    if operator.code not in PADS:
        return None
    readers = [later for later, other in enumerate(parsed.operators) if operator.outputs[0] in other.inputs]
    return readers[0] if len(readers) == 1 and operator.outputs[0] not in parsed.outputs else None


def _part(parsed: FileModel, places: "_Places", chosen: tuple[int, ...]) -> TflitePart:
    words = [(places.operators_at, len(chosen)), *places.emptied]
    for slot, place in enumerate(chosen, start=1):
        slot_at = places.operators_at + slot * WORD_BYTES
        if places.tables_at[place] <= slot_at:
            raise ModelFileError("TFLite data", "its operators stand before the list of them; it cannot be cut")
        words.append((slot_at, places.tables_at[place] - slot_at))
    operators = [parsed.operators[place] for place in chosen]
    inner = {index for operator in operators[:-1] for index in operator.outputs}
    inputs = tuple(
        index
        for index in dict.fromkeys(index for operator in operators for index in operator.inputs)
        if index >= 0 and index not in inner and parsed.tensors[index].data is None
    )
    return TflitePart(
        words=tuple(words), lists=((places.inputs_at, inputs), (places.outputs_at, operators[-1].outputs))
    )


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
