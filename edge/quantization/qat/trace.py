"""Trace: a module traced by torch.fx in evaluation mode, run once, with what every call gave and what it overwrote.

torch.fx records values, not storage: `relu_(y)` is a call like any other, and what reads `y` behind it seems to read
the value before. The run therefore watches the tensors' version counters and keeps, for every node that wrote in
place, the earlier nodes whose memory it wrote to.
"""

import copy
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn
from torch.utils._pytree import tree_leaves

from edge.errors import UnsupportedError
from edge.models.blocks import SamePadConv2d
from edge.models.computed_convolution import ComputedConvolution


@dataclass(frozen=True, kw_only=True)
class ModuleCall:
    """One call of a module in the trace.

    Attributes:
        path: the module's first name in the model; the module is a leaf or was traced through.
        results: the node of each value that it returned; None for a value that is no traced one.
        last: the last node traced before it returned.
    """

    path: str
    results: tuple[fx.Node | None, ...]
    last: fx.Node


@dataclass(frozen=True, kw_only=True)
class Trace:
    """A traced module.

    Attributes:
        model: the float32 copy that was traced, in evaluation mode.
        graph: its calls.
        calls: every call of a module, in the order in which they returned.
        values: what each node gave for the example.
        overwritten: node that wrote in place -> the earlier nodes whose values share the memory that it wrote to.
    """

    model: nn.Module
    graph: fx.Graph
    calls: Sequence[ModuleCall]
    values: dict[fx.Node, Any]
    overwritten: dict[fx.Node, tuple[fx.Node, ...]]


IN_PLACE: Mapping[Any, str] = {
    getattr(operator, f"i{name}"): name
    for name in (
        "add",
        "and",
        "floordiv",
        "lshift",
        "matmul",
        "mod",
        "mul",
        "or",
        "pow",
        "rshift",
        "sub",
        "truediv",
        "xor",
    )
}
"""The functions of `+=` and its like -> the names of the operators without the equals sign."""


class _Proxy(fx.Proxy):
    """A stand-in that records `+=` and writing by index; torch.fx's own takes `y += z` for `y = y + z`."""

    def __setitem__(self, index: Any, value: Any) -> None:
        self.tracer.create_proxy("call_function", operator.setitem, (self, index, value), {})


def _recorded(function: Any) -> Any:
    return lambda self, other: self.tracer.create_proxy("call_function", function, (self, other), {})


for _function in IN_PLACE:
    setattr(_Proxy, f"__{_function.__name__}__", _recorded(_function))


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[ModuleCall] = []
        self.inside: list[str] = []

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        computed = isinstance(m, ComputedConvolution)
        return computed or type(m) is SamePadConv2d or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        self.inside.append(self.path_of_module(m))
        result = super().call_module(m, forward, args, kwargs)
        results = tuple(leaf.node if isinstance(leaf, fx.Proxy) else None for leaf in tree_leaves(result))
        self.calls.append(ModuleCall(path=self.inside.pop(), results=results, last=next(reversed(self.graph.nodes))))
        return result


class _Recorder(fx.Interpreter):
    """Runs a trace, keeps every node's value and sees what it overwrites."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(model, garbage_collect_values=False, graph=graph)
        self.values: dict[fx.Node, Any] = {}
        self.overwritten: dict[fx.Node, tuple[fx.Node, ...]] = {}

    def run_node(self, n: fx.Node) -> Any:
        read = [tensor for node in n.all_input_nodes for tensor in tensors_of(self.values[node])]
        versions = [tensor._version for tensor in read]
        value = super().run_node(n)
        written = {_memory(tensor) for tensor, version in zip(read, versions, strict=True) if tensor._version > version}
        if written:
            self.overwritten[n] = tuple(
                node
                for node, earlier in self.values.items()
                if any(_memory(tensor) in written for tensor in tensors_of(earlier))
            )
        self.values[n] = value
        return value


def trace(model: nn.Module, example: torch.Tensor) -> Trace:
    """Trace a copy of a model and run it once; the model is not changed.

    Raises:
        UnsupportedError: it cannot be copied, traced (control flow that depends on data, writing by index), or run on
            the example's shape.
    """
    reference = float_copy(model)
    tracer = _Tracer()
    try:
        graph = tracer.trace(reference)
    except Exception as error:  # the module's own code runs here, on stand-ins for tensors
        where = f" in {tracer.inside[-1]}" if tracer.inside else ""
        raise UnsupportedError(
            f"{type(model).__name__} cannot be traced by torch.fx{where}: {line(error)}; "
            "remove control flow and loops that depend on tensors or their shapes"
        ) from error
    _require_one_input(graph)
    recorder = _Recorder(reference, graph)
    with torch.no_grad():
        try:
            recorder.run(example.clone())
        except Exception as error:  # as above
            raise UnsupportedError(f"the model does not run on {tuple(example.shape)}: {line(error)}") from error
    return Trace(
        model=reference, graph=graph, calls=tracer.calls, values=recorder.values, overwritten=recorder.overwritten
    )


def _require_one_input(graph: fx.Graph) -> None:
    given = [node for node in graph.nodes if node.op == "placeholder"]
    stars = {node for node in given if str(node.target).startswith("*")}
    used = {node for node in given if node.users or not (node.args or node in stars)}  # args: a default
    wrong = [str(node.target) for node in given if node in used and (node is not given[0] or node in stars)]
    if wrong:
        raise UnsupportedError(
            f"forward takes '{wrong[0]}' beside one image; hand over a module whose forward takes the image alone"
        )


def float_copy(model: nn.Module) -> nn.Module:
    """A float32 copy on the CPU in evaluation mode. Refuses (UnsupportedError) a model that cannot be copied."""
    try:
        return copy.deepcopy(model).cpu().float().eval()
    except Exception as error:  # whatever the model's attributes are
        raise UnsupportedError(f"{type(model).__name__} cannot be copied: {line(error)}") from error


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors in a value that may be a tuple, list or dict of them."""
    return [leaf for leaf in tree_leaves(value) if isinstance(leaf, torch.Tensor)]


def same_view(one: Any, other: Any) -> bool:
    """Whether two values are one and the same part of one memory, so that they hold the same numbers for ever."""
    return (
        isinstance(one, torch.Tensor)
        and isinstance(other, torch.Tensor)
        and (one.data_ptr(), one.shape, one.stride(), one.dtype)
        == (other.data_ptr(), other.shape, other.stride(), other.dtype)
    )


def line(error: BaseException) -> str:
    """An error's message in one line, without the node that torch.fx tells behind it."""
    return " ".join(str(error).partition("\nWhile executing %")[0].split())[:200] or type(error).__name__


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()
