"""The activations that 8 bits do not hold get 16, the cheapest gain first, as long as budgets hold."""

import pytest
import torch

from converters.convert.budgets import Budgets
from edge.graph.graph import Graph
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.spliced import spliced
from edge.quantization.ptq.wider import Cost, regions_of, widened
from tests.support.ptq_network import SmoothImages, uneven_graph
from tests.support.unequal_network import LAYER, unequal_graph


@pytest.fixture(scope="module")
def made() -> Improved:
    torch.set_num_threads(1)
    return improve(
        unequal_graph(), SmoothImages(30), steps=(), multiply_adds=0, epochs=0, decides=True, input_range=(-1.0, 1.0)
    )


def free(graph: Graph) -> Cost:
    return Cost(size_bytes=1, latency_ns=None, over=None)


def wide_operators(graph: Graph) -> int:
    return sum(any(graph.tensors[name].dtype == "int16" for name in entry.inputs) for entry in graph.operators)


def test_the_layer_of_unequal_channels_is_found_and_its_loss_undone(made: Improved) -> None:
    mixed = widened(made, free)
    first = mixed.tried[0]
    assert (first.region.layer, first.refused, len(first.region.operators)) == (LAYER, None, 2)
    assert first.gain_db > 10
    judge = Judge(unequal_graph(), SmoothImages(20, seed=9), decides=True)
    assert judge.integers(mixed.graph).sqnr_db > judge.total(made.state).sqnr_db + 10
    assert mixed.total == made.work.judge.integers(mixed.graph)
    assert mixed.before == made.total


def test_where_the_floor_holds_or_the_int8_file_is_over_nothing_is_taken(made: Improved) -> None:
    for mixed in (
        widened(made, free, agreement_floor=made.total.agreement),
        widened(made, lambda graph: Cost(size_bytes=1, latency_ns=None, over="a budget")),
    ):
        assert (mixed.tried, wide_operators(mixed.graph), mixed.total) == ((), 0, made.total)


def test_what_is_over_a_budget_is_not_kept_nor_anything_that_computes_more(made: Improved) -> None:
    asked: list[int] = []

    def cost(graph: Graph) -> Cost:
        asked.append(wide_operators(graph))
        return Cost(size_bytes=1, latency_ns=None, over="too slow" if asked[-1] else None)

    mixed = widened(made, cost)
    assert asked[0] == 0
    assert wide_operators(mixed.graph) == 0
    assert {one.refused for one in mixed.tried if one.cost is not None} == {"too slow"}
    counted = [one.region.multiply_adds for one in mixed.tried if one.cost is not None]
    assert counted == sorted(counted, reverse=True)
    assert len(asked) == 1 + len(counted)


def test_no_region_reaches_the_ends_of_the_network(made: Improved) -> None:
    graph = made.state.quantized
    regions = regions_of(graph, made.state.groups)
    assert LAYER in {region.layer for region in regions}
    assert all(len(region.operators) > 1 for region in regions)
    everything = frozenset(name for region in regions for name in region.operators)
    mixed = spliced(graph, graph, everything)
    assert [mixed.tensors[name].dtype for name in (*mixed.inputs, *mixed.outputs)] == ["int8", "int8"]


def test_budgets_count_the_file_and_measure_it_beside_the_first() -> None:
    together: list[list[bytes]] = []

    def latencies(files: list[bytes]) -> list[int]:
        together.append(list(files))
        return [len(data) * 100 for data in files]

    graph = uneven_graph()
    files = iter([b"first", b"second file", b"third"])
    cost = Budgets(size_bytes=10, latency_ns=600, latencies=latencies).costs(lambda graph: next(files))
    assert cost(graph) == Cost(size_bytes=5, latency_ns=500, over=None)
    assert cost(graph) == Cost(size_bytes=11, latency_ns=None, over="11 B: over the size budget of 10 B")
    assert cost(graph).latency_ns == 500
    assert together == [[b"first"], [b"first", b"third"]]
    slow = Budgets(latency_ns=400, latencies=latencies).costs(lambda graph: b"first")
    assert slow(graph).over == "500 ns: over the latency budget of 400 ns"
