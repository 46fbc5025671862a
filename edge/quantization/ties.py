"""Which activations of a graph must share one scale and zero point, and what is known of their sign beforehand."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from edge.artifact.scheme import INT8_SCHEME, TIED, Scheme
from edge.graph.graph import Graph, Operator

# Cannot be negative, and an upper bound if there is one.
Bound = tuple[bool, float | None]
NONNEGATIVE = frozenset({"Relu", "Abs", "Sqrt", "Rsqrt", "Exp"})


@dataclass(frozen=True, kw_only=True)
class RangeGroup:
    """Activations that share their parameters.

    Attributes:
        name: the group's first tensor in graph order.
        tensors: every member, in graph order.
        sources: the members whose values decide the range: model inputs and outputs of operators that are not tied.
        nonnegative: no member can hold a negative value, so the range starts at 0 (zero point -128).
        ceiling: no member can exceed it (6 where every source ends in a ReLU6), or None.
        fixed: the scale and zero point that every producing kernel demands, or None. Where only some demand them, the
            group has a range of its own, and what those write is requantized to it when the file is written.
        opens: a gate reads it (Sigmoid, Tanh), which may start from zeros and move either way.
        of_input: the model's input is a member.
    """

    name: str
    tensors: tuple[str, ...]
    sources: tuple[str, ...]
    nonnegative: bool
    ceiling: float | None
    fixed: tuple[float, int] | None
    opens: bool = False
    of_input: bool = False


def range_groups(graph: Graph, scheme: Scheme = INT8_SCHEME) -> tuple[RangeGroup, ...]:
    """Group the real-valued activations of a graph (float, or int with parameters) by the ties of the kernels.

    Operators of `TIED` tie their inputs and output; the output of a kind of `scheme.fixed` has the fixed parameters.
    Integer results (ArgMax) belong to no group.
    """
    order = activations(graph)
    root = {name: name for name in order}

    def find(name: str) -> str:
        while root[name] != name:
            name = root[name]
        return name

    position = {name: index for index, name in enumerate(order)}
    for operator in graph.operators:
        if operator.kind in TIED:
            roots = {find(name) for name in (*operator.inputs, *operator.outputs) if name in root}
            first = min(roots, key=position.__getitem__, default="")
            root.update(dict.fromkeys(roots, first))
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(find(name), []).append(name)
    producers = {name: operator for operator in graph.operators for name in operator.outputs}
    bounds = _bounds(graph, producers, order)
    opening = {operator.inputs[0] for operator in graph.operators if operator.kind in ("Sigmoid", "Tanh")}
    groups = (_group(first, names, producers, bounds, scheme) for first, names in members.items())
    return tuple(
        replace(
            group,
            opens=not opening.isdisjoint(group.tensors),
            of_input=not set(graph.inputs).isdisjoint(group.tensors),
        )
        for group in groups
    )


def activations(graph: Graph) -> tuple[str, ...]:
    """Names of the tensors that stand for real numbers and are not constants: inputs first, then graph order."""
    names = [*graph.inputs, *(name for operator in graph.operators for name in operator.outputs if name)]
    return tuple(name for name in dict.fromkeys(names) if graph.tensors[name].dtype not in ("int32", "int64", "bool"))


def _group(
    first: str, names: list[str], producers: Mapping[str, Operator], bounds: Mapping[str, Bound], scheme: Scheme
) -> RangeGroup:
    sources = [name for name in names if name not in producers or _decides(producers[name], bounds)]
    ceilings = [bounds[name][1] for name in sources]
    known = [ceiling for ceiling in ceilings if ceiling is not None]
    fixed = {_fixed(producers[name], producers, scheme) if name in producers else None for name in sources}
    return RangeGroup(
        name=first,
        tensors=tuple(names),
        sources=tuple(sources),
        nonnegative=all(bounds[name][0] for name in sources),
        ceiling=max(known) if len(known) == len(sources) and known else None,
        fixed=fixed.pop() if len(fixed) == 1 else None,
    )


def _fixed(operator: Operator, producers: Mapping[str, Operator], scheme: Scheme) -> tuple[float, int] | None:
    """The parameters that a kernel demands of its output; of such a tensor added to itself, those of twice the scale.

    The sum is then the same integers: 2 sigmoid(2 z), which is 1 + tanh(z), costs a gate nothing.
    """
    if operator.kind == "Add" and len(set(operator.inputs)) == 1 and operator.inputs[0] in producers:
        parameters = scheme.fixed.get(producers[operator.inputs[0]].kind)
        unclamped = operator.attributes["activation"] == "none"
        return (2.0 * parameters[0], parameters[1]) if parameters is not None and unclamped else None
    return scheme.fixed.get(operator.kind)


def _decides(operator: Operator, bounds: Mapping[str, Bound]) -> bool:
    """Whether an operator's result is not among its inputs' values: a constant of a Concat or Max may lie outside.

    So may the value of a Pad; that of a ReLU or Clip cannot.
    """
    if operator.kind == "Pad":
        return bool(operator.attributes["value"] != 0)
    return operator.kind not in TIED or any(name not in bounds for name in operator.inputs if name)


def _bounds(graph: Graph, producers: Mapping[str, Operator], order: tuple[str, ...]) -> dict[str, Bound]:
    """Per activation: cannot be negative, and its upper bound if there is one."""
    bounds: dict[str, Bound] = {}
    for name in order:
        operator = producers.get(name)
        bounds[name] = (False, None) if operator is None else _operator_bounds(graph, operator, bounds)
    return bounds


def _operator_bounds(graph: Graph, operator: Operator, bounds: Mapping[str, Bound]) -> Bound:
    activation = operator.attributes.get("activation", "none")
    if activation == "relu6" or operator.kind == "Relu6":
        return True, 6.0
    if operator.kind in ("Softmax", "Sigmoid", "HardSigmoid"):
        return True, 1.0
    if activation == "relu" or operator.kind in NONNEGATIVE:
        return True, None
    if operator.kind not in TIED and operator.kind != "Mean":
        return False, None
    inputs = [bounds[name] if name in bounds else _constant_bounds(graph, name) for name in operator.inputs if name]
    if operator.kind == "Pad":
        inputs.append((operator.attributes["value"] >= 0, float(operator.attributes["value"])))
    ceilings = [ceiling for _, ceiling in inputs if ceiling is not None]
    low = any(low for low, _ in inputs) if operator.kind == "Max" else all(low for low, _ in inputs)
    if operator.kind == "Clip" and operator.attributes["min"] >= 0:
        low = True
    return bool(inputs) and low, max(ceilings) if len(ceilings) == len(inputs) and ceilings else None


def _constant_bounds(graph: Graph, name: str) -> Bound:
    """The bounds of an operand that is a constant; axes and indices bound nothing."""
    tensor = graph.tensors[name]
    if tensor.data is None or not tensor.dtype.startswith("float") or not tensor.data.size:
        return True, None
    return bool(tensor.data.min() >= 0), float(tensor.data.max())
