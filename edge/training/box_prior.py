"""Where a detector's scores start for focal loss: no class is probable (Lin et al., arXiv 1708.02002, section 3.3)."""

import math

import torch
from torch import nn

from edge.errors import UsageError
from edge.models.ssdlite import MapPredictor, SsdLite
from edge.training.box_matching import BACKGROUND

PRIOR = 0.01
"""Probability of every class at every anchor; of thousands, few hold anything."""


@torch.no_grad()
def start_from_prior(model: nn.Module) -> None:
    """Set the biases of the last score convolutions: PRIOR for every class, 1 - PRIOR for the background.

    Raises:
        UsageError: not a detector.
    """
    if not isinstance(model, SsdLite):
        raise UsageError(f'score_loss = "focal": {type(model).__name__} is no detector; omit it')
    logit = math.log((1 - PRIOR) / PRIOR)
    for predictor in model.classifier.scores:
        assert isinstance(predictor, MapPredictor)
        bias = predictor.predict.bias
        assert bias is not None  # a predictor's own, behind no batch norm
        columns = bias.view(-1, model.classes + 1)
        columns.fill_(-logit)
        columns[:, BACKGROUND] = logit
