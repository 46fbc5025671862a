"""Which operators of a graph each node of its ONNX file became part of: so are nodes' times told by operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from edge.graph.graph import Graph
from edge.graph.importers.onnx.parsing.file import open_onnx
from edge.graph.passes.rewrite import fresh_name


@dataclass(frozen=True, kw_only=True)
class OwnedNode:
    """A node of an ONNX file.

    Attributes:
        name: the file's; the name that `read_onnx` gives where the file has none.
        inputs: tensors without constants and absent ones.
        operators: positions in the graph's operators; empty for a node that was computed or removed on reading.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[int, ...]


def with_node_names(data: bytes) -> bytes | None:
    """The same ONNX file with a name of its own for every node of its main graph; None where each has one already.

    ONNX Runtime's profile tells nodes by their names, and names change nothing else.

    Raises:
        ModelFileError: as of `read_onnx`.
    """
    open_onnx(data, batch=1)
    model = onnx.load_from_string(data)
    taken = {node.name for node in model.graph.node}
    seen: set[str] = set()
    changed = False
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = fresh_name(f"{node.op_type}_{index}", taken)
            taken.add(node.name)
            changed = True
        seen.add(node.name)
    named: bytes = model.SerializeToString()
    return named if changed else None


def owned_nodes(source: Path | bytes, graph: Graph, *, batch: int | None = None) -> tuple[OwnedNode, ...]:
    """The file's nodes in order, each with the operators of `graph` that it is part of.

    A node belongs to the operator that bears its name, else to the one whose output is computed through it. An operator
    that stands for a part of a node shares that node.

    Args:
        graph: what `read_onnx` made of `source`.

    Raises:
        ModelFileError: as of `read_onnx`.
    """
    proto = open_onnx(source, batch=batch).model.graph
    constants = {constant.name for constant in proto.initializer}
    nodes = [
        OwnedNode(
            name=node.name or f"{node.op_type}_{index}",
            kind=node.op_type,
            inputs=tuple(name for name in node.input if name and name not in constants),
            outputs=tuple(name for name in node.output if name),
            operators=(),
        )
        for index, node in enumerate(proto.node)
    ]
    owners = _owners(nodes, graph)
    return tuple(
        OwnedNode(
            name=node.name, kind=node.kind, inputs=node.inputs, outputs=node.outputs, operators=tuple(sorted(own))
        )
        for node, own in zip(nodes, owners, strict=True)
    )


def _owners(nodes: Sequence[OwnedNode], graph: Graph) -> list[set[int]]:
    makers = {name: index for index, node in enumerate(nodes) for name in node.outputs}
    places = {node.name: index for index, node in enumerate(nodes)}
    owners: list[set[int]] = [set() for _ in nodes]
    for position, operator in enumerate(graph.operators):
        if operator.name in places:
            owners[places[operator.name]].add(position)
    ends = {name for operator in graph.operators for name in operator.outputs}
    for position, operator in enumerate(graph.operators):
        started = [makers[name] for name in operator.outputs if name in makers]
        if operator.name in places:
            started.append(places[operator.name])
        _walk_back(nodes, owners, makers, ends, position, started)
    _share(nodes, owners, places, graph)
    return owners


def _walk_back(
    nodes: Sequence[OwnedNode],
    owners: Sequence[set[int]],
    makers: Mapping[str, int],
    ends: set[str],
    position: int,
    started: Sequence[int],
) -> None:
    """Give an operator the nodes that lead to its output, up to other operators' outputs and other operators' nodes."""
    waiting, seen = list(started), set()
    while waiting:
        index = waiting.pop()
        if index in seen or (owners[index] and position not in owners[index]):
            continue
        seen.add(index)
        owners[index].add(position)
        waiting.extend(makers[name] for name in nodes[index].inputs if name in makers and name not in ends)


def _share(nodes: Sequence[OwnedNode], owners: Sequence[set[int]], places: Mapping[str, int], graph: Graph) -> None:
    """An operator without a node is a part of one: of the node that it is named after, else of its reader's nodes."""
    owned = set().union(*owners)
    readers = {name: place for place, entry in reversed(list(enumerate(graph.operators))) for name in entry.inputs}
    for position, operator in reversed(list(enumerate(graph.operators))):
        if position in owned:
            continue
        whole = places.get(operator.name.rpartition("/")[0])
        reader = next((readers[name] for name in operator.outputs if name in readers), None)
        for index, own in enumerate(owners):
            if index == whole or (whole is None and reader is not None and reader in own):
                own.add(position)
