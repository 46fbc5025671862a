"""Turning DepthToSpace of mode CRD (PixelShuffle) into DCR, which TFLite has, by another order of the channels."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild

LAYERS = ("Conv", "ConvTranspose")


def legalize_depth_to_space(graph: Graph) -> Graph:
    """Reorder the output channels of the convolution in front where nothing else reads it; else a Gather reorders.

    Requires: an NCHW graph.
    Ensures: the same values, integers included; a convolution's output keeps its name, its channels another order.
    """
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    for operator in graph.operators:
        if operator.kind != "DepthToSpace" or operator.attributes["mode"] != "CRD":
            operators.append(operator)
            continue
        source = operator.inputs[0]
        block = int(operator.attributes["block"])
        order = channel_order(tensors[source].shape[1], block)
        maker = next((entry for entry in operators if source in entry.outputs), None)
        alone = len(graph.consumers(source)) == 1 and source not in graph.outputs
        if maker is not None and maker.kind in LAYERS and maker.attributes["group"] == 1 and alone:
            operators[operators.index(maker)] = _reordered(tensors, maker, order)
        else:
            source = _gathered(tensors, operators, operator, order)
        operators.append(replace(operator, inputs=(source,), attributes={"block": block, "mode": "DCR"}))
    return rebuild(graph, operators, tensors)


def channel_order(channels: int, block: int) -> npt.NDArray[np.int64]:
    """For every channel of the DCR order the channel of the CRD order that belongs there."""
    kept = channels // (block * block)
    return np.arange(channels).reshape(kept, block, block).transpose(1, 2, 0).reshape(-1)


def _reordered(tensors: dict[str, Tensor], layer: Operator, order: npt.NDArray[np.int64]) -> Operator:
    inputs = [layer.inputs[0]]
    for name in layer.inputs[1:]:
        constant = tensors[name] if name else None
        if constant is None or constant.data is None:
            inputs.append(name)
            continue
        quantization = constant.quantization
        if quantization is not None and quantization.axis == 0:
            quantization = Quantization(
                scale=quantization.scale[order], zero_point=quantization.zero_point[order], axis=0
            )
        made = fresh_name(f"{name}/block_order", tensors)
        data = np.ascontiguousarray(constant.data[order])
        tensors[made] = replace(constant, name=made, data=data, quantization=quantization)
        inputs.append(made)
    return replace(layer, inputs=tuple(inputs))


def _gathered(
    tensors: dict[str, Tensor], operators: list[Operator], operator: Operator, order: npt.NDArray[np.int64]
) -> str:
    source = tensors[operator.inputs[0]]
    indices = fresh_name(f"{operator.outputs[0]}/indices", tensors)
    tensors[indices] = Tensor(name=indices, shape=order.shape, dtype="int64", data=order.astype(np.int64))
    made = fresh_name(f"{operator.outputs[0]}/block_order", tensors)
    tensors[made] = replace(source, name=made)
    name = f"{operator.name}/block_order"
    inputs = (source.name, indices)
    operators.append(Operator(kind="Gather", name=name, inputs=inputs, outputs=(made,), attributes={"axis": 1}))
    return made
