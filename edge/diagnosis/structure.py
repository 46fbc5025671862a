"""Diseases of the operators: floats between integers, layouts turned over, scales that no kernel computes with."""

from collections.abc import Sequence
from typing import Any

from edge.diagnosis.disease import Found, healthy, sick
from edge.diagnosis.patient import Moved, Patient
from edge.execution.kernels.int8_table import BUILDERS
from edge.graph.graph import Graph, Operator
from edge.graph.ops.kernel_limits import LAYERS, limit_fault

CHANGES = frozenset({"Quantize", "Dequantize"})
ORDERS = frozenset({(0, 2, 3, 1), (0, 3, 1, 2)})
"""NCHW to NHWC and back."""
SPATIAL = frozenset({"Conv", "ConvTranspose", "AveragePool", "MaxPool", "Resize"})
KEEPS_ORDER = frozenset(
    {*CHANGES, "Add", "Sub", "Mul", "Relu", "Relu6", "Clip", "Pad", "Concat", "BatchNorm", "HardSwish", "Sigmoid"}
)


def islands(graph: Graph) -> tuple[Operator, ...]:
    """Operators of an integer graph that compute in float: layers anywhere, others where integers follow them.

    What is float from there to the outputs (a Softmax, the selection of boxes) costs no change of type and back.
    """
    integer = {name for name, tensor in graph.tensors.items() if tensor.quantization is not None}
    leads: set[str] = set()  # tensors that an integer activation follows
    for operator in reversed(graph.operators):
        if any(name in integer or name in leads for name in operator.outputs):
            leads.update(name for name in operator.inputs if name)
    after = {name for name in graph.inputs if name in integer}  # tensors that an integer activation comes before
    found = []
    for operator in graph.operators:
        given = [name for name in operator.inputs if name and graph.tensors[name].data is None]
        if any(name in integer or name in after for name in given):
            after.update(operator.outputs)
        is_float = any(graph.tensors[name].dtype.startswith("float") for name in (*given, *operator.outputs))
        if operator.kind in CHANGES or not is_float:
            continue
        between = any(name in after for name in given) and any(name in leads for name in operator.outputs)
        if operator.kind in LAYERS or between:
            found.append(operator)
    return tuple(found)


def without_integer_form(graph: Graph) -> tuple[Operator, ...]:
    """Operators of a float graph that no integer kernel computes: quantized, they would stay in float."""
    return tuple(
        operator
        for operator in graph.operators
        if operator.kind not in BUILDERS
        and operator.kind != "BatchNorm"  # which folds
        and any(graph.tensors[name].dtype.startswith("float") for name in operator.outputs)
    )


def float_islands(patient: Patient) -> Found:
    """Whether operators compute in float between integers."""
    floats, total = patient.floats, len(patient.graph.operators)
    data: dict[str, Any] = {"float_operators": len(floats), "operators": total}
    if not floats:
        kept = "computes in float between integers" if patient.is_integer else "lacks an integer form"
        return healthy(f"none of {total} operators {kept}", **data)
    named = ", ".join(f"{operator.kind} '{operator.name}'" for operator in floats[:5]) + ", ..." * (len(floats) > 5)
    if patient.is_integer:
        words = (
            f"{len(floats)} operators compute in float between integers: {named}; at each the values change type twice"
        )
        return sick(words, layer=floats[0].name, **_whole(patient), **data)
    kinds = ",".join(dict.fromkeys(operator.kind for operator in floats))
    return sick(
        f"{len(floats)} operators have no integer form: {named}; quantized, they stay in float",
        layer=floats[0].name,
        cure=f"no command makes integers of {kinds}: replace it in the network and export it again; what it costs to "
        f"keep it in float is measured by {patient.quantizing} --allow-float {kinds}",
        **data,
    )


def _whole(patient: Patient) -> dict[str, str]:
    """How an integer model becomes integer throughout: words, and a command where there is one."""
    lacking = dict.fromkeys(operator.kind for operator in patient.floats if operator.kind not in BUILDERS)
    if lacking:
        kinds = ", ".join(lacking)
        return {"cure": f"no command makes integers of {kinds}: replace it in the float network, and quantize it again"}
    if patient.form == "onnx":
        return {
            "cure": "give what computes in float ranges of its own, from 100 images as the camera takes them",
            "command": f"edge convert {patient.command} {patient.calibrating} -o ARTIFACT",
        }
    return {"cure": "quantize the float model whole", "command": patient.quantizing}


