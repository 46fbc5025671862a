"""Reading an ONNX file, float or QDQ, ours or foreign, into a Graph."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import NodeProto

from edge.errors import EdgeError, ModelFileError
from edge.graph.collapse_qdq import MOVING, collapse_qdq
from edge.graph.fuse_activations import fuse_activations, fuse_bias
from edge.graph.fuse_functions import fuse_functions
from edge.graph.fuse_rounding import fuse_rounding
from edge.graph.graph import KINDS, Graph, Operator, Tensor
from edge.graph.lift_from_reshape import lift_from_reshape, merge_reshapes
from edge.graph.onnx_draft import (
    FOLDING_ALLOWANCE_BYTES,
    NOT_CANONICAL,
    Draft,
    Node,
    NotCanonical,
    infer_outputs,
    plain_node,
)
from edge.graph.onnx_file import OnnxFile, open_onnx
from edge.graph.onnx_operators.fold import fold
from edge.graph.onnx_operators.qoperator import written_out
from edge.graph.onnx_operators.table import READERS
from edge.graph.onnx_written_out import restore_written_out
from edge.graph.rewrite import rebuild

# Operators over integers that leave their parameters as they are.
KEEPING = MOVING | {"AveragePool", "Resize", "Relu", "Relu6", "Clip"}

# Operator types whose readers take a constant input too.
OF_CONSTANTS = frozenset(
    {
        "Clip",
        "DequantizeLinear",
        "Dropout",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)


def read_onnx(
    source: Path | bytes,
    *,
    name: str | None = None,
    batch: int | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    complete: Callable[[Graph], Graph] | None = None,
) -> Graph:
    """Read an ONNX model: NCHW, canonical operators, Q/DQ pairs collapsed, rectifiers and bias adds fused.

    Constant expressions are computed, Identity and Dropout removed, `auto_pad` made explicit. Batch norm stays (see
    `converters.onnx_passes.fold_batch_norm`), and so do uint8 activations (see `canonical_int8`). An integer
    activation is named after the output of its QuantizeLinear, a quantized constant after the stored integers. An
    operator without a canonical kind is kept under its own name, `onnx.NAME` where that is also a canonical kind.

    Args:
        source: a path, or the file's bytes. Operator sets 13 up to the newest that the onnx package knows.
        name: of the graph; None takes the file's own.
        batch: what an unknown first dimension becomes; None refuses unknown dimensions.
        shapes: input name -> its shape, for sizes that the file leaves open.
        complete: changes the graph while Quantize and Dequantize are still operators of it, to add what a foreign file
            lacks; what it raises is passed on.

    Raises:
        ModelFileError: the file is missing, damaged, foreign, has external data or unknown sizes.
    """
    file = open_onnx(source, batch=batch, shapes=shapes)
    graph = _literal_graph(file, file.model.graph.name or "graph" if name is None else name)
    try:
        graph = _spread_parameters(fuse_rounding(graph))
        graph = fuse_functions(merge_reshapes(lift_from_reshape(graph)))
        graph = fuse_activations(fuse_bias(graph))
    except EdgeError as error:
        raise ModelFileError(file.label, str(error)) from error
    if complete is not None:
        graph = complete(graph)
    try:
        return fuse_activations(merge_reshapes(collapse_qdq(graph)))
    except EdgeError as error:
        raise ModelFileError(file.label, str(error)) from error


def _literal_graph(file: OnnxFile, name: str) -> Graph:
    """The nodes one by one, Quantize and Dequantize still as operators."""
    proto = file.model.graph
    nodes = restore_written_out(file.model)
    uses = Counter(name for node in nodes for name in node.input)
    uses.update(output.name for output in proto.output)
    draft = Draft(
        label=file.label,
        opset=file.opset,
        types=dict(file.types),
        folded_limit_bytes=8 * file.size_bytes + FOLDING_ALLOWANCE_BYTES,
        uses=uses,
    )
    for constant in proto.initializer:
        try:
            draft.add_constant(constant.name, onnx.numpy_helper.to_array(constant))
        except (ValueError, TypeError) as error:
            raise ModelFileError(file.label, f"constant '{constant.name}' cannot be read: {error}") from error
    inputs = tuple(value.name for value in proto.input if value.name not in draft.tensors)
    for input_name in inputs:
        draft.declare(input_name)
    for index, node in enumerate(nodes):
        for part in written_out(draft, node):
            _read_node(draft, part, index)
    return _finish(draft, name, inputs, tuple(value.name for value in proto.output))


def _read_node(draft: Draft, proto: NodeProto, index: int) -> None:
    node = plain_node(draft, proto, index)
    for name in node.inputs:
        if name:
            draft.tensor(name)
    try:
        if fold(draft, node):
            return
        infer_outputs(draft, proto)
        known = node.kind in READERS and (node.kind in OF_CONSTANTS or not _is_constant(draft, node))
        (READERS[node.kind] if known else _keep)(draft, node)
    except NotCanonical as reason:
        _keep(draft, replace(node, attributes={**node.attributes, NOT_CANONICAL: str(reason)}))


def _is_constant(draft: Draft, node: Node) -> bool:
    """Whether a node reads constants alone; what is left of those after folding has no canonical form."""
    return all(draft.tensor(name).data is not None for name in node.inputs if name)


def _keep(draft: Draft, node: Node) -> None:
    """Keep a node that has no canonical form, under its own name."""
    kind = f"onnx.{node.kind}" if node.kind in KINDS else node.kind
    for name in node.outputs:
        if name and name not in draft.tensors:
            draft.declare(name)
    draft.append(kind, node.name, node.inputs, node.outputs, node.attributes, node.kind)


def _finish(draft: Draft, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
    """Make the graph; an output that a removed node made gets its own name back where it is free to."""
    made = {output for operator in draft.operators for output in operator.outputs}
    names: dict[str, str] = {}
    resolved = []
    for output in outputs:
        target = draft.aliases.get(output, output)
        if target != output and target in made and target not in outputs and target not in names:
            names[target] = output
        resolved.append(names.get(target, target))
    tensors = {names.get(key, key): replace(tensor, name=names.get(key, key)) for key, tensor in draft.tensors.items()}
    operators = tuple(
        replace(
            operator,
            inputs=tuple(names.get(key, key) for key in operator.inputs),
            outputs=tuple(names.get(key, key) for key in operator.outputs),
        )
        for operator in draft.operators
    )
    try:
        graph = Graph(
            name=name, layout="nchw", operators=operators, tensors=tensors, inputs=inputs, outputs=tuple(resolved)
        )
        return rebuild(graph, operators)
    except EdgeError as error:
        raise ModelFileError(draft.label, str(error)) from error


def _spread_parameters(graph: Graph) -> Graph:
    """Give the parameters of an integer tensor to those that the same integers are moved to or from."""
    tensors: dict[str, Tensor] = dict(graph.tensors)

    def spread(operator: Operator, source: str, target: str) -> None:
        known, unknown = tensors[source], tensors[target]
        if known.quantization is not None and unknown.quantization is None and known.dtype == unknown.dtype:
            tensors[target] = replace(unknown, quantization=known.quantization)

    moving = [operator for operator in graph.operators if operator.kind in KEEPING]
    for operator in moving:
        spread(operator, operator.inputs[0], operator.outputs[0])
    for operator in reversed(moving):
        spread(operator, operator.outputs[0], operator.inputs[0])
    return replace(graph, tensors=tensors)
