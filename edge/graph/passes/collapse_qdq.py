"""Collapsing Quantize/Dequantize pairs into the parameters of integer tensors."""

from dataclasses import replace

import numpy as np

from edge.graph.graph import KINDS, Graph, Operator, Quantization, Tensor
from edge.graph.ops.integer_form import integer_fault
from edge.graph.passes.rewrite import constant_like, fresh_name, real_values, rebuild, renamed_inputs

# Operators that only move values: integers pass through them unchanged.
MOVING = frozenset(
    {
        "Reshape",
        "Transpose",
        "Slice",
        "MaxPool",
        "ReflectPad",
        "Gather",
        "DepthToSpace",
        "SpaceToDepth",
        "Tile",
        "Expand",
    }
)
# Layers: activation, weight, bias; the bias is int32 in the scale of the products.
LAYERS = frozenset({"Conv", "ConvTranspose", "Gemm"})
# Canonical kinds that never compute on integers.
FLOAT_ONLY = frozenset({"Quantize", "Dequantize", "BatchNorm"})


def collapse_qdq(graph: Graph) -> Graph:
    """Turn every operator between Dequantize and Quantize into one over the integer tensors.

    Requires: Quantize and Dequantize operators as the file has them; integer tensors carry their parameters.
    Ensures: the integers are those that the file describes. What stays: Quantize at a float input, Dequantize at a
    float output or before an operator that the file leaves in float or that no integer kernel computes, and Quantize
    from integers to integers where only the parameters change. A float bias of an integer Conv or Gemm becomes int32
    with scale s_in * s_w.
    """
    graph = _merge_equal_quantizes(graph)
    graph = _hoist_quantize(graph)
    graph = _sink_dequantize(graph)
    graph = _collapse(graph)
    graph = _requantize(graph)
    return _dequantize_constants(graph)


def _merge_equal_quantizes(graph: Graph) -> Graph:
    """Keep one of several Quantize operators that read the same tensor with the same parameters."""
    first: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    operators = []
    for operator in graph.operators:
        if operator.kind == "Quantize" and operator.outputs[0] not in graph.outputs:
            twins = first.setdefault(operator.inputs[0], [])
            twin = next(
                (name for name in twins if _same(graph.tensors[name], graph.tensors[operator.outputs[0]])), None
            )
            if twin is not None:
                names[operator.outputs[0]] = twin
                continue
            twins.append(operator.outputs[0])
        operators.append(renamed_inputs(operator, names))
    return rebuild(graph, operators)


def _same(left: Tensor, right: Tensor) -> bool:
    return left.dtype == right.dtype and left.quantization is not None and left.quantization.same_as(right.quantization)


def _hoist_quantize(graph: Graph) -> Graph:
    """Move a Quantize above a moving operator: Conv, Reshape, Quantize becomes Conv, Quantize, Reshape."""
    tensors = dict(graph.tensors)
    operators = list(graph.operators)
    changed = True
    while changed:
        changed = False
        readers = _readers(operators, graph.outputs)
        makers = {name: operator for operator in operators for name in operator.outputs}
        for index, operator in enumerate(operators):
            if operator.kind not in MOVING or operator.attributes.get("activation", "none") != "none":
                continue
            source, target = operator.inputs[0], operator.outputs[0]
            below, maker = readers.get(target, []), makers.get(source)
            if maker is None or maker.kind == "Dequantize" or tensors[source].dtype != "float32":
                continue
            if len(below) != 1 or below[0] is None or below[0].kind != "Quantize" or len(readers[source]) != 1:
                continue
            integers = tensors[below[0].outputs[0]]
            hoisted = fresh_name(f"{source}/quantized", tensors)
            tensors[hoisted] = replace(integers, name=hoisted, shape=tensors[source].shape)
            operators[index] = replace(operator, inputs=(hoisted,), outputs=below[0].outputs)
            operators[operators.index(below[0])] = replace(below[0], inputs=(source,), outputs=(hoisted,))
            lowered = operators.pop(operators.index(operators[index]))
            place = next(i for i, entry in enumerate(operators) if hoisted in entry.outputs)
            quantizer = operators.pop(place)
            operators[index:index] = [quantizer, lowered]
            changed = True
            break
    return rebuild(graph, operators, tensors)


