"""A network that computes partly over int16 gives the simulation's integers in LiteRT, through ONNX and back."""

import numpy as np
import pytest
import torch

from converters.onnx.file import onnx_bytes
from converters.packaging.package import precision_of
from converters.passes.layout.nhwc import to_nhwc
from edge.execution.integer import IntegerSimulation
from edge.graph.importers.onnx.reader import read_onnx
from edge.quantization.ptq.improve import improve
from edge.quantization.ptq.spliced import spliced
from edge.quantization.ptq.wider import regions_of, wide_form
from tests.support.one_operator import litert_outputs, random_input
from tests.support.ptq_network import SmoothImages, uneven_graph

pytestmark = pytest.mark.unhurried


@pytest.mark.parametrize("place", [None, 0, 1, 2, 3, 4, 5])
def test_no_value_differs(place: int | None) -> None:
    torch.set_num_threads(1)
    made = improve(
        uneven_graph(), SmoothImages(12), steps=(), multiply_adds=0, epochs=0, decides=True, input_range=(-1.0, 1.0)
    )
    plain = made.state.quantized
    wide = wide_form(made)
    regions = regions_of(plain, made.state.groups)
    chosen = regions if place is None else regions[place : place + 1]
    assert chosen
    mixed = spliced(plain, wide, frozenset(name for region in chosen for name in region.operators))
    assert "int16" in {tensor.dtype for tensor in mixed.tensors.values()}
    assert precision_of(mixed) == "int8"
    read = read_onnx(onnx_bytes(mixed))
    random, simulation, file = np.random.default_rng(0), IntegerSimulation(mixed), to_nhwc(read)
    for _ in range(4):
        raw = random_input(random, mixed.tensors[mixed.inputs[0]])
        (found,), _ = litert_outputs(file, [np.ascontiguousarray(raw.transpose(0, 2, 3, 1))])
        assert np.array_equal(found, simulation.run([raw])[0])
        assert np.array_equal(IntegerSimulation(read).run([raw])[0], found)
