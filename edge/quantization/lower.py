"""Lower a torch module to a float graph, keeping hold of the layers that its convolutions and products came from.

The module is traced by torch.fx in evaluation mode and run once on an example; every traced call with a tensor result
becomes one operator by the tables of `edge.quantization.lower_calls`, or is refused by name. Dropout and identities
vanish, batch norm folds into the layer before it, rectifiers fuse.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from edge.errors import UnsupportedError
from edge.graph.fuse_activations import fuse_activations
from edge.graph.graph import Graph, Operator, Tensor
from edge.models.blocks import SamePadConv2d
from edge.quantization.layers import FoldedLayer
from edge.quantization.lower_calls import FUNCTIONS, METHODS, MODULES
from edge.quantization.lowerer import Lowerer


@dataclass(frozen=True, kw_only=True)
class Lowered:
    """A float graph (nchw, batch norm folded, float32) and its trainable layers.

    Attributes:
        layers: layer key -> layer; independent copies of the model's.
        layer_of: name of each Conv or Gemm -> layer key. A layer that the model calls twice stands behind two.
        single_output: the model returned one tensor, not a tuple.
    """

    graph: Graph
    layers: Mapping[str, FoldedLayer]
    layer_of: Mapping[str, str]
    single_output: bool


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) is SamePadConv2d or super().is_leaf_module(m, module_qualified_name)


class _Recorder(fx.Interpreter):
    """Runs a traced module and keeps every node's value."""

    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module, garbage_collect_values=False)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        self.values[n] = value
        return value


def lower(model: nn.Module, example: torch.Tensor, *, name: str = "model") -> Lowered:
    """Lower a model for the input size of `example`; the model is not changed.

    Args:
        model: any module that torch.fx can trace, with one image input.
        example: float32 (1, 3, h, w), any values.

    Raises:
        UnsupportedError: an operation that has no operator here (named with its node), control flow that depends on
            data, or an input of another form.
    """
    if example.dim() < 2 or example.shape[0] != 1:
        raise UnsupportedError(f"the example has shape {tuple(example.shape)}; one image (1, channels, h, w) is needed")
    traced = _trace(model)
    recorder = _Recorder(traced)
    with torch.no_grad():
        try:
            recorder.run(example)
        except (RuntimeError, ValueError, TypeError) as error:
            raise UnsupportedError(f"the model does not run on {tuple(example.shape)}: {_line(error)}") from error
    lowerer = Lowerer(traced, recorder.values)
    single = True
    outputs: tuple[str, ...] = ()
    for node in traced.graph.nodes:
        if node.op == "output":
            single, outputs = _outputs(lowerer, node)
        else:
            _lower_node(lowerer, node)
    graph = _graph(lowerer, outputs, name)
    return Lowered(graph=graph, layers=lowerer.layers, layer_of=lowerer.layer_of, single_output=single)


def float_graph(model: nn.Module, example: torch.Tensor, *, name: str = "model") -> Graph:
    """The float32 graph (nchw) of a model, batch norm folded, rectifiers fused. Refusals as `lower`."""
    return lower(model, example, name=name).graph


def _trace(model: nn.Module) -> fx.GraphModule:
    model = copy.deepcopy(model).cpu().float().eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    try:
        return fx.GraphModule(model, _Tracer().trace(model))
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        raise UnsupportedError(
            f"{type(model).__name__} cannot be traced by torch.fx: {_line(error)}; "
            "remove control flow that depends on tensor values"
        ) from error


def _lower_node(lowerer: Lowerer, node: fx.Node) -> None:
    if node.op == "placeholder":
        lowerer.add_input(node)
        return
    value = lowerer.values[node]
    if not _holds_tensor(value) or not any(lowerer.is_activation(argument) for argument in node.all_input_nodes):
        return  # a size, or a constant: its value is read where it is used
    arguments, keywords = lowerer.resolve(node.args), lowerer.resolve(node.kwargs)
    if node.op == "call_module":
        module = lowerer.module(node)
        rule = MODULES.get(type(module))
        what = type(module).__name__
        arguments = (module, *arguments)
    else:
        table: Mapping[Any, Any] = FUNCTIONS if node.op == "call_function" else METHODS
        rule = table.get(node.target)
        what = str(getattr(node.target, "__name__", node.target))
    if rule is None:
        raise UnsupportedError(f"{what} ({lowerer.name_of(node)}) cannot be quantized; replace it in the model")
    try:
        rule(lowerer, node, *arguments, **keywords)
    except TypeError as error:
        raise UnsupportedError(
            f"{what} ({lowerer.name_of(node)}) is called in an unknown way: {_line(error)}"
        ) from error


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(item, torch.Tensor) for item in value)
    )


def _outputs(lowerer: Lowerer, node: fx.Node) -> tuple[bool, tuple[str, ...]]:
    result = lowerer.resolve(node.args[0])
    single = not isinstance(result, tuple | list)
    names = (result,) if single else tuple(result)
    if not names or not all(isinstance(name, str) for name in names):
        raise UnsupportedError("the model must return a tensor or a tuple of tensors that depend on its input")
    return single, names


def _graph(lowerer: Lowerer, outputs: tuple[str, ...], name: str) -> Graph:
    tensors = {tensor.name: tensor for tensor in lowerer.tensors}
    graph = Graph(
        name=name,
        layout="nchw",
        operators=tuple(lowerer.operators),
        tensors=tensors,
        inputs=tuple(lowerer.inputs),
        outputs=outputs,
    )
    return fuse_activations(_without_unused(graph))


def _without_unused(graph: Graph) -> Graph:
    """Drop operators whose results nothing reads."""
    needed = set(graph.outputs)
    kept: list[Operator] = []
    for operator in reversed(graph.operators):
        if needed.intersection(operator.outputs):
            kept.append(operator)
            needed.update(operator.inputs)
    needed.update(graph.inputs)
    tensors: dict[str, Tensor] = {key: tensor for key, tensor in graph.tensors.items() if key in needed}
    return Graph(
        name=graph.name,
        layout=graph.layout,
        operators=tuple(reversed(kept)),
        tensors=tensors,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
