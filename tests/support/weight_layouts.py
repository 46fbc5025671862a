"""A network's weights as other libraries name them."""

import torch
from torch import nn

from edge.models.layouts import LAYOUTS, own_names


def renamed(model: nn.Module, layout: str) -> dict[str, torch.Tensor]:
    """A network's weights under the names of a layout, its batch norms omitted where the layout has none."""
    names = LAYOUTS[layout].names(model)
    assert names is not None
    tensors = {}
    for key, own in own_names(model).items():
        theirs = names[key]
        weight = model.get_parameter(f"{own.layer}.weight").detach()
        tensors[f"{theirs.layer}.weight"] = weight
        if theirs.norm is None:
            tensors[f"{theirs.layer}.bias"] = torch.zeros(len(weight))
        else:
            norm = model.get_submodule(str(own.norm))
            tensors |= {f"{theirs.norm}.{name}": value for name, value in norm.state_dict().items()}
    return tensors
