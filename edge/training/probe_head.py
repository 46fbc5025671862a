"""Start a classifier from a linear probe on its own network's features."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from edge.data.splits import Split
from edge.errors import EdgeError, UsageError
from edge.models.blocks import PooledClassifier
from edge.training.batches import Normalizer
from edge.training.label_probe import LabelProbe, fit_label_probe
from edge.training.linear_probe import Array, Pretrained, Probe, fit_probe
from edge.vision.pixels import resize
from edge.vision.preprocess import Preprocess

BATCH_SIZE = 8
MOST_IMAGES = 5000
"""More than these add little to a linear head and are left to the training that follows."""


def start_from_probe(
    model: nn.Module,
    train: Split,
    preprocess: Preprocess,
    seed: int,
    *,
    mirrored: bool,
    pretrained: tuple[Tensor, Tensor] | None = None,
    advance: Callable[[int], None] = lambda count: None,
) -> Probe | LabelProbe:
    """Put a linear probe on the training images, not augmented, in the place of a network's classifier.

    Args:
        model: normalizes by its running statistics meanwhile; its mode is kept.
        mirrored: an image counts as the mean of its own features and its mirror image's.
        pretrained: weight and bias of the classifier that its weights came with.
        advance: called with the number of images done since the last call; there are `probe_images` in all.

    Raises:
        UsageError: as `check_probe`.
        EdgeError: the features of all images are the same, or not finite.
    """
    linear = check_probe(model, train)
    images = probe_images(train, seed)
    features = features_of(model, linear, train, images, preprocess, mirrored=mirrored, advance=advance)
    if not np.isfinite(features).all():
        raise EdgeError(
            "a linear probe has nothing to go by: the network's features are not finite; start from other weights, or "
            "leave them out"
        )
    probe: Probe | LabelProbe
    if train.scores == "independent":
        probe = fit_label_probe(features, np.stack([train.truth(index) for index in images]))
    else:
        labels = [train.label(index) for index in images]
        probe = fit_probe(features, labels, linear.out_features, pretrained=_told_by(pretrained, linear))
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(probe.weight))
        linear.bias.copy_(torch.from_numpy(probe.bias))
    return probe


def probe_images(split: Split, seed: int) -> list[int]:
    """The images that a probe looks at: all, or MOST_IMAGES drawn by the seed, in their order."""
    if len(split) <= MOST_IMAGES:
        return list(range(len(split)))
    return sorted(int(index) for index in np.random.default_rng(seed).permutation(len(split))[:MOST_IMAGES])


@torch.no_grad()
def features_of(
    model: nn.Module,
    linear: nn.Linear,
    split: Split,
    images: Sequence[int],
    preprocess: Preprocess,
    *,
    mirrored: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Array:
    """What reaches the classifier, in evaluation mode: float64 (images, features)."""
    kept: list[Tensor] = []  # by batch; mirrored ones every other
    hook = linear.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0].double().cpu()))
    normalize, device = Normalizer(preprocess), next(model.parameters()).device
    training = model.training
    model.eval()
    try:
        for start in range(0, len(images), BATCH_SIZE):
            batch = images[start : start + BATCH_SIZE]
            pixels = torch.from_numpy(np.stack([resize(split.image(index), preprocess) for index in batch]))
            x = normalize(pixels.to(device))
            for shown in (x, x.flip(3)) if mirrored else (x,):
                model(shown)
            advance(len(batch))
    finally:
        model.train(training)
        hook.remove()
    means = [(plain + mirror) / 2 for plain, mirror in zip(kept[::2], kept[1::2], strict=True)] if mirrored else kept
    return np.asarray(torch.cat(means).numpy(), dtype=np.float64)


def _told_by(tensors: tuple[Tensor, Tensor] | None, linear: nn.Linear) -> Pretrained | None:
    if tensors is None or tensors[0].shape[1:] != (linear.in_features,):
        return None
    weight, bias = (tensor.double().cpu().numpy() for tensor in tensors)
    return Pretrained(weight=weight, bias=bias)


def check_probe(model: nn.Module, train: Split) -> nn.Linear:
    """The layer that a probe takes the place of.

    Refuses (UsageError) a network that does not end in one linear layer, and images without classes.
    """
    if not train.has_labels:
        raise UsageError(f'{train.origin}: head = "probe" is for images with classes or labels; omit it')
    heads = [module for module in model.modules() if isinstance(module, PooledClassifier)]
    if len(heads) != 1:
        raise UsageError(f'head = "probe": {type(model).__name__} does not end in one linear layer; omit it')
    return heads[0].linear
