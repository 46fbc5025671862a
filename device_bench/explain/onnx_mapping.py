"""What ONNX Runtime executes, mapped back to the operators of the file: fused, split, reordered and inserted nodes."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Endings that the runtime gives to nodes it puts in the place of others; the layouts' are followed by a tensor's name.
TOKEN = re.compile(r"(_token_\d+)+$")
LAYOUT = re.compile(r"_(nchwc|nhwc)$")
FUSED = re.compile(r"^fused |/(MatMulAddFusion|MatMulTransposeFusion|GemmTransposeFusion)/?$")
ROUNDING = frozenset({"QuantizeLinear", "DequantizeLinear"})
# Nodes that the runtime puts between others; one is the file's only if its own output is that of such a node.
MOVERS = frozenset(
    {"Transpose", "ReorderInput", "ReorderOutput", "MemcpyFromHost", "MemcpyToHost", "Cast", "Reshape", *ROUNDING}
)
# Nodes of the file that, when they vanish, went into the one that reads them; all others into the one they read.
FORWARD = frozenset({"DequantizeLinear", "Pad", "Transpose"})
KERNELS_PREFIX = re.compile(r"^(QLinear|DynamicQuantize|Fused|Nhwc|Q)(?=[A-Z])")


@dataclass(frozen=True, kw_only=True)
class FileNode:
    """A node of the file: inputs without constants; operators: positions in the facts that it is part of."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    operators: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class RunNode:
    """An executed node, as of `device_bench.agent.onnx_profile`."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Group:
    """Executed nodes and the file's operators that they compute together.

    Attributes:
        operators: positions; empty for a node that the runtime inserted. An operator is in exactly one group.
        nodes: positions in order of execution; empty for operators that the runtime removed.
    """

    operators: tuple[int, ...]
    nodes: tuple[int, ...]


def group_nodes(file: Sequence[FileNode], run: Sequence[RunNode], operators: int) -> list[Group]:
    """Divide executed nodes and operators into the smallest groups that share no node of the file.

    A node of the file went into the executed node of its name, or into the one that makes its output; what is left
    (rectifiers, additions, roundings that were fused) into the one that computes its inputs last, and a pad or a
    dequantization into the one that reads it. Roundings join groups only where one is executed or is an operator. An
    operator of which some node is known by name needs no inference: what several operators share joins none of them.

    Args:
        operators: how many operators the file has.

    Returns:
        In order of their last nodes; removed operators behind all. Every executed node and every operator once.
    """
    seeds = _seeds(file, run)
    owners = _spread(file, run, seeds)
    joined = _Joined(len(run) + operators)
    explicit = {place for place, owner in seeds.items() if run[owner].kind in ROUNDING}
    alone = _only_rounding(file)
    links = [
        (place, operator)
        for place, node in enumerate(file)
        for operator in node.operators
        if place in owners and (node.kind not in ROUNDING or place in explicit or operator in alone)
    ]
    known = {operator for place, operator in links if place in seeds}
    for place, operator in links:
        if place in seeds or operator not in known:
            joined.join(owners[place], len(run) + operator)
    return joined.groups(len(run))


def _seeds(file: Sequence[FileNode], run: Sequence[RunNode]) -> dict[int, int]:
    """File nodes whose executed node is known by a name: position -> position of the executed node."""
    names = {node.name: place for place, node in reversed(list(enumerate(file)))}
    makers = {name: place for place, node in enumerate(file) for name in node.outputs}
    seeds: dict[int, int] = {}
    for position, node in enumerate(run):
        place = _named(node.name, names, makers)
        if place is not None and not _inserted(node, file[place]):
            seeds.setdefault(place, position)
    same = _passed_through(run, makers)
    for position, node in enumerate(run):
        for name in node.outputs:
            place = makers.get(same.get(name, name), _named_after(node, name, file, names))
            if place is not None and not _inserted(node, file[place]):
                seeds.setdefault(place, position)
    return seeds


def _named(name: str, names: Mapping[str, int], makers: Mapping[str, int]) -> int | None:
    if name in names:
        return names[name]
    plain = TOKEN.sub("", name)
    if LAYOUT.search(plain):
        plain = LAYOUT.sub("", plain)
        return makers.get(plain, names.get(plain))
    plain = FUSED.sub("", plain)
    return names.get(plain, makers.get(plain))


def _named_after(node: RunNode, output: str, file: Sequence[FileNode], names: Mapping[str, int]) -> int | None:
    """Older versions give a new name to a node and the file's node's name to its new output."""
    place = names.get(TOKEN.sub("", output))
    return place if place is not None and file[place].kind == _kernel(node.kind) else None


def _inserted(node: RunNode, candidate: FileNode) -> bool:
    return node.kind in MOVERS and candidate.kind != node.kind


def _passed_through(run: Sequence[RunNode], makers: Mapping[str, int]) -> dict[str, str]:
    """Tensors that an inserted node only moves: its input's name -> the file's name of its output."""
    same: dict[str, str] = {}
    for node in reversed(run):
        if node.kind in MOVERS and len(node.inputs) == 1 and node.outputs:
            target = same.get(node.outputs[0], node.outputs[0])
            if target in makers and node.inputs[0] not in makers:
                same[node.inputs[0]] = target
    return same


def _spread(file: Sequence[FileNode], run: Sequence[RunNode], seeds: Mapping[int, int]) -> dict[int, int]:
    """The executed node of every node of the file."""
    owners = dict(seeds)
    makers = {name: place for place, node in enumerate(file) for name in node.outputs}
    for place, position in seeds.items():
        if _kernel(run[position].kind) != file[place].kind and run[position].kind not in ROUNDING:
            _claim_back(file, makers, owners, run[position], position, place)
    for position in range(len(run)):
        if position not in owners.values() and run[position].kind not in MOVERS:
            _claim_between(file, run, owners, position)
    for place, node in enumerate(file):
        sources = [owners[makers[name]] for name in node.inputs if name in makers and makers[name] in owners]
        if place not in owners and node.kind not in FORWARD and sources:
            owners[place] = max(sources)
    readers: dict[str, list[int]] = {}
    for place in reversed(range(len(file))):
        node = file[place]
        if place not in owners:
            targets = [owners[reader] for name in node.outputs for reader in readers.get(name, ()) if reader in owners]
            sources = [owners[makers[name]] for name in node.inputs if name in makers and makers[name] in owners]
            if targets or sources:
                owners[place] = min(targets) if targets else max(sources)
        for name in node.inputs:
            readers.setdefault(name, []).append(place)
    return owners


def _claim_back(
    file: Sequence[FileNode],
    makers: Mapping[str, int],
    owners: dict[int, int],
    node: RunNode,
    position: int,
    place: int,
) -> None:
    """From the last of several fused nodes back to the one whose kernel it is, or to what the executed node reads."""
    waiting = [name for name in file[place].inputs if name not in node.inputs]
    while waiting:
        source = makers.get(waiting.pop())
        if source is None or source in owners:
            continue
        owners[source] = position
        if file[source].kind != _kernel(node.kind):
            waiting.extend(name for name in file[source].inputs if name not in node.inputs)


def _claim_between(file: Sequence[FileNode], run: Sequence[RunNode], owners: dict[int, int], position: int) -> None:
    """For an executed node without a known name: what lies in the file between its neighbours' nodes."""
    before, after = _neighbours(run, position, backward=True), _neighbours(run, position, backward=False)
    below = _reached(file, owners, before, backward=False)
    for place in below & _reached(file, owners, after, backward=True):
        owners[place] = position


