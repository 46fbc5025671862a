"""Writing groups and dilations of a transposed convolution out: TRANSPOSE_CONV has neither."""

from dataclasses import replace

import numpy as np

from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.passes.rewrite import fresh_name, rebuild


def legalize_conv_transpose(graph: Graph) -> Graph:
    """Dilate kernels by zeros, and give each group a Slice of the input and a ConvTranspose of its own, then a Concat.

    Requires: an NCHW graph.
    Ensures: the same values, integers included: every sum has the same terms.
    """
    tensors = dict(graph.tensors)
    names = {operator.name for operator in graph.operators}
    operators: list[Operator] = []
    for operator in graph.operators:
        if operator.kind == "ConvTranspose" and tensors[operator.inputs[1]].data is not None:
            operator = _undilated(tensors, operator)
            if operator.attributes["group"] > 1:
                operators += _per_group(tensors, names, operator)
                continue
        operators.append(operator)
    return rebuild(graph, operators, tensors)


def _undilated(tensors: dict[str, Tensor], operator: Operator) -> Operator:
    """The kernel with dilation - 1 zeros between its values."""
    dilations = tuple(operator.attributes["dilations"])
    if dilations == (1, 1):
        return operator
    weight = tensors[operator.inputs[1]]
    assert weight.data is not None
    outputs, inputs, *kernel = weight.shape
    spread = tuple((size - 1) * step + 1 for size, step in zip(kernel, dilations, strict=True))
    zero = 0 if weight.quantization is None else int(weight.quantization.zero_point.reshape(-1)[0])
    data = np.full((outputs, inputs, *spread), zero, weight.data.dtype)
    data[:, :, :: dilations[0], :: dilations[1]] = weight.data
    name = fresh_name(f"{weight.name}/dilated", tensors)
    tensors[name] = replace(weight, name=name, shape=data.shape, data=data)
    attributes = {**operator.attributes, "dilations": (1, 1)}
    return replace(operator, inputs=(operator.inputs[0], name, *operator.inputs[2:]), attributes=attributes)


def _per_group(tensors: dict[str, Tensor], names: set[str], operator: Operator) -> list[Operator]:
    x, weight, target = (tensors[name] for name in (*operator.inputs[:2], operator.outputs[0]))
    bias = tensors[operator.inputs[2]] if len(operator.inputs) > 2 and operator.inputs[2] else None
    group = int(operator.attributes["group"])
    given, made = x.shape[1] // group, target.shape[1] // group
    parts: list[Operator] = []
    results: list[str] = []
    for index in range(group):
        title = fresh_name(f"{operator.name}/group_{index}", names)
        names.add(title)
        begin, end = (0, index * given, 0, 0), (x.shape[0], (index + 1) * given, *x.shape[2:])
        source = fresh_name(f"{target.name}/group_{index}/input", tensors)
        tensors[source] = replace(x, name=source, shape=(x.shape[0], given, *x.shape[2:]))
        cut = {"begin": begin, "end": end, "strides": (1, 1, 1, 1)}
        parts.append(Operator(kind="Slice", name=f"{title}/input", inputs=(x.name,), outputs=(source,), attributes=cut))
        rows = slice(index * made, (index + 1) * made)
        kernel = _rows(tensors, weight, rows, f"{weight.name}/group_{index}")
        offset = "" if bias is None else _rows(tensors, bias, rows, f"{bias.name}/group_{index}")
        result = fresh_name(f"{target.name}/group_{index}", tensors)
        tensors[result] = replace(target, name=result, shape=(target.shape[0], made, *target.shape[2:]))
        attributes = {**operator.attributes, "group": 1}
        parts.append(
            replace(operator, name=title, inputs=(source, kernel, offset), outputs=(result,), attributes=attributes)
        )
        results.append(result)
    parts.append(replace(operator, kind="Concat", inputs=tuple(results), attributes={"axis": 1}))
    return parts


def _rows(tensors: dict[str, Tensor], constant: Tensor, rows: slice, wanted: str) -> str:
    """Some of a constant's first axis, with the parameters that run along it."""
    assert constant.data is not None
    quantization = constant.quantization
    if quantization is not None and quantization.axis == 0:
        quantization = Quantization(scale=quantization.scale[rows], zero_point=quantization.zero_point[rows], axis=0)
    data = np.ascontiguousarray(constant.data[rows])
    name = fresh_name(wanted, tensors)
    tensors[name] = replace(constant, name=name, shape=data.shape, data=data, quantization=quantization)
    return name
