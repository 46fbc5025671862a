"""What the manifest allows a device's self-test: what was measured, and never less than what was once seen."""

from edge.engines.output_difference import ANY_KERNELS
from edge.evaluation.fidelity import Difference
from edge.graph.graph import Operator
from edge.verification.checks.bounds import merged_bounds
from edge.verification.checks.operator_kinds import OperatorResult, by_kind


def test_bounds_grow_to_what_was_measured_and_never_shrink() -> None:
    old = {"model.tflite": {"litert/xnnpack/x86_64": 0.0, "litert/builtin/x86_64": 5.0, ANY_KERNELS: 5.0}}
    measured = {"model.tflite": {"litert/builtin/x86_64": 3.0, "litert/xnnpack/aarch64": 1.0}}
    merged = merged_bounds(old, measured)["model.tflite"]
    assert merged["litert/builtin/x86_64"] == 5.0 and merged["litert/xnnpack/aarch64"] == 1.0
    assert merged["litert/xnnpack/x86_64"] == 0.0 and merged[ANY_KERNELS] == 5.0
    assert "litert/xnnpack/aarch64" not in old["model.tflite"]


def test_unmeasured_kernels_may_differ_as_much_as_any_measured_ones() -> None:
    assert merged_bounds({"a": {ANY_KERNELS: 1.0}}, {"a": {"x/y/z": 7.0}})["a"][ANY_KERNELS] == 7.0


def test_kinds_are_gathered_with_the_least_exact_first() -> None:
    def result(kind: str, kernels: str, values: int, differing: int, largest: int) -> OperatorResult:
        operator = Operator(kind=kind, name=f"{kind}{differing}", inputs=("x",), outputs=("y",), attributes={})
        difference = Difference(values=values, differing=differing, beyond_one=0, largest=largest)
        return OperatorResult(operator=operator, kernels=kernels, difference=difference)

    kinds = by_kind([result("Relu", "builtin", 10, 0, 0), result("Sigmoid", "xnnpack", 50, 1, 1)] * 2)
    assert [(entry.kind, entry.operators, entry.differing) for entry in kinds] == [("Sigmoid", 2, 2), ("Relu", 2, 0)]
    assert kinds[0].words == "Sigmoid 2 of 2, 2 % of values, 1 quantum"