def _neighbours(run: Sequence[RunNode], position: int, *, backward: bool) -> set[int]:
    """The executed nodes that it reads, or that read it, those that only move looked through."""
    found: set[int] = set()
    waiting = [position]
    while waiting:
        node = run[waiting.pop()]
        names = set(node.inputs if backward else node.outputs)
        for place, other in enumerate(run):
            if place not in found and names & set(other.outputs if backward else other.inputs):
                found.add(place)
                waiting += [place] if other.kind in MOVERS else []
    return found


def _reached(file: Sequence[FileNode], owners: Mapping[int, int], nodes: set[int], *, backward: bool) -> set[int]:
    """The file's nodes without an owner that are reached from those of `nodes` through such without an owner."""
    found: set[int] = set()
    waiting = [place for place, owner in owners.items() if owner in nodes]
    while waiting:
        node = file[waiting.pop()]
        names = set(node.inputs if backward else node.outputs)
        for place, other in enumerate(file):
            if place not in owners and place not in found and names & set(other.outputs if backward else other.inputs):
                found.add(place)
                waiting.append(place)
    return found


def _kernel(kind: str) -> str:
    return KERNELS_PREFIX.sub("", kind)


def _only_rounding(file: Sequence[FileNode]) -> set[int]:
    """Operators that are nothing but a rounding: those without a node of another kind."""
    every = {operator for node in file for operator in node.operators}
    return every - {operator for node in file if node.kind not in ROUNDING for operator in node.operators}


class _Joined:
    """Sets that grow together: executed nodes first, operators behind them."""

    def __init__(self, count: int) -> None:
        self._roots = list(range(count))

    def _root(self, place: int) -> int:
        while self._roots[place] != place:
            place = self._roots[place]
        return place

    def join(self, left: int, right: int) -> None:
        self._roots[max(self._root(left), self._root(right))] = min(self._root(left), self._root(right))

    def groups(self, nodes: int) -> list[Group]:
        members: dict[int, list[int]] = {}
        for place in range(len(self._roots)):
            members.setdefault(self._root(place), []).append(place)
        found = [
            Group(
                operators=tuple(place - nodes for place in places if place >= nodes),
                nodes=tuple(place for place in places if place < nodes),
            )
            for places in members.values()
        ]
        return sorted(found, key=lambda group: group.nodes[-1] if group.nodes else nodes)