def turned_over(graph: Graph) -> tuple[Moved, ...]:
    """Transposes of maps between NCHW and NHWC inside a graph, next to what works on maps; not at inputs or outputs."""
    makers = {name: operator for operator in graph.operators for name in operator.outputs}
    readers: dict[str, list[Operator]] = {}
    for operator in graph.operators:
        for name in operator.inputs:
            readers.setdefault(name, []).append(operator)
    found = []
    for operator in graph.operators:
        if operator.kind != "Transpose" or tuple(operator.attributes["perm"]) not in ORDERS:
            continue
        source, target = operator.inputs[0], operator.outputs[0]
        before, after = _next(source, makers), _following(target, readers)
        inside = source not in graph.inputs and target not in graph.outputs
        meant = (_is_map(before), any(_is_map(one) for one in after))  # a head that lays its map out flat is none
        if inside and all(meant) and any(_is_spatial(one) for one in (before, *after)):
            near = next(one for one in (before, *after) if _is_spatial(one))
            reason = f"{near.kind} '{near.name}'" if near is not None else ""
            found.append(Moved(name=operator.name, size_bytes=graph.tensors[target].size_bytes, reason=reason))
    return tuple(found)


def _is_map(operator: Operator | None) -> bool:
    """Whether an operator works on maps, or turns one over."""
    turns = operator is not None and operator.kind == "Transpose" and tuple(operator.attributes["perm"]) in ORDERS
    return turns or _is_spatial(operator)


def _is_spatial(operator: Operator | None) -> bool:
    return operator is not None and operator.kind in SPATIAL


def _next(name: str, makers: dict[str, Operator]) -> Operator | None:
    operator = makers.get(name)
    while operator is not None and operator.kind in KEEPS_ORDER:
        operator = makers.get(operator.inputs[0])
    return operator


def _following(name: str, readers: dict[str, list[Operator]]) -> Sequence[Operator]:
    waiting, found, seen = list(readers.get(name, [])), [], set()
    while waiting:
        operator = waiting.pop()
        if operator.name in seen:
            continue
        seen.add(operator.name)
        if operator.kind in KEEPS_ORDER:
            waiting += readers.get(operator.outputs[0], [])
        else:
            found.append(operator)
    return found


def layout_transposes(patient: Patient) -> Found:
    """Whether maps are turned from one layout to the other between operators that work on maps."""
    found = patient.transposes
    data = {"transposes": len(found), "transposed_bytes": sum(one.size_bytes for one in found)}
    if not found:
        return healthy("no map is turned over between its operators", **data)
    first = found[0]
    cure, command = "convert it, which lays the graph out as NHWC and omits them", f"edge convert {patient.command}"
    if patient.form in ("tflite", "artifact"):
        cure = "no command rewrites a finished file: convert the ONNX file or checkpoint that it came from"
        command = f"edge convert {patient.float_model}"
    return sick(
        f"{len(found)} Transposes turn maps from one layout to the other, {data['transposed_bytes']:,} bytes an image; "
        f"the first, '{first.name}', stands next to {first.reason}",
        layer=first.name,
        cure=cure,
        command=f"{command} -o ARTIFACT",
        **data,
    )


def scales_beyond_limits(patient: Patient) -> Found:
    """Whether operators have scales that LiteRT's kernels refuse or overflow with."""
    if not patient.is_integer:
        return healthy("float: `edge quantize` keeps ranges within the limits")
    graph = patient.graph
    faults = [(operator, fault) for operator in graph.operators if (fault := limit_fault(operator, graph.tensors))]
    data = {"operators": len(graph.operators), "beyond_limits": len(faults)}
    if not faults:
        return healthy(f"the scales of all {len(graph.operators)} operators are within the kernels' limits", **data)
    operator, fault = faults[0]
    more = f" (and {len(faults) - 1} more operators)" if len(faults) > 1 else ""
    return sick(
        f"{operator.kind} '{operator.name}': {fault}{more}",
        layer=operator.name,
        cure="quantize the float model again, which keeps ranges within the limits",
        command=patient.quantizing,
        **data,
    )
