"""Attributions against captum's, of our networks, in float64: the same numbers, but for its steps' float32 width."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.explain.integrated_gradients import integrated_gradients
from edge.models.registry import build

ROOT = Path(__file__).resolve().parents[3]
PEER = """
import sys
import numpy as np, torch
from captum.attr import IntegratedGradients
from edge.models.registry import build

torch.set_default_dtype(torch.float64)  # of the places along the path too
folder, name = sys.argv[1:3]
given = torch.load(folder + "/given.pt", weights_only=True)
model = build(name, **given["arguments"]).double().eval()
model.load_state_dict(given["weights"])

def score(images):
    scores = model(images).softmax(dim=1)
    return scores[:, 1] if scores.ndim == 2 else scores[:, 1, 1:3, 2:5].mean(dim=(1, 2))

found = IntegratedGradients(score).attribute(
    given["image"][None], given["baseline"][None], n_steps=60, method="riemann_middle", internal_batch_size=4)
np.save(folder + "/theirs.npy", found[0].detach().numpy())
"""
NETWORKS = {
    "mobilenet_v1": {"classes": 5, "width": 0.25},
    "mobilenet_v2": {"classes": 5, "width": 0.25},
    "fast_scnn": {"classes": 4, "resolution_hw": [64, 96]},
    "deeplab_mobilenet_v2": {"classes": 4, "width": 0.25, "resolution_hw": [64, 96]},
}


def network(name: str) -> nn.Module:
    """Random, its signal kept up, with batch norms that seem to have seen data."""
    torch.manual_seed(3)
    model = build(name, **NETWORKS[name])
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.2, 1.2)
    return model.double().eval()


@pytest.mark.parametrize("name", NETWORKS)
def test_attributions_equal_captums(captum_python: str, tmp_path: Path, name: str) -> None:
    model = network(name)
    image, baseline = (torch.rand(3, 64, 96, dtype=torch.float64) * 2 - 1 for _ in range(2))
    given = {"arguments": NETWORKS[name], "weights": model.state_dict(), "image": image, "baseline": baseline}
    torch.save(given, tmp_path / "given.pt")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([captum_python, "-c", PEER, str(tmp_path), name], check=True, env=environment, capture_output=True)

    def score(images: Tensor) -> Tensor:
        scores = model(images).softmax(dim=1)
        found: Tensor = scores[:, 1] if scores.ndim == 2 else scores[:, 1, 1:3, 2:5].mean(dim=(1, 2))
        return found

    ours = integrated_gradients(score, image, baseline, first_steps=60, most_steps=60, batch_size=3).values
    theirs = np.load(tmp_path / "theirs.npy")
    assert np.abs(theirs).max() > 0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-7 * np.abs(theirs).max())
