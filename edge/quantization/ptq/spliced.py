"""Some operators of an integer graph computed otherwise: in float, or over int16, between changes of number format."""

from collections.abc import Collection
from dataclasses import replace

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild


def spliced(graph: Graph, inner: Graph, names: Collection[str]) -> Graph:
    """The integer graph with the operators `names` taken from another form of the same network.

    Args:
        graph: int8, without Quantize and Dequantize.
        inner: the same operators and tensors by name, float32 or of other integers.

    Ensures: an activation that these operators alone make and read is `inner`'s; every other one stays `graph`'s and is
    changed for them by one operator (Dequantize, Quantize). An output of the graph stays what it is.

    Raises:
        UnsupportedError: an operator that is in only one of the two, or whose result is no real number.
    """
    work = _Splice(graph, inner, frozenset(names))
    for operator in graph.operators:
        work.operator(operator)
    return rebuild(graph, work.operators, work.tensors)


class _Splice:
    """The operators so far, and under which name an activation is read in the other form."""

    def __init__(self, graph: Graph, inner: Graph, names: frozenset[str]) -> None:
        self.graph, self.inner, self.names = graph, inner, names
        self.there = {operator.name: operator for operator in inner.operators}
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.operators: list[Operator] = []
        self.other: dict[str, str] = {}
        if missing := names - self.there.keys():
            raise UnsupportedError(f"operator '{min(missing)}' is not in both forms of '{graph.name}'")

    def operator(self, operator: Operator) -> None:
        """Take over one operator, in its own form or the other one."""
        if operator.name not in self.names:
            self.operators.append(operator)
            return
        taken = self.there[operator.name]
        (output,) = operator.outputs
        if self.graph.tensors[output].quantization is None:
            raise UnsupportedError(f"{operator.kind} '{operator.name}' makes no real numbers")
        inputs = tuple(self._read(name) if name else "" for name in taken.inputs)
        if output not in self.graph.outputs and all(one.name in self.names for one in self.graph.consumers(output)):
            self.tensors[output] = self.inner.tensors[output]
            self.other[output] = output
            self.operators.append(replace(taken, inputs=inputs))
            return
        made = self._add(f"{output}/taken_out", self.inner.tensors[output])
        self.operators.append(replace(taken, inputs=inputs, outputs=(made,)))
        self._change("Quantize", made, output)

    def _read(self, name: str) -> str:
        """The name of an input in the other form, which is made where nothing has it yet."""
        if name in self.other:
            return self.other[name]
        tensor = self.inner.tensors[name]
        made = self._add(f"{name}/real" if tensor.dtype == "float32" else f"{name}/{tensor.dtype}", tensor)
        self.other[name] = made
        if tensor.data is None:
            self._change("Dequantize" if tensor.dtype == "float32" else "Quantize", name, made)
        return made

    def _add(self, base: str, like: Tensor) -> str:
        made = fresh_name(base, self.tensors)
        self.tensors[made] = replace(like, name=made)
        return made

    def _change(self, kind: str, source: str, target: str) -> None:
        name = f"{target}/{kind.lower()}"
        self.operators.append(
            Operator(kind=kind, name=name, inputs=(source,), outputs=(target,), source=f"{kind}Linear")
        )
