"""The operators of a graph as the TFLite file has them: what reading spread over several is one again."""

from dataclasses import replace

from edge.graph.graph import Graph, Operator


def file_operators(graph: Graph) -> tuple[Operator, ...]:
    """One operator per operator of the file, in the file's order: its own inputs, and all its outputs.

    Where reading made several of one, it is the last of them (which alone has a `source`) with the tensors of all.

    Args:
        graph: as `read_tflite` gives it. Dequantized constants (float16, int8), which it folds, are not among them.
    """
    found, parts = [], list[Operator]()
    for operator in graph.operators:
        parts.append(operator)
        if operator.source:
            found.append(operator if len(parts) == 1 else _joined(parts))
            parts = []
    return tuple(found)


def _joined(parts: list[Operator]) -> Operator:
    made = [name for part in parts for name in part.outputs]
    read = dict.fromkeys(name for part in parts for name in part.inputs)
    return replace(
        parts[-1],
        inputs=tuple(name for name in read if name not in made),
        outputs=tuple(name for name in made if name not in read),
    )
