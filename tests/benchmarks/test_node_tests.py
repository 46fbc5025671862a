"""Every node test of the onnx package that lies within the float writer's stated scope converts and matches."""

from collections.abc import Sequence

import pytest

from edge.graph.importers.onnx.operators.table import READERS
from tests.benchmarks.node_cases import NodeCase, node_cases
from tests.benchmarks.node_scope import out_of_scope
from tests.benchmarks.node_tests import Outcome, fault_of, outcomes

pytestmark = pytest.mark.unhurried


@pytest.fixture(scope="module")
def cases() -> Sequence[NodeCase]:
    return node_cases()


@pytest.fixture(scope="module")
def results(cases: Sequence[NodeCase]) -> Sequence[Outcome]:
    return outcomes(cases)


def test_every_case_in_scope_matches(results: Sequence[Outcome]) -> None:
    assert {result.name: result.fault for result in results if result.fault} == {}


def test_the_scope_is_wide(results: Sequence[Outcome]) -> None:
    inside = [result for result in results if result.outside is None]
    assert len(inside) >= 340 and len({result.operator for result in inside}) >= 60


def test_every_operator_that_the_reader_claims_and_the_package_tests_is_judged(
    cases: Sequence[NodeCase], results: Sequence[Outcome]
) -> None:
    tested = {case.operator for case in cases} & set(READERS)
    assert {result.operator for result in results} == tested


def test_a_wrong_answer_is_seen(cases: Sequence[NodeCase]) -> None:
    case = next(case for case in cases if case.name == "test_relu")
    assert out_of_scope(case) is None and fault_of(case) == ""
    wrong = NodeCase(**{**vars(case), "outputs": {"y": case.outputs["y"] + 0.01}})
    assert "differ" in fault_of(wrong)
    small = NodeCase(**{**vars(case), "outputs": {"y": case.outputs["y"][:1]}})
    assert "has shape" in fault_of(small)