def _sink_dequantize(graph: Graph) -> Graph:
    """Move a Dequantize below a moving operator unless a Quantize with the same parameters follows it."""
    tensors = dict(graph.tensors)
    operators: list[Operator] = []
    integers: dict[str, str] = {}
    readers = _readers(list(graph.operators), graph.outputs)
    for operator in graph.operators:
        if operator.kind == "Dequantize":
            integers[operator.outputs[0]] = operator.inputs[0]
        source = integers.get(operator.inputs[0], "") if operator.inputs else ""
        plain = operator.kind in MOVING and operator.attributes.get("activation", "none") == "none"
        if not plain or not source or _is_collapsible(graph, operator, source, readers):
            operators.append(operator)
            continue
        target = operator.outputs[0]
        moved = fresh_name(f"{target}/quantized", tensors)
        tensors[moved] = replace(tensors[source], name=moved, shape=tensors[target].shape)
        operators.append(replace(operator, inputs=(source,), outputs=(moved,)))
        name = f"{operator.name}/dequantize"
        operators.append(
            Operator(kind="Dequantize", name=name, inputs=(moved,), outputs=(target,), source="DequantizeLinear")
        )
        integers[target] = moved
    return rebuild(graph, operators, tensors)


def _is_collapsible(graph: Graph, operator: Operator, source: str, readers: dict[str, list[Operator | None]]) -> bool:
    below = readers.get(operator.outputs[0], [])
    if len(below) != 1 or below[0] is None or below[0].kind != "Quantize":
        return False
    return _same(graph.tensors[source], graph.tensors[below[0].outputs[0]])


def _readers(operators: list[Operator], outputs: tuple[str, ...]) -> dict[str, list[Operator | None]]:
    """The operators that read each tensor; None stands for the graph's own output."""
    readers: dict[str, list[Operator | None]] = {}
    for operator in operators:
        for name in operator.inputs:
            readers.setdefault(name, []).append(operator)
    for name in outputs:
        readers.setdefault(name, []).append(None)
    return readers


def _collapse(graph: Graph) -> Graph:
    tensors = dict(graph.tensors)
    integers = {
        operator.outputs[0]: operator.inputs[0] for operator in graph.operators if operator.kind == "Dequantize"
    }
    readers = _readers(list(graph.operators), graph.outputs)
    operators: list[Operator] = []
    absorbed: set[str] = set()
    for operator in graph.operators:
        if operator.name in absorbed:
            continue
        output = _integer_output(graph, operator, readers)
        if output is None or not _has_integer_inputs(graph, operator, integers):
            operators.append(replace(operator, reason=operator.reason or _weight_fault(graph, operator)))
            continue
        inputs = [integers.get(name, name) for name in operator.inputs]
        if integer_fault(replace(operator, inputs=tuple(inputs), outputs=(output,)), tensors):
            operators.append(operator)
            continue
        if output != operator.outputs[0]:
            quantizer = readers[operator.outputs[0]][0]
            assert quantizer is not None
            absorbed.add(quantizer.name)
        if operator.kind in LAYERS and operator.inputs[2]:
            inputs[2] = _integer_bias(tensors, inputs)
        operators.append(replace(operator, inputs=tuple(inputs), outputs=(output,)))
    return rebuild(graph, operators, tensors)


def _integer_output(graph: Graph, operator: Operator, readers: dict[str, list[Operator | None]]) -> str | None:
    """The integer tensor that the operator would write, None if its result is needed in float."""
    if operator.kind not in KINDS or operator.kind in FLOAT_ONLY or len(operator.outputs) != 1:
        return None
    output = operator.outputs[0]
    if not graph.tensors[output].dtype.startswith("float"):
        return output
    below = readers.get(output, [])
    if len(below) == 1 and below[0] is not None and below[0].kind == "Quantize":
        return below[0].outputs[0]
    return None


