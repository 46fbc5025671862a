"""The state of one lowering: names, values, and the operators, tensors and layers made so far."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor
from edge.quantization.layers import FoldedLayer, Norm


class Ref(str):
    """The name of an activation, told apart from a string that a call takes as an option."""

    __slots__ = ()


class Lowerer:
    """Collects a graph node by node.

    Attributes:
        values: what every traced node gave for the example.
        operators, tensors, inputs: the graph so far.
        layers, layer_of: see `edge.quantization.lower.Lowered`.
    """

    def __init__(self, traced: fx.GraphModule, values: Mapping[fx.Node, Any]) -> None:
        self.traced = traced
        self.values = values
        self.operators: list[Operator] = []
        self.tensors: list[Tensor] = []
        self.inputs: list[str] = []
        self.layers: dict[str, FoldedLayer] = {}
        self.layer_of: dict[str, str] = {}
        self._refs: dict[fx.Node, Ref] = {}
        self._names: set[str] = set()
        self._owned: dict[str, tuple[str, str]] = {}

    def add_input(self, node: fx.Node) -> None:
        """Declare a placeholder as the model's input; one that was left at its default is none."""
        value = self.values[node]
        if not isinstance(value, torch.Tensor):
            return
        if self.inputs:
            raise UnsupportedError(f"the model has a second tensor input '{node.name}'; one image input is supported")
        self.inputs.append(self._declare(node, str(node.target)))

    def module(self, node: fx.Node) -> nn.Module:
        """The module that a call_module node calls."""
        return self.traced.get_submodule(str(node.target))

    def name_of(self, node: fx.Node) -> str:
        """The node's place in the model, for operator names and messages: `blocks.2.project.conv`, `blocks.2.add`."""
        if node.op == "call_module":
            return str(node.target)
        stack = node.meta.get("nn_module_stack") or {}
        scope = next(reversed(stack), "") if stack else ""
        what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)
        return f"{scope}.{what}" if scope else str(what)

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Shape of the node's value for the example."""
        return tuple(int(size) for size in self.values[node].shape)

    def is_activation(self, node: fx.Node) -> bool:
        """Tell whether the node's value depends on the input."""
        return node in self._refs

    def resolve(self, argument: Any) -> Any:
        """Replace nodes inside an argument: activations by their Ref, everything else by its value."""
        if isinstance(argument, fx.Node):
            return self._refs[argument] if argument in self._refs else self.values[argument]
        if isinstance(argument, slice):
            return slice(self.resolve(argument.start), self.resolve(argument.stop), self.resolve(argument.step))
        if isinstance(argument, tuple | list):
            return type(argument)(self.resolve(item) for item in argument)
        if isinstance(argument, dict):
            return {key: self.resolve(value) for key, value in argument.items()}
        return argument

    def alias(self, node: fx.Node, ref: Ref) -> None:
        """Let a node stand for an activation that exists: it computes nothing in evaluation mode."""
        self._refs[node] = ref

    def shape_of(self, ref: Ref) -> tuple[int, ...]:
        """Shape of an activation."""
        return next(tensor.shape for tensor in self.tensors if tensor.name == ref)

    def emit(
        self, node: fx.Node, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any], name: str = ""
    ) -> str:
        """Append an operator whose result is the node's value; gives the operator's name."""
        for ref in inputs:
            if not isinstance(ref, str):
                raise UnsupportedError(
                    f"{kind} ({self.name_of(node)}) with a constant operand cannot be quantized; replace it"
                )
        name = name or self._unique(self.name_of(node))
        output = self._declare(node, name)
        self.operators.append(
            Operator(
                kind=kind, name=name, inputs=tuple(map(str, inputs)), outputs=(str(output),), attributes=attributes
            )
        )
        return name

    def emit_layer(
        self,
        node: fx.Node,
        ref: Ref,
        layer: tuple[str, nn.Conv2d | nn.Linear],
        norm: tuple[str, Norm] | None,
        attributes: Mapping[str, Any],
    ) -> None:
        """Append a Conv or Gemm with its folded constants.

        Args:
            node: the node whose value is the result (the norm's, if there is one).
            layer, norm: path in the model and module.
        """
        path, module = layer
        key = path if norm is None else f"{path}+{norm[0]}"
        if self._owned.setdefault(path, (path, key))[1] != key:
            raise UnsupportedError(f"{path} is called with different batch norms; give each its own layer")
        if key not in self.layers:
            self.layers[key] = FoldedLayer(module, None if norm is None else norm[1])
        kind = "Gemm" if isinstance(module, nn.Linear) else "Conv"
        name = self._unique(path)
        with torch.no_grad():
            weight, bias = self.layers[key].folded()
        constants = {f"{name}.weight": weight, f"{name}.bias": bias}
        for constant, values in constants.items():
            array = np.array(values.detach().numpy(), np.float32)
            self.tensors.append(Tensor(name=constant, shape=array.shape, dtype="float32", data=array))
        self.layer_of[name] = key
        self.emit(node, kind, (ref, *constants), attributes, name=name)

    def _unique(self, name: str) -> str:
        name = name or "operator"
        candidate, count = name, 0
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def _declare(self, node: fx.Node, name: str) -> Ref:
        ref = Ref(name)
        self._names.add(name)
        dtype = {torch.float32: "float32", torch.int64: "int32"}.get(self.values[node].dtype)
        shape = self.shape(node)
        if dtype is None or not shape or shape[0] != 1:
            raise UnsupportedError(
                f"{self.name_of(node)} gives {self.values[node].dtype} {shape}; the first axis must stay the batch"
            )
        self.tensors.append(Tensor(name=name, shape=shape, dtype=dtype))
        self._refs[node] = ref
        return ref
