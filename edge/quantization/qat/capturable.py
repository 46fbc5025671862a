"""What a module must be before it is captured: plain, with weights that are its own parameters."""

import torch
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils import parametrize, prune
from torch.optim.swa_utils import AveragedModel

from edge.errors import UnsupportedError

WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel, AveragedModel)
LAYERS = (nn.Conv2d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
HOOKS = {
    "_forward_pre_hooks": "forward pre-hook",
    "_forward_hooks": "forward hook",
    "_backward_pre_hooks": "backward hook",
    "_backward_hooks": "backward hook",
}
REMOVALS = {
    "WeightNorm": "torch.nn.utils.remove_weight_norm(module)",
    "SpectralNorm": "torch.nn.utils.remove_spectral_norm(module)",
}
"""What bakes the weight in, by the class of the hook that computes it."""


def require_capturable(model: nn.Module) -> None:
    """Refuse a module whose layers are not what they look like, before anything is copied or traced.

    Raises:
        UnsupportedError: a wrapper, a compiled, scripted or lazy module, a hook, a parametrization, or an attribute
            that is a computed tensor; named, with what to do.
    """
    for path, module in model.named_modules():
        problem = _problem(module)
        if problem:
            raise UnsupportedError(f"{path or 'the model'} ({type(module).__name__}) {problem}")


def _problem(module: nn.Module) -> str | None:
    if isinstance(module, WRAPPERS):
        return "wraps the network; take its .module, and wrap what was prepared"
    if "_orig_mod" in module._modules:
        return "is compiled; take the uncompiled module (._orig_mod), and compile what was prepared"
    if isinstance(module, torch.jit.ScriptModule):
        return "is a TorchScript module; take the module it was scripted or traced from"
    if isinstance(module, LazyModuleMixin) and module.has_uninitialized_params():
        return "has no weights yet; run one batch through the model first"
    if parametrize.is_parametrized(module):
        names = ", ".join(f"'{name}'" for name in module.parametrizations)  # type: ignore[union-attr]  # a ModuleDict
        return (
            f"computes {names} by a parametrization; bake it in with "
            "torch.nn.utils.parametrize.remove_parametrizations(module, name)"
        )
    return _hook(module) or _computed(module)


def _hook(module: nn.Module) -> str | None:
    for attribute, what in HOOKS.items():
        for hook in getattr(module, attribute).values():
            kind = type(hook).__name__
            if isinstance(hook, prune.BasePruningMethod):
                name = hook._tensor_name
                return f"is pruned; bake the mask in with torch.nn.utils.prune.remove(module, '{name}')"
            if kind in REMOVALS:
                return f"computes its weight by a hook ({kind}); bake it in with {REMOVALS[kind]}"
            named = getattr(hook, "__name__", kind)
            return f"has a {what} ({named}), which the captured network would not run; remove it first"
    for name, parameter in module.named_parameters(recurse=False):
        if parameter._backward_hooks:
            return f"has a hook on the gradient of '{name}', which the captured network would not run; remove it first"
    return None


def _computed(module: nn.Module) -> str | None:
    for name, value in (vars(module) | module._buffers).items():
        if isinstance(value, torch.Tensor) and value.grad_fn is not None:
            return f"keeps a computed tensor, '{name}', with its gradient; delete or detach it"
    for name in ("weight", "bias"):
        value = getattr(module, name, None)
        if isinstance(module, LAYERS) and value is not None and not isinstance(value, nn.Parameter):
            return f"has a {name} that is not a parameter, so that it would not train; make it an nn.Parameter"
    return None