def _has_integer_inputs(graph: Graph, operator: Operator, integers: dict[str, str]) -> bool:
    for index, name in enumerate(operator.inputs):
        if not name or (index == 2 and operator.kind in LAYERS) or (index == 1 and operator.kind == "Gather"):
            continue
        tensor = graph.tensors[name]
        if name not in integers and (tensor.dtype.startswith("float") or tensor.quantization is None):
            return False
        if operator.kind in LAYERS and index == 1 and (tensor.data is None or _weight_fault(graph, operator)):
            return False
    return True


def _weight_fault(graph: Graph, operator: Operator) -> str:
    """Why the scales of a layer's weight fit no integer kernel; '' where they do."""
    if operator.kind not in LAYERS:
        return ""
    weight = graph.tensors[operator.inputs[1]]
    axis = None if weight.quantization is None else weight.quantization.axis
    if axis in (None, 0):
        return ""
    return (
        f"the scales of weight '{weight.name}' run along its inputs (axis {axis}), kernels take them "
        "along the outputs; quantize it per output channel or per tensor"
    )


def _integer_bias(tensors: dict[str, Tensor], inputs: list[str]) -> str:
    """The bias as int32 with scale s_in * s_w (float32 product), rounded half to even in float64."""
    x, weight, bias = tensors[inputs[0]], tensors[inputs[1]], tensors[inputs[2]]
    assert x.quantization is not None and weight.quantization is not None
    scale = (x.quantization.scale * weight.quantization.scale).astype(np.float32)
    axis = 0 if weight.quantization.axis is not None else None
    quantization = Quantization(scale=scale, zero_point=np.zeros(scale.size, np.int64), axis=axis)
    if bias.dtype == "int32" and quantization.same_as(bias.quantization):
        return bias.name
    if bias.dtype == "int32" and bias.data is not None and bias.quantization is not None:
        steps = np.broadcast_to(bias.quantization.scale, bias.shape).astype(np.float64)
        values = (bias.data - bias.quantization.zero_point.astype(np.int64)) * steps
    else:
        values = real_values(bias).astype(np.float64)
    limit = np.iinfo(np.int32)
    quotient = np.rint(values / np.broadcast_to(scale, bias.shape).astype(np.float64))
    data = np.clip(quotient, limit.min, limit.max).astype(np.int32)
    name = bias.name if bias.dtype != "int32" else fresh_name(f"{bias.name}/rescaled", tensors)
    if name == bias.name:
        name = fresh_name(f"{bias.name}/int32", tensors)
    tensors[name] = constant_like(bias, name, data, quantization)
    return name


def _requantize(graph: Graph) -> Graph:
    """Let a Quantize that reads a Dequantize read its integers: a change of parameters. An equal pair vanishes."""
    integers = {
        operator.outputs[0]: operator.inputs[0] for operator in graph.operators if operator.kind == "Dequantize"
    }
    operators = []
    names: dict[str, str] = {}
    for given in graph.operators:
        operator = renamed_inputs(given, names)
        if operator.kind == "Quantize" and operator.inputs[0] in integers:
            source = names.get(integers[operator.inputs[0]], integers[operator.inputs[0]])
            if operator.outputs[0] not in graph.outputs and _same(
                graph.tensors[source], graph.tensors[operator.outputs[0]]
            ):
                names[operator.outputs[0]] = source
                continue
            operator = replace(operator, inputs=(source,))
        operators.append(operator)
    return rebuild(graph, operators)


def _dequantize_constants(graph: Graph) -> Graph:
    """Give operators that stay in float the float32 values of quantized constants."""
    tensors = dict(graph.tensors)
    operators = []
    reals: dict[str, str] = {}
    for operator in graph.operators:
        names = {}
        outputs_float = any(graph.tensors[name].dtype.startswith("float") for name in operator.outputs)
        for name in operator.inputs:
            tensor = graph.tensors.get(name)
            if tensor is None or tensor.data is None or tensor.quantization is None:
                continue
            if operator.kind == "Dequantize" or not outputs_float:
                continue
            if name not in reals:
                reals[name] = real = fresh_name(f"{name}/real", tensors)
                tensors[real] = Tensor(name=real, shape=tensor.shape, dtype="float32", data=real_values(tensor))
            names[name] = reals[name]
        operators.append(renamed_inputs(operator, names))
    return rebuild(graph, operators, tensors)
