"""Round the weights of a prepared module by least squares, and correct its biases, from a few unlabelled images.

Rounding every weight to its nearest integer is the best choice for a single weight, not for their sum: a depthwise
kernel that takes differences of neighbours has large weights that cancel, and its rounding errors do not. Here the
integers of an output channel are chosen together, so that the error of the *output* is least on real activations
(the layer-wise objective of AdaRound, Nagel et al., arXiv 2004.10568, eq. 13, with the integers searched by coordinate
descent). The biases then take up the mean error that is left (Nagel et al., arXiv 1906.04721, section 4.2).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.artifact.scheme import WEIGHT_MAX
from edge.errors import UsageError
from edge.execution.kernels.qat_operators import rectify, run_operator
from edge.graph.graph import Operator
from edge.quantization.qat.fake_quant import fake_quantize_weight, weight_scales
from edge.quantization.qat.layers import FoldedLayer, conv_pads
from edge.quantization.qat.phase import TRAIN_FOLDED
from edge.quantization.qat.prepare import QuantizedModel, set_phase

DAMPING = 0.01
"""Share of the mean input variance added to every input's: a weight that the images hardly use stays near its value."""
SWEEPS = 20
SMALL_KERNEL = 32
"""Kernels of up to this many weights also try the other scales of `SCALES`."""
SCALES = (1.0, 0.97, 0.94, 0.91, 0.88, 1.03, 1.06, 1.1)
ROWS = 40_000
"""Output positions that a layer's statistics are taken from, over all images."""
IDLE_WEIGHT = 1e-3
"""Weight of a position where the rectifier hides the output, relative to one where it does not."""
_CHUNK = 25


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """Sampled output positions of one layer: inputs (rows, groups, kernel), wanted outputs and weights (rows, O)."""

    inputs: Tensor
    outputs: Tensor
    weights: Tensor


@torch.no_grad()
def round_by_least_squares(prepared: QuantizedModel, images: Tensor, *, seed: int = 0) -> None:
    """Move weights onto integers that suit the outputs, and biases to the mean of the float outputs, layer by layer.

    The activations' ranges must be set; they are kept. Each layer sees the activations of the fake-quantized layers
    before it, and is compared with what the module computes in float as it is given. Training can go on from there:
    a weight moves to another integer when it leaves its own by half a quantum. Batch norm must stay frozen then.

    Args:
        prepared: of `prepare_qat`; changed in place. Its phase is TRAIN_FOLDED afterwards.
        images: float (n, 3, h, w), the model's input; 100 to 250 images are enough, labels are not needed.
        seed: chooses the output positions.

    Raises:
        UsageError: no images.
        EdgeError: a range was never observed.
    """
    if not len(images):
        raise UsageError("least-squares rounding needs images")
    mode = prepared.training
    prepared.eval()
    set_phase(prepared, TRAIN_FOLDED)
    generator = torch.Generator().manual_seed(seed)
    graph = prepared.graph
    exact = {graph.inputs[0]: images}
    rounded = {graph.inputs[0]: prepared.finish(graph.inputs[0], images, "none")}
    originals: dict[str, tuple[Tensor, Tensor]] = {}
    for index, operator in enumerate(graph.operators):
        output = operator.outputs[0]
        key = prepared.layer_of.get(operator.name)
        if key is None:
            given = [exact[name] for name in operator.inputs if name in exact]
            wanted = run_operator(operator, given, None)
        else:
            layer = prepared.layers[key]
            assert isinstance(layer, FoldedLayer)
            first = key not in originals
            weight, bias = originals.setdefault(key, tuple(value.clone() for value in layer.folded()))  # type: ignore[arg-type]  # always two
            wanted = _compute(layer, exact[operator.inputs[0]], weight, bias)
            if first:
                rows = _rows(layer, rounded[operator.inputs[0]], wanted, operator, generator)
                _round_layer(layer, rows, prepared.quantizer(operator.inputs[0]).parameters_now()[0])
        exact[output] = rectify(wanted, operator.attributes.get("activation", "none"))
        rounded[output] = _chunked(prepared, operator, rounded)
        for name in prepared.last_use[index]:
            exact.pop(name, None), rounded.pop(name, None)
    prepared.train(mode)


def _chunked(prepared: QuantizedModel, operator: Operator, values: dict[str, Tensor]) -> Tensor:
    """One operator, some images at a time: large temporaries cost more than they save."""
    used = [name for name in operator.inputs if name in values]
    count = len(values[used[0]])
    parts = [
        prepared.run(operator, {name: values[name][start : start + _CHUNK] for name in used})
        for start in range(0, count, _CHUNK)
    ]
    return torch.cat(parts)


