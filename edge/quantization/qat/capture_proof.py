"""The proof of a capture: the captured graph and the module itself, run on the same random input, call by call.

Both run in float64, where rounding is nine orders of magnitude smaller than any difference of meaning, so that batch
norm folded into weights is not mistaken for a fault, nor a fault for rounding.
"""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils._pytree import tree_leaves

from edge.errors import UnsupportedError
from edge.execution.kernels.qat_operators import rectify, run_operator
from edge.graph.graph import Graph
from edge.quantization.qat.layers import FoldedLayer
from edge.quantization.qat.trace import float_copy, line, tensors_of

RELATIVE = 1e-7
"""Largest difference, as a share of the tensor's largest value."""
ABSOLUTE = 1e-12
"""The same as a share of the largest value of all, for tensors that are the difference of larger ones."""

CallResults = Mapping[tuple[str, int], Sequence[str | None]]
"""(path, how many calls of it came before) -> for each value that the call returned, the activation that is it."""


def prove_capture(
    model: nn.Module,
    graph: Graph,
    layers: Mapping[str, FoldedLayer],
    layer_of: Mapping[str, str],
    results: CallResults,
) -> None:
    """Compare what every module of a model returns with the graph's activations, and the outputs.

    Args:
        model: the module as it was given; not changed.
        graph, layers, layer_of: see `edge.quantization.qat.capture.Captured`.
        results: which activations the modules' calls return; activations that were fused away are omitted.

    Raises:
        UnsupportedError: a difference beyond rounding, by the name of the first module that differs.
    """
    # Not the image of the capture: a number that Python read from a tensor is another one here.
    shape = graph.tensors[graph.inputs[0]].shape
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    values = _run(graph, layers, layer_of, x)
    largest = max(float(value.abs().nan_to_num(posinf=0.0).max()) for value in values.values() if value.numel())
    reference = float_copy(model).double()
    differing: list[str] = []
    calls: Counter[str] = Counter()

    def compare(path: str, module: nn.Module, returned: Any, names: Sequence[str | None]) -> None:
        found = tree_leaves(returned)
        known = [(value, values[name]) for value, name in zip(found, names, strict=False) if name and name in values]
        if len(found) != len(names) or not all(_close(captured, value, largest) for value, captured in known):
            differing.append(f"{path} ({type(module).__name__})" if path else type(module).__name__)

    def hook(path: str) -> Any:
        def called(module: nn.Module, arguments: Any, returned: Any) -> None:
            names = results.get((path, calls[path]))
            calls[path] += 1
            if names is not None:
                compare(path, module, returned, names)

        return called

    for path, module in reference.named_modules():
        if path:
            module.register_forward_hook(hook(path))
    before = _buffer_versions(reference)
    output = _run_module(reference, x)
    compare("", reference, output, graph.outputs)
    missed = [
        f"{path} ({type(reference.get_submodule(path)).__name__})" for path, count in results if calls[path] <= count
    ]
    suspects = [*differing, *missed]
    if (suspects or _buffer_versions(reference) != before) and not _alike(_run_module(reference, x), output):
        raise UnsupportedError(
            f"{(*suspects, type(reference).__name__)[0]} gives other values at every call in evaluation mode; "
            "turn off what is random or keeps state"
        )
    if suspects:
        raise UnsupportedError(
            f"{suspects[0]} was captured as something else than it computes; write it with modules and functions that "
            "docs/quantization.md names, without hidden state, changes in place or Python that torch.fx cannot see"
        )


def _run(
    graph: Graph, layers: Mapping[str, FoldedLayer], layer_of: Mapping[str, str], x: torch.Tensor
) -> Mapping[str, torch.Tensor]:
    """All activations of the graph for float64 x, by name."""
    values = {graph.inputs[0]: x}
    with torch.no_grad():
        for operator in graph.operators:
            inputs = [values[name] for name in operator.inputs if name in values]
            if operator.name in layer_of:
                layer = copy.deepcopy(layers[layer_of[operator.name]]).double()
                result = layer(inputs[0], None, live_norm=False)
            else:
                result = run_operator(operator, inputs, None)
            values[operator.outputs[0]] = rectify(result, operator.attributes.get("activation", "none"))
    return values


def _run_module(module: nn.Module, x: torch.Tensor) -> Any:
    with torch.no_grad():
        try:
            return module(x.clone())
        except Exception as error:  # the module's own code runs here
            raise UnsupportedError(f"the model does not run in float64, to be compared: {line(error)}") from error


def _close(captured: torch.Tensor, value: Any, largest: float) -> bool:
    if not isinstance(value, torch.Tensor) or captured.shape != value.shape:
        return False
    if not value.is_floating_point():
        return torch.equal(captured, value)
    value = value.double()
    bound = RELATIVE * float(value.abs().nan_to_num(posinf=0.0).max()) + ABSOLUTE * largest if value.numel() else 0.0
    alike = (captured == value) | (captured.isnan() & value.isnan()) | ((captured - value).abs() <= bound)
    return bool(alike.all())


def _alike(one: Any, other: Any) -> bool:
    pairs = zip(tensors_of(one), tensors_of(other), strict=True)
    return all(torch.equal(value.nan_to_num(), again.nan_to_num()) for value, again in pairs)


def _buffer_versions(module: nn.Module) -> list[tuple[int, int]]:
    """Which buffers a module has, and how often each was written in place."""
    return [(id(buffer), buffer._version) for buffer in module.buffers()]
