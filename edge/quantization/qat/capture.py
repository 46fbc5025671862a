"""Capture a torch module as a float graph, keeping hold of the layers that its convolutions and products came from.

The module is traced by torch.fx in evaluation mode and run once on a random image (`edge.quantization.qat.trace`);
every traced call with a tensor result becomes one operator by the tables of `edge.quantization.qat.capture_calls`, or
is refused by name. Dropout and identities vanish, batch norm folds into the layer before it, rectifiers fuse. What
comes out is compared with the module itself (`edge.quantization.qat.capture_proof`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.passes.fuse_activations import fuse_activations
from edge.quantization.qat.capturable import require_capturable
from edge.quantization.qat.capture_calls import FUNCTIONS, METHODS, MODULES
from edge.quantization.qat.capture_proof import CallResults, prove_capture
from edge.quantization.qat.graph_capture import GraphCapture
from edge.quantization.qat.layers import FoldedLayer
from edge.quantization.qat.trace import ModuleCall, Trace, line, trace


@dataclass(frozen=True, kw_only=True)
class Captured:
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


def capture(model: nn.Module, example: torch.Tensor, *, name: str = "model") -> Captured:
    """Capture a model for the input size of `example`; the model is not changed.

    Args:
        model: any module that torch.fx can trace, with one image input.
        example: float32 (1, 3, h, w), any values.

    Raises:
        UnsupportedError: an operation that has no operator here (named with its node), control flow that depends on
            data, an input of another form, a module that is not plain (`require_capturable`), or one that computes
            something else than what was captured, by the name of the first module that differs.
    """
    if example.dim() < 2 or example.shape[0] != 1:
        raise UnsupportedError(f"the example has shape {tuple(example.shape)}; one image (1, channels, h, w) is needed")
    require_capturable(model)
    with torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.autocast("cpu", enabled=False):
        image = torch.randn(example.shape, generator=torch.Generator().manual_seed(0))
        traced = trace(model, image)
        into = GraphCapture(traced)
        single, outputs, results = _capture_all(into, traced)
        graph = _graph(into, outputs, name)
        traced.values.clear()  # not needed beside the values of the proof
        prove_capture(model, graph, into.layers, into.layer_of, results)
    return Captured(graph=graph, layers=into.layers, layer_of=into.layer_of, single_output=single)


def float_graph(model: nn.Module, example: torch.Tensor, *, name: str = "model") -> Graph:
    """The float32 graph (nchw) of a model, batch norm folded, rectifiers fused. Refusals as `capture`."""
    return capture(model, example, name=name).graph


def _capture_all(into: GraphCapture, traced: Trace) -> tuple[bool, tuple[str, ...], CallResults]:
    """Capture every node: whether there is one output, the outputs' names, the activations that modules return."""
    returning: dict[fx.Node, list[ModuleCall]] = {}
    for call in traced.calls:
        returning.setdefault(call.last, []).append(call)
    results: dict[tuple[str, int], tuple[str | None, ...]] = {}
    counts: Counter[str] = Counter()
    single = True
    outputs: tuple[str, ...] = ()
    for node in traced.graph.nodes:
        if node.op == "output":
            single, outputs = _outputs(into, node)
            continue
        _capture_node(into, node)
        into.overwrite(node)
        for call in returning.get(node, ()):
            results[call.path, counts[call.path]] = tuple(map(into.current, call.results))
            counts[call.path] += 1
    return single, outputs, results


def _capture_node(into: GraphCapture, node: fx.Node) -> None:
    if node.op == "placeholder":
        into.add_input(node)
        return
    value = into.values[node]
    reads = any(into.is_activation(argument) for argument in node.all_input_nodes)
    if reads and node.target in ("item", "tolist"):
        raise UnsupportedError(f"{into.name_of(node)} reads a tensor's values into Python, which cannot be captured")
    if not reads or not _holds_tensor(value):
        return  # a size, or a constant: its value is read where it is used
    arguments, keywords = into.resolve(node.args), into.resolve(node.kwargs)
    if node.op == "call_module":
        module = into.module(node)
        rule = MODULES.get(type(module))
        what = type(module).__name__
        arguments = (module, *arguments)
    else:
        table: Mapping[Any, Any] = FUNCTIONS if node.op == "call_function" else METHODS
        rule = table.get(node.target)
        what = str(getattr(node.target, "__name__", node.target))
    if rule is None:
        raise UnsupportedError(f"{what} ({into.name_of(node)}) cannot be quantized; replace it in the model")
    if keywords.pop("out", None) is not None:
        raise UnsupportedError(f"{what} ({into.name_of(node)}) writes to out=, which cannot be captured; omit it")
    try:
        rule(into, node, *arguments, **keywords)
    except (TypeError, ValueError, LookupError, AttributeError) as error:  # arguments of a form that no rule expects
        raise UnsupportedError(f"{what} ({into.name_of(node)}) is called in an unknown way: {line(error)}") from error


def _holds_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor) or (
        isinstance(value, tuple | list) and any(isinstance(item, torch.Tensor) for item in value)
    )


def _outputs(into: GraphCapture, node: fx.Node) -> tuple[bool, tuple[str, ...]]:
    result = into.resolve(node.args[0])
    single = not isinstance(result, tuple | list)
    names = (result,) if single else tuple(result)
    if not names or not all(isinstance(name, str) for name in names):
        raise UnsupportedError("the model must return a tensor or a tuple of tensors that depend on its input")
    return single, names


def _graph(into: GraphCapture, outputs: tuple[str, ...], name: str) -> Graph:
    tensors = {tensor.name: tensor for tensor in into.tensors}
    graph = Graph(
        name=name,
        layout="nchw",
        operators=tuple(into.operators),
        tensors=tensors,
        inputs=tuple(into.inputs),
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
