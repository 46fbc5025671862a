"""Biases that make up for what rounded weights do to the mean of a layer's output."""

from dataclasses import replace

import numpy as np
import torch

from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.layer_rows import layers_of, without_rectifiers
from edge.quantization.ptq.mean_maps import with_mean_outputs
from edge.quantization.ptq.observation import observe
from edge.quantization.ptq.rounded import Network, RoundedNetwork
from edge.quantization.ptq.state import Float32Array, State
from tests.support.ptq_network import SmoothImages, uneven_graph


def nearest(images: SmoothImages) -> State:
    torch.set_num_threads(1)
    return improve(
        uneven_graph(), images, steps=(), multiply_adds=0, epochs=0, decides=True, input_range=(-1.0, 1.0)
    ).state  # fmt: skip


def means(graph: Graph, weights: dict[str, torch.Tensor], images: SmoothImages) -> dict[str, Float32Array]:
    """Of every layer's output before its rectifier, by channel, on the float network's own inputs of it."""
    inputs = dict(FloatRun(uneven_graph()).stream([images.pixels]))
    bare = Network(without_rectifiers(graph))
    return {
        layer.name: bare.run(layer, {layer.inputs[0]: inputs[layer.inputs[0]], **weights})
        .transpose(0, 1).flatten(1).mean(dim=1).numpy()
        for layer in layers_of(bare.graph)
    }  # fmt: skip


def test_rounded_weights_keep_the_mean_of_every_layer() -> None:
    """Also at borders, where fewer weights count, and behind strides."""
    images = SmoothImages(30)
    before = nearest(images)
    after = with_mean_outputs(before, observe(before.real, images, before.groups, means=True))
    rounded = RoundedNetwork(before).constants
    weights = {layer.inputs[1]: rounded[layer.inputs[1]] for layer in layers_of(before.real)}
    wanted = means(before.real, {}, images)
    apart = means(before.real, weights, images)
    found = means(replace(after.real, tensors=after.graph.tensors), weights, images)
    for name, mean in wanted.items():
        assert np.abs(apart[name] - mean).max() > 1e-4, name
        assert np.abs(found[name] - mean).max() < 1e-5 * max(1.0, float(np.abs(mean).max())), name


def test_the_integers_come_nearer() -> None:
    made = improve(
        uneven_graph(), SmoothImages(60), steps=("bias_fast",), multiply_adds=0, epochs=0, decides=True,
        input_range=(-1.0, 1.0),
    )  # fmt: skip
    assert made.outcomes[0].kept and made.total.sqnr_db > made.plain.sqnr_db + 0.5
