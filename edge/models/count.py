"""Parameters and multiply-adds of a network, as the papers count them."""

import torch
from torch import Tensor, nn

from edge.graph.analyses.cost import Cost, conv_multiply_adds, linear_multiply_adds, parameters
from edge.models.involution import WeightedSum

UNCOUNTED = (
    nn.BatchNorm2d,
    nn.ReLU,
    nn.ReLU6,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.MaxPool2d,
    nn.Dropout,
    nn.Flatten,
    nn.Identity,
)
"""Layers that cost no multiply-adds by the convention of `edge.graph.analyses.cost`."""
SAME_SHAPE = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.Dropout, nn.Identity)
"""Those of them that give the shape they get: a pass on shapes alone need not compute them, which takes most of it."""


def count_module(model: nn.Module) -> Cost:
    """Count one image's pass through `forward`, batch norm unfolded, layers that `forward` skips omitted.

    Auxiliary heads are such layers. Nothing is computed: the pass runs on the meta device, on shapes alone. A layer
    without a rule is named in the result, never counted as zero; its parameters count.

    Args:
        model: a network with `input_shape` (1, 3, h, w). It is left as it was.
    """
    total = 0
    unruled: dict[str, None] = {}
    reached: dict[int, Tensor] = {}
    owners = {id(module): name for name, module in model.named_modules()}

    def visit(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal total
        own = {id(parameter): parameter for parameter in module.parameters(recurse=False)}
        reached.update(own)
        if isinstance(module, nn.Conv2d):
            total += conv_multiply_adds(tuple(module.weight.shape), tuple(output.shape))
        elif isinstance(module, WeightedSum):
            total += output.numel() * module.kernel_size**2
        elif isinstance(module, nn.Linear):
            total += linear_multiply_adds(tuple(module.weight.shape), tuple(output.shape))
        elif not isinstance(module, UNCOUNTED) and (own or not any(module.children())):
            unruled[f"{type(module).__name__} ({owners[id(module)]})"] = None

    training = {module: module.training for module in model.modules()}
    passed_over = [module for module in model.modules() if isinstance(module, SAME_SHAPE)]
    hooks = [module.register_forward_hook(visit) for module in model.modules()]
    on_meta = {name: torch.empty_like(value, device="meta") for name, value in model.state_dict().items()}
    shape: tuple[int, ...] = model.input_shape  # type: ignore[assignment]  # an attribute of every model here
    try:
        model.eval()
        for same in passed_over:
            same.forward = lambda x: x  # type: ignore[method-assign,assignment]  # of this object, until deleted
        with torch.no_grad():
            torch.func.functional_call(model, on_meta, (torch.empty(shape, device="meta"),))
            sizes = [tuple(parameter.shape) for parameter in reached.values()]
    finally:
        for same in passed_over:
            same.__dict__.pop("forward", None)
        for hook in hooks:
            hook.remove()
        for module, flag in training.items():
            module.training = flag
    return Cost(parameters=parameters(sizes), multiply_adds=total, unruled=tuple(unruled))
