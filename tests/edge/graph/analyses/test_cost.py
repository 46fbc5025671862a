"""The cost rules: closed forms, and a rule for every operator kind of a graph."""

from edge.graph.analyses.cost import RULES, conv_multiply_adds, linear_multiply_adds, multiply_adds, parameters
from edge.graph.graph import KINDS


def test_a_convolution_costs_its_kernel_volume_at_every_output() -> None:
    assert conv_multiply_adds((32, 3, 3, 3), (1, 32, 112, 112)) == 112 * 112 * 32 * 27
    assert conv_multiply_adds((32, 3, 3, 3), (1, 112, 112, 32)) == 112 * 112 * 32 * 27


def test_a_depthwise_convolution_costs_one_channel_per_output() -> None:
    assert conv_multiply_adds((64, 1, 3, 3), (1, 64, 56, 56)) == 64 * 56 * 56 * 9


def test_a_linear_layer_costs_its_weights_for_every_row() -> None:
    assert linear_multiply_adds((1000, 1280), (1, 1000)) == 1_280_000
    assert linear_multiply_adds((10, 4), (3, 10)) == 120


def test_parameters_are_values() -> None:
    assert parameters([(32, 3, 3, 3), (32,), ()]) == 32 * 27 + 32 + 1
    assert parameters([]) == 0


def test_every_kind_of_a_graph_has_a_rule_and_a_foreign_one_has_none() -> None:
    assert RULES.keys() == KINDS.keys()
    assert multiply_adds("Conv", [(1, 3, 8, 8), (4, 3, 3, 3), (4,)], (1, 4, 8, 8)) == 8 * 8 * 4 * 27
    assert multiply_adds("Gemm", [(1, 16), (4, 16)], (1, 4)) == 64
    assert multiply_adds("Add", [(1, 4, 8, 8), (1, 4, 8, 8)], (1, 4, 8, 8)) == 0
    assert multiply_adds("TRANSPOSE_CONV", [(1, 3, 8, 8)], (1, 4, 16, 16)) is None
