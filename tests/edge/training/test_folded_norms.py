"""A teacher with folded norms says what it said."""

import copy

import pytest
import torch
from torch import nn

from edge.models.registry import build
from edge.training.folded_norms import fold_norms

NETWORKS = {
    "mobilenet_v2": {"classes": 8, "width": 0.35, "resolution": 96},
    "fast_scnn": {"classes": 8, "resolution_hw": [64, 96]},
    "mobilenet_v2_ssdlite": {"classes": 5, "width": 0.35, "resolution": 96},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_with_folded_norms_gives_the_same_values(name: str) -> None:
    torch.manual_seed(3)
    model = build(name, **NETWORKS[name])
    with torch.no_grad():
        for norm in model.modules():
            if isinstance(norm, nn.BatchNorm2d):
                for values in (norm.weight, norm.running_var):
                    values.uniform_(0.5, 2.0)
                for values in (norm.bias, norm.running_mean):
                    values.uniform_(-0.5, 0.5)
    model.eval()
    folded = copy.deepcopy(model)
    fold_norms(folded)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    images = torch.rand(2, *model.input_shape[1:])
    with torch.no_grad():
        expected, found = model(images), folded(images)
    for one, other in zip(*(v if isinstance(v, tuple) else (v,) for v in (expected, found)), strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 * float(one.abs().max()))
