"""Older operator sets, raised to the one that the readers know by the onnx package's own converter.

The converter keeps what most operators mean, and where it does not, the model is prepared or mended here: interpolation
before set 11 looks at other pixels than its later default, a Pad that reflects loses its value, and nodes come out of
order.
"""

from collections.abc import Mapping

import onnx
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from edge.errors import ModelFileError

OLDEST_OPSET = 7
NATIVE_OPSET = 13
PIXELS_BY_CENTRE = 11  # the first set whose Resize knows coordinate_transformation_mode
SIMPLE = "simple"
"""nearest_mode of a Resize before set 11: up where the axis shrinks, else down. ONNX Runtime's rule; no ONNX text."""


def sort_nodes(graph: GraphProto) -> None:
    """Put the nodes in an order in which every tensor is made before it is read, else the order they stand in.

    What cannot be sorted (a circle, a tensor that nothing makes) stays behind, in its order.
    """
    makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    waits = [
        {makers[name] for name in read_names(node) if name in makers} - {index} for index, node in enumerate(graph.node)
    ]
    if all(max(sources, default=-1) < index for index, sources in enumerate(waits)):
        return
    readers: dict[int, list[int]] = {}
    for index, sources in enumerate(waits):
        for source in sources:
            readers.setdefault(source, []).append(index)
    left = [len(sources) for sources in waits]
    order: list[int] = []
    ready = [index for index in range(len(waits)) if not left[index]][::-1]
    while ready:
        index = ready.pop()
        order.append(index)
        for reader in reversed(readers.get(index, [])):
            left[reader] -= 1
            if not left[reader]:
                ready.append(reader)
    placed = set(order)
    order += [index for index in range(len(waits)) if index not in placed]
    nodes = [graph.node[index] for index in order]
    copied = GraphProto()
    copied.node.extend(nodes)
    del graph.node[:]
    graph.node.extend(copied.node)


def read_names(node: NodeProto) -> list[str]:
    """What a node reads, the tensors included that its bodies (of If, Loop, Scan) read from around them."""
    names = [name for name in node.input if name]
    waiting = [graph for attribute in node.attribute for graph in (attribute.g, *attribute.graphs)]
    while waiting:
        graph = waiting.pop()
        names += [value.name for value in graph.output]
        for inner in graph.node:
            names += [name for name in inner.input if name]
            waiting += [body for attribute in inner.attribute for body in (attribute.g, *attribute.graphs)]
    return names


def raise_opset(model: ModelProto, opset: int, label: str) -> ModelProto:
    """The model in NATIVE_OPSET: the same inputs, outputs, names of tensors and of nodes.

    Args:
        model: checked, of OLDEST_OPSET or newer.

    Raises:
        ModelFileError: a node that the converter cannot raise, by name.
    """
    for node in model.graph.node:
        _prepare(node)
    try:
        raised = onnx.version_converter.convert_version(model, NATIVE_OPSET)
    except Exception as error:  # the C++ converter throws several unrelated types
        raise ModelFileError(label, f"{_where(model, opset)}: {_reason(error)}") from error
    names = {node.output[0]: node.name for node in model.graph.node if node.output}
    constants = _constants(raised.graph)
    for node in raised.graph.node:
        if opset < PIXELS_BY_CENTRE and node.op_type == "Resize" and not node.domain:
            _as_before(node, constants)
        if not node.name and node.output and node.output[0] in names:
            node.name = names[node.output[0]]
    for mine, given in (
        (raised.graph.input, model.graph.input),
        (raised.graph.output, model.graph.output),
        (raised.graph.value_info, model.graph.value_info),
    ):
        del mine[:]
        mine.extend(given)
    sort_nodes(raised.graph)
    return raised


def _prepare(node: NodeProto) -> None:
    """Take away what the converter would leave behind: the value of a Pad that pads with none."""
    if node.op_type == "Pad" and not node.domain:
        mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"constant")
        if mode != b"constant":
            kept = [attribute for attribute in node.attribute if attribute.name != "value"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _as_before(node: NodeProto, constants: Mapping[str, TensorProto]) -> None:
    """Say in a Resize of set 11 what Upsample and Resize before it did: pixel i lies at i / scale."""
    node.attribute.append(helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
    mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"nearest")
    if mode == b"nearest":
        scales = constants.get(node.input[2])
        grows = scales is not None and bool((onnx.numpy_helper.to_array(scales) >= 1).all())
        node.attribute.append(helper.make_attribute("nearest_mode", "floor" if grows else SIMPLE))


def _constants(graph: GraphProto) -> dict[str, TensorProto]:
    """Initializers, and the tensors of Constant nodes."""
    held = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and not node.domain:
            for attribute in node.attribute:
                if attribute.name == "value":
                    held[node.output[0]] = attribute.t
    return held


def _where(model: ModelProto, opset: int) -> str:
    """What could not be raised: the first node that the converter refuses alone, else the file."""
    text = f"uses operator set {opset}, which onnx {onnx.__version__} cannot raise to {NATIVE_OPSET}"
    for node in model.graph.node:
        values = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 1, 1, 1))
            for name in dict.fromkeys([*filter(None, node.input), *filter(None, node.output)])
        ]
        made = set(node.output)
        graph = helper.make_graph(
            [node],
            "node",
            [value for value in values if value.name not in made],
            [value for value in values if value.name in made],
        )
        alone = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
        try:
            onnx.version_converter.convert_version(alone, NATIVE_OPSET)
        except Exception:  # as above: this node is the one
            return f"{text}: node '{node.name or node.output[0]}' ({node.op_type})"
    return text


def _reason(error: Exception) -> str:
    """The converter's own words, without the places in its source."""
    text = " ".join(str(error).split())
    return text.rpartition("failed: ")[2][:200] or text[:200]
