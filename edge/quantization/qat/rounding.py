"""Round the weights of a prepared module by least squares, and correct its biases, from a few unlabelled images.

How a layer's integers are chosen: `edge.quantization.qat.least_squares`. Here is the order: layer by layer, each on the
rounded activations of those before it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from edge.errors import UsageError
from edge.execution.kernels.qat_operators import rectify, run_operator
from edge.graph.graph import Operator
from edge.quantization.qat.layers import FoldedLayer, conv_pads
from edge.quantization.qat.least_squares import Rows, round_layer, visibility
from edge.quantization.qat.phase import TRAIN_FOLDED
from edge.quantization.qat.prepare import QuantizedModel, set_phase

ROWS = 40_000
"""Output positions that a layer's statistics are taken from, over all images."""
_CHUNK = 25


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
                scale = prepared.quantizer(operator.inputs[0]).parameters_now()[0]
                layer.set_folded(*round_layer(*layer.folded(), rows, scale))
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


def _rows(layer: FoldedLayer, x: Tensor, wanted: Tensor, operator: Operator, generator: torch.Generator) -> Rows:
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
    return Rows(
        inputs=inputs, outputs=outputs, weights=visibility(outputs, operator.attributes.get("activation", "none"))
    )
