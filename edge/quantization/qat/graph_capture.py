"""The state of one capture: names, values, and the operators, tensors and layers made so far."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from edge.errors import UnsupportedError
from edge.graph.graph import Operator, Tensor
from edge.quantization.qat.layers import FoldedLayer, Norm
from edge.quantization.qat.trace import IN_PLACE, Trace, same_view


class Ref(str):
    """The name of an activation, told apart from a string that a call takes as an option."""

    __slots__ = ()


class GraphCapture:
    """Collects a graph node by node.

    Attributes:
        modules: by every path in the model.
        values, overwritten: see `edge.quantization.qat.trace.Trace`.
        operators, tensors, inputs: the graph so far.
        layers, layer_of: see `edge.quantization.qat.capture.Captured`.
        parted: result of an unfold -> the same as (1, C, K K, positions), which a reshape of it may start from.
    """

    def __init__(self, traced: Trace) -> None:
        self.modules: dict[str, nn.Module] = dict(traced.model.named_modules(remove_duplicate=False))
        self.values = traced.values
        self.overwritten = traced.overwritten
        self.operators: list[Operator] = []
        self.tensors: list[Tensor] = []
        self.inputs: list[str] = []
        self.layers: dict[str, FoldedLayer] = {}
        self.layer_of: dict[str, str] = {}
        self.parted: dict[Ref, Ref] = {}
        self._refs: dict[fx.Node, Ref] = {}
        self._stale: dict[fx.Node, fx.Node] = {}
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
        return self.modules[str(node.target)]

    def name_of(self, node: fx.Node) -> str:
        """The node's place in the model, for operator names and messages: `blocks.2.project.conv`, `blocks.2.add`."""
        if node.op == "call_module":
            return str(node.target)
        stack = node.meta.get("nn_module_stack") or {}
        scope = next(reversed(stack), "") if stack else ""
        what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", node.name)
        what = IN_PLACE.get(node.target, what)
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
            if argument in self._stale:
                raise UnsupportedError(
                    f"'{self.name_of(self._stale[argument])}' changes in place a part of '{self.name_of(argument)}', "
                    "which is read afterwards; compute a new tensor instead"
                )
            return self._refs[argument] if argument in self._refs else self.values[argument]
        if isinstance(argument, slice):
            return slice(self.resolve(argument.start), self.resolve(argument.stop), self.resolve(argument.step))
        if isinstance(argument, tuple | list):
            items = [self.resolve(item) for item in argument]
            return items if isinstance(argument, list) else tuple(items)
        if isinstance(argument, dict):
            return {key: self.resolve(value) for key, value in argument.items()}
        return argument

    def alias(self, node: fx.Node, ref: Ref) -> None:
        """Let a node stand for an activation that exists: it computes nothing in evaluation mode."""
        self._refs[node] = ref

    def current(self, node: fx.Node | None) -> Ref | None:
        """The activation that a node's value is now, after what was changed in place; None where there is none."""
        return None if node is None or node in self._stale else self._refs.get(node)

    def overwrite(self, node: fx.Node) -> None:
        """Take in what the node just captured wrote in place: other names of what it gave now mean the new value.

        Parts and wholes of it are marked, so that reading them is refused.

        Raises:
            UnsupportedError: it wrote to a parameter or buffer, or to an activation without giving the new value.
        """
        for earlier in self.overwritten.get(node, ()):
            if earlier not in self._refs and node not in self._refs:
                continue  # between constants, whose values are read where they are used
            if earlier.op == "get_attr" or node not in self._refs:
                written = str(earlier.target) if earlier.op == "get_attr" else self.name_of(earlier)
                raise UnsupportedError(
                    f"'{self.name_of(node)}' changes '{written}' in place, which cannot be captured; "
                    "compute a new tensor instead"
                )
            if same_view(self.values[earlier], self.values[node]):
                self._refs[earlier] = self._refs[node]
                self._stale.pop(earlier, None)
            else:
                self._stale[earlier] = node

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
        self._append(kind, name, inputs, self._declare(node, name), attributes)
        return name

    def emit_inner(
        self,
        node: fx.Node,
        kind: str,
        inputs: Sequence[Ref],
        attributes: Mapping[str, Any],
        shape: tuple[int, ...],
        what: str,
    ) -> Ref:
        """Append an operator on the way to a node's value, named `what` behind the node; gives its result."""
        output = Ref(self._unique(f"{self.name_of(node)}.{what}"))
        self.tensors.append(Tensor(name=output, shape=shape, dtype="float32"))
        self._append(kind, output, inputs, output, attributes)
        return output

    def _append(self, kind: str, name: str, inputs: Sequence[str], output: Ref, attributes: Mapping[str, Any]) -> None:
        names = tuple(map(str, inputs))
        self.operators.append(
            Operator(kind=kind, name=name, inputs=names, outputs=(str(output),), attributes=attributes)
        )

    def emit_layer(
        self,
        node: fx.Node,
        ref: Ref,
        layer: tuple[str, nn.Conv2d | nn.Linear],
        norm: tuple[str, Norm] | None,
        attributes: Mapping[str, Any],
        inner_shape: tuple[int, ...] | None = None,
    ) -> Ref | None:
        """Append a Conv or Gemm with its folded constants.

        Args:
            node: the node whose value is the result (the norm's, if there is one).
            layer, norm: path in the model and module.
            inner_shape: the result's shape, where it is only on the way to the node's value; it is then given back.
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
        if inner_shape is None:
            self.emit(node, kind, (ref, *constants), attributes, name=name)
            return None
        output = Ref(name)
        self.tensors.append(Tensor(name=name, shape=inner_shape, dtype="float32"))
        self._append(kind, name, (ref, *constants), output, attributes)
        return output

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
