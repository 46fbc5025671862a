"""Which operators the failed checks point to, and the figure that points there."""

from collections.abc import Mapping, Sequence

from edge.artifact.verdict import AtFault, Finding
from edge.graph.analyses.counts import OperatorCost, count_graph
from edge.graph.graph import Graph
from edge.verification.checks.operator_kinds import OperatorResult
from edge.verification.checks.subject import Subject

HEAVIEST = 3
FIDELITY = ("parameters", "end to end", "operators")


def blame(
    findings: Sequence[Finding], subject: Subject, operators: Mapping[str, Sequence[OperatorResult]]
) -> tuple[AtFault, ...]:
    """The operators at fault, in the order of the checks; accuracy is blamed by the ranking, which is its own step."""
    failed = [finding for finding in findings if finding.passed is False]
    found = [entry for finding in failed if finding.check == "parameters" for entry in _owner(finding, subject)]
    found += [entry for finding in failed if finding.check == "padding" for entry in _padded(finding, subject)]
    for label, results in operators.items():
        if any(finding.check in FIDELITY and _about(finding, label) for finding in failed):
            found += _first_that_differs(label, results)
    if any(finding.check == "latency" and finding.data.get("judged") for finding in failed):
        name = next((file.path for file in subject.run_files if file.format == "tflite"), subject.run_files[0].path)
        found += _slow(subject.graphs[name]) if name in subject.graphs else []
    return tuple(found)


def _about(finding: Finding, label: str) -> bool:
    """Whether a finding is about the file and engine of a label such as `model.tflite in litert`."""
    return label in (finding.subject, finding.data.get("runtime")) or (
        finding.check == "parameters" and label.startswith(finding.subject.split(" and ")[0])
    )


def _owner(finding: Finding, subject: Subject) -> list[AtFault]:
    """The operator of the source that reads (a constant) or writes the tensor whose parameters differ."""
    tensor = finding.data.get("tensor")
    head = subject.head
    told = head if head is not None and finding.subject.endswith(f" and {head.source.path}") else subject
    graph = told.graphs[told.source.path]
    owners = [operator for operator in graph.operators if tensor in (*operator.outputs, *operator.inputs)]
    reason = f"its tensor '{tensor}' differs: {finding.detail}"
    return [AtFault(check="parameters", operator=one.name, kind=one.kind, reason=reason) for one in owners[:1]]


def _padded(finding: Finding, subject: Subject) -> list[AtFault]:
    """Every window that pads otherwise than it should."""
    kinds = {operator.name: operator.kind for operator in subject.graphs[subject.source.path].operators}
    return [
        AtFault(check="padding", operator=name, kind=kinds[name], reason=f"pads {here}, should {right}")
        for name, (here, right) in finding.data["pads"].items()
    ]


def _first_that_differs(label: str, results: Sequence[OperatorResult]) -> list[AtFault]:
    wrong = [(place, result) for place, result in enumerate(results) if result.difference.differing]
    if not wrong:
        return []
    place, result = wrong[0]
    difference = result.difference
    reason = (
        f"the first of {len(wrong)} operators of {label} that differ with identical inputs (number {place + 1} of "
        f"{len(results)}): {difference.share:.2%} of its values, by up to {difference.largest} quanta"
    )
    return [AtFault(check="operators", operator=result.operator.name, kind=result.operator.kind, reason=reason)]


def _slow(graph: Graph) -> list[AtFault]:
    """What the counts show: the most multiply-adds, and operators that compute in float or only move values."""
    costs = count_graph(graph).operators
    total = max(1, sum(cost.multiply_adds or 0 for cost in costs))
    heaviest = sorted(costs, key=lambda cost: -(cost.multiply_adds or 0))[:HEAVIEST]
    found = [
        AtFault(check="latency", operator=cost.name, kind=cost.kind, reason=_heavy(cost, total))
        for cost in heaviest
        if cost.multiply_adds
    ]
    integer = any(tensor.quantization is not None for tensor in graph.tensors.values())
    for operator in graph.operators:
        if operator.kind == "Transpose":
            reason = "moves values and computes nothing; see `edge inspect`"
        elif integer and graph.tensors[operator.outputs[0]].dtype == "float32" and operator.kind != "Dequantize":
            reason = "computes in float in an integer model"
        else:
            continue
        found.append(AtFault(check="latency", operator=operator.name, kind=operator.kind, reason=reason))
    return found


def _heavy(cost: OperatorCost, total: int) -> str:
    share = (cost.multiply_adds or 0) / total
    return f"{(cost.multiply_adds or 0) / 1e6:.1f} million of {total / 1e6:.1f} million multiply-adds ({share:.1%})"
