"""Names of a written ONNX file: those that a writer makes (`T/scale`) never meet a tensor of the model called the same.

Writers see the model's tensors under marked names, so that whatever they derive from one can be told from every tensor
of the model. At the end the marks go, and a derived name that the model has itself is numbered.
"""

from collections.abc import Iterable
from dataclasses import replace

from onnx import NodeProto, TensorProto

from edge.graph.graph import Graph
from edge.graph.passes.rewrite import fresh_name

MARK = "\x1f"


class NamesApart:
    """A graph with marked names, and the way back.

    Attributes:
        graph: the same graph; every tensor's name ends in a mark that no name of the model holds.
    """

    def __init__(self, graph: Graph) -> None:
        self._mark = MARK
        while any(self._mark in name for name in graph.tensors):
            self._mark += MARK
        self._names = {self._marked(name): name for name in graph.tensors}
        self._taken = set(graph.tensors)
        self.graph = replace(
            graph,
            tensors={self._marked(n): replace(tensor, name=self._marked(n)) for n, tensor in graph.tensors.items()},
            operators=tuple(
                replace(
                    operator,
                    inputs=tuple(self._marked(name) for name in operator.inputs),
                    outputs=tuple(self._marked(name) for name in operator.outputs),
                )
                for operator in graph.operators
            ),
            inputs=tuple(self._marked(name) for name in graph.inputs),
            outputs=tuple(self._marked(name) for name in graph.outputs),
        )

    def put_back(self, nodes: Iterable[NodeProto], constants: Iterable[TensorProto]) -> None:
        """Give the nodes and constants that were written the names that the file has."""
        for constant in constants:
            constant.name = self._final(constant.name)
        for node in nodes:
            inputs, outputs = [[self._final(name) for name in side] for side in (node.input, node.output)]
            del node.input[:], node.output[:]
            node.input.extend(inputs)
            node.output.extend(outputs)
            node.name = node.name.replace(self._mark, "")

    def _marked(self, name: str) -> str:
        return f"{name}{self._mark}" if name else ""

    def _final(self, name: str) -> str:
        if name and name not in self._names:
            self._names[name] = fresh_name(name.replace(self._mark, ""), self._taken)
            self._taken.add(self._names[name])
        return self._names.get(name, "")