def _compute(layer: FoldedLayer, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.cat([layer.compute(x[start : start + _CHUNK], weight, bias) for start in range(0, len(x), _CHUNK)])


def _rows(layer: FoldedLayer, x: Tensor, wanted: Tensor, operator: Operator, generator: torch.Generator) -> _Rows:
    """Sample the same output positions of every image.

    Args:
        x: the layer's input on its grid. wanted: its float output before the rectifier.
    """
    inner = layer.layer
    if isinstance(inner, nn.Linear):
        inputs, outputs = x.reshape(-1, 1, x.shape[-1]), wanted.reshape(-1, wanted.shape[-1])
    else:
        count, positions = len(x), wanted.shape[2] * wanted.shape[3]
        chosen = torch.randperm(positions, generator=generator)[: max(1, ROWS // count)]
        top, left, bottom, right = conv_pads(inner, (x.shape[2], x.shape[3]))
        parts = []
        for start in range(0, count, _CHUNK):
            padded = functional.pad(x[start : start + _CHUNK], (left, right, top, bottom))
            columns = functional.unfold(padded, inner.kernel_size, inner.dilation, 0, inner.stride)[:, :, chosen]
            parts.append(columns.permute(0, 2, 1).reshape(-1, inner.groups, columns.shape[1] // inner.groups))
        inputs = torch.cat(parts)
        outputs = wanted.flatten(2)[:, :, chosen].permute(0, 2, 1).reshape(-1, wanted.shape[1])
    return _Rows(inputs=inputs, outputs=outputs, weights=_visibility(outputs, operator))


def _visibility(outputs: Tensor, operator: Operator) -> Tensor:
    """1 where the rectifier passes the output or nearly does, IDLE_WEIGHT where it hides it."""
    activation = operator.attributes.get("activation", "none")
    if activation == "none":
        return torch.ones_like(outputs)
    visible = outputs > -1.0
    if activation == "relu6":
        visible &= outputs < 7.0
    return visible.float() + IDLE_WEIGHT


def _round_layer(layer: FoldedLayer, rows: _Rows, input_scale: float) -> None:
    """Choose a layer's integers and its bias."""
    weight, bias = layer.folded()
    groups = rows.inputs.shape[1]
    flat = weight.reshape(groups, -1, rows.inputs.shape[2])  # (groups, O / groups, kernel)
    rounded = _choose(flat.double(), _covariance(rows, groups)).float().reshape(weight.shape)
    largest = weight.flatten(1).abs().amax(dim=1) / float(WEIGHT_MAX)
    floored = weight_scales(weight, bias, input_scale) > largest  # channels without weight worth the name
    rounded = torch.where(floored.reshape(-1, *(1,) * (weight.dim() - 1)), weight, rounded)
    on_grid = fake_quantize_weight(rounded, weight_scales(rounded, bias, input_scale))
    share = rows.weights / rows.weights.sum(dim=0)  # (rows, O)
    products = torch.einsum("ngk,gok->ngo", rows.inputs, on_grid.reshape(flat.shape)).flatten(1)
    layer.set_folded(rounded, (share * (rows.outputs - products)).sum(dim=0))


def _covariance(rows: _Rows, groups: int) -> Tensor:
    """Weighted, damped covariance of each group's inputs: float64 (groups, kernel, kernel)."""
    share = rows.weights.reshape(len(rows.weights), groups, -1).mean(dim=2)
    share = (share / share.sum(dim=0)).T.unsqueeze(2)  # (groups, rows, 1)
    inputs = rows.inputs.permute(1, 0, 2)
    centred = inputs - (share * inputs).sum(dim=1, keepdim=True)
    covariance = torch.bmm((centred * share).transpose(1, 2), centred).double()
    diagonal = torch.diagonal(covariance, dim1=1, dim2=2)
    diagonal += DAMPING * diagonal.mean(dim=1, keepdim=True) + 1e-12
    return covariance


def _choose(weight: Tensor, covariance: Tensor) -> Tensor:
    """Weights on grids of their own with a small e C e^T, e = rounded - weight: float64 (groups, outputs, kernel)."""
    factors = SCALES if weight.shape[2] <= SMALL_KERNEL else SCALES[:1]
    largest = weight.abs().amax(dim=2, keepdim=True).clamp(min=1e-30)
    best, least = weight, torch.full(weight.shape[:2], torch.inf, dtype=weight.dtype, device=weight.device)
    for factor in factors:
        scale = largest * (factor / WEIGHT_MAX)
        candidate = _descend(weight, covariance, scale) * scale
        error = candidate - weight
        cost = (torch.bmm(error, covariance) * error).sum(dim=2)
        best = torch.where((cost < least).unsqueeze(2), candidate, best)
        least = torch.minimum(cost, least)
    return best


def _descend(weight: Tensor, covariance: Tensor, scale: Tensor) -> Tensor:
    """Integers in [-127, 127] of the weights' shape, from the nearest ones by coordinate descent.

    The largest weight of an output is set to 127 and stays: it is what the scale follows from.
    """
    integers = torch.round(weight / scale).clamp_(-WEIGHT_MAX, WEIGHT_MAX)
    pinned = weight.abs().argmax(dim=2, keepdim=True)
    integers.scatter_(2, pinned, WEIGHT_MAX * torch.sign(weight.gather(2, pinned)))
    slope = torch.bmm(integers * scale - weight, covariance)
    scale = scale.squeeze(2)
    for _ in range(SWEEPS):
        moved = False
        for place in range(weight.shape[2]):
            curvature = covariance[:, place, place].unsqueeze(1)
            step = torch.round(-slope[:, :, place] / (curvature * scale))
            after = (integers[:, :, place] + step).clamp_(-WEIGHT_MAX, WEIGHT_MAX)
            step = torch.where(pinned.squeeze(2) == place, 0.0, after - integers[:, :, place])
            if bool(step.any()):
                moved = True
                integers[:, :, place] += step
                slope += (step * scale).unsqueeze(2) * covariance[:, place].unsqueeze(1)
        if not moved:
            break
    return integers
