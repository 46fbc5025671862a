"""Average pools whose pads do not count: written in parts, exact over int8, int16 and float."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from converters.tflite.pool_parts import Part, parts
from converters.tflite.writer import tflite_bytes
from edge.errors import UnsupportedError
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Tensor
from tests.support.one_operator import Parameters, activation, graph_of, litert_outputs, random_input

POOLS = {
    "3x3 by 2, pad 1": ((9, 8), (3, 3), (2, 2), (1, 1, 1, 1), (5, 4)),
    "3x3 by 1, pad 1": ((5, 6), (3, 3), (1, 1), (1, 1, 1, 1), (5, 6)),
    "5x3 by 2x1": ((11, 7), (5, 3), (2, 1), (2, 0, 2, 0), (6, 5)),
    "one side": ((6, 6), (3, 3), (1, 1), (2, 0, 0, 1), (6, 5)),
    "larger than the image": ((2, 3), (5, 5), (1, 1), (2, 2, 2, 2), (2, 3)),
}
Pool = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int, int, int], tuple[int, int]]


def attributes(pool: Pool) -> dict[str, object]:
    _, kernel, strides, pads, _ = pool
    return {"kernel": kernel, "strides": strides, "pads": pads, "count_include_pad": False, "activation": "none"}


def integer_graph(pool: Pool, dtype: str) -> Graph:
    size, *_, made = pool
    shared = Parameters(scale=0.1, zero_point=0 if dtype == "int16" else -7)
    source, target = (activation(name, (1, *hw, 5), shared, dtype) for name, hw in (("x", size), ("y", made)))
    return graph_of("AveragePool", (source,), target, attributes(pool))


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("pool", POOLS.values(), ids=POOLS.keys())
def test_integer_pools_in_parts_are_exact(pool: Pool, dtype: str) -> None:
    graph = integer_graph(pool, dtype)
    inputs = [random_input(np.random.default_rng(0), graph.tensors["x"])]
    np.testing.assert_array_equal(IntegerSimulation(graph).run(inputs)[0], litert_outputs(graph, inputs)[0][0])


def test_float_pools_in_parts_divide_by_the_pixels_inside() -> None:
    pool = POOLS["3x3 by 2, pad 1"]
    tensors = [Tensor(name=name, shape=(1, *hw, 5), dtype="float32") for name, hw in (("x", pool[0]), ("y", pool[4]))]
    x = np.random.default_rng(0).normal(size=tensors[0].shape).astype(np.float32)
    found = litert_outputs(graph_of("AveragePool", tensors[:1], tensors[1], attributes(pool)), [x])[0][0]
    expected = functional.avg_pool2d(torch.from_numpy(x).permute(0, 3, 1, 2), 3, 2, 1, count_include_pad=False)
    np.testing.assert_allclose(found, expected.permute(0, 2, 3, 1).numpy(), atol=1e-6)


def test_windows_of_one_size_make_one_part() -> None:
    """Nine pixels, windows of 3 every 2, 1 before and behind: the first and the last see two pixels."""
    assert parts(9, 5, 3, 2, 1) == [
        Part(count=1, begin=0, length=2, kernel=2),
        Part(count=3, begin=1, length=7, kernel=3),
        Part(count=1, begin=7, length=2, kernel=2),
    ]


def test_a_window_in_the_padding_alone_is_refused() -> None:
    graph = integer_graph(((4, 4), (2, 2), (1, 1), (2, 0, 0, 0), (5, 3)), "int8")
    with pytest.raises(UnsupportedError, match=r"AveragePool 'averagepool': pads \(2, 0, 0, 0\) put a window outside"):
        tflite_bytes(graph)
