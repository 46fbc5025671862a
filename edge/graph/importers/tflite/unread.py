"""What stands in a sound TFLite file and is not read here, called what it is: states, scratch, sparse weights."""

from collections.abc import Collection, Mapping, Sequence

from edge.graph.importers.tflite.parsing.file import FileOperator, FileTensor

SHOWN = 3
# Custom code of an operator -> what it is given beside its inputs.
SCRATCH: Mapping[str, str] = {"ethos-u": "Vela scratch"}
NOTHING_MAKES = "tensors that nothing makes"


def unread_parts(operator: FileOperator, tensors: Sequence[FileTensor], produced: Collection[int]) -> dict[int, str]:
    """What of an operator's tensors is not read here, by index, and what it is called; empty for a plain operator.

    Args:
        produced: indices of the tensors that an operator or the caller makes.
    """
    found: dict[int, str] = {}
    for index in (*operator.inputs, *operator.outputs):
        if index < 0:
            continue
        tensor = tensors[index]
        if tensor.unread:
            found[index] = tensor.unread
        elif tensor.data is None and index not in produced and 0 not in tensor.shape:
            found[index] = SCRATCH.get(operator.code, NOTHING_MAKES)
    return found


def unread_notes(unread: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """One sentence for each kind of tensor that is not read, with the names of the first ones."""
    return tuple(
        f"not supported here: {what} ({', '.join(list(names)[:SHOWN])}{', ...' if len(names) > SHOWN else ''}); "
        f"their values and bytes are not counted, and their operators are not simulated"
        for what, names in unread.items()
    )
