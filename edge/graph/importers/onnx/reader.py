"""Reading an ONNX file, float or QDQ, ours or foreign, into a Graph."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
from onnx import NodeProto

from edge.errors import EdgeError, ModelFileError
from edge.graph.graph import KINDS, Graph, Operator, Tensor
from edge.graph.importers.onnx.operators.fold import fold
from edge.graph.importers.onnx.operators.qoperator import decomposed
from edge.graph.importers.onnx.operators.table import READERS
from edge.graph.importers.onnx.parsing.file import OnnxFile, open_onnx
from edge.graph.importers.onnx.parsing.importer import (
    FOLDING_ALLOWANCE_BYTES,
    NOT_CANONICAL,
    Importer,
    Node,
    NotCanonical,
    UnknownType,
    infer_outputs,
    plain_node,
)
from edge.graph.importers.onnx.parsing.opset import read_names
from edge.graph.importers.onnx.signature import signed_graph
from edge.graph.importers.onnx.widening import OUTPUT, widen_input, widen_inputs, widen_outputs, widening_note
from edge.graph.passes.collapse_qdq import MOVING, collapse_qdq
from edge.graph.passes.fuse_activations import fuse_activations, fuse_bias
from edge.graph.passes.fuse_functions import fuse_functions
from edge.graph.passes.fuse_rounding import fuse_rounding
from edge.graph.passes.hoist_from_reshape import hoist_from_reshape, merge_reshapes
from edge.graph.passes.recompose import recompose

INFERENCE_HINT = "say all sizes with --input-shape, or simplify the file first (onnxsim)"
EXPLICIT_TRAINING = 14  # the operator set from which BatchNormalization says training_mode

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
    `converters.passes.fold_batch_norm`), and so do uint8 activations (see `canonical_int8`). An integer
    activation is named after the output of its QuantizeLinear, a quantized constant after the stored integers. An
    operator without a canonical kind is kept under its own name, `onnx.NAME` where that is also a canonical kind.
    float16 and float64 networks are read as float32. Every output keeps its name.

    Args:
        source: a path (constants may lie in files beside it), or the file's bytes. Operator sets 7 up to the newest
            that the onnx package knows; those before 13 are raised, which the graph's notes say.
        name: of the graph; None takes the file's own.
        batch: what an unknown first dimension becomes; None refuses unknown dimensions.
        shapes: input name -> its shape, for sizes that the file leaves open.
        complete: changes the graph while Quantize and Dequantize are still operators of it, to add what a foreign file
            lacks; what it raises is passed on.

    Raises:
        ModelFileError: the file is missing, damaged, foreign, has unknown sizes or external data elsewhere.
    """
    file = open_onnx(source, batch=batch, shapes=shapes)
    graph = _literal_graph(file, file.model.graph.name or "graph" if name is None else name)
    try:
        graph = _spread_parameters(fuse_rounding(graph))
        graph = fuse_functions(merge_reshapes(hoist_from_reshape(graph)))
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
    nodes = recompose(file.model)
    outputs = tuple(value.name for value in proto.output)
    uses, readers = _readers(nodes, outputs)
    importer = Importer(
        label=file.label,
        opset=file.opset,
        types=dict(file.types),
        folded_limit_bytes=8 * file.size_bytes + FOLDING_ALLOWANCE_BYTES,
        uses=uses,
        readers=readers,
        taken=frozenset(
            [
                *(value.name for value in (*proto.input, *proto.initializer)),
                *(name for node in nodes for name in (*node.input, *node.output)),
            ]
        ),
    )
    for constant in proto.initializer:
        try:
            importer.add_constant(constant.name, onnx.numpy_helper.to_array(constant))
        except (ValueError, TypeError) as error:
            raise ModelFileError(file.label, f"constant '{constant.name}' cannot be read: {error}") from error
    inputs = tuple(value.name for value in proto.input if value.name not in importer.tensors)
    for input_name in inputs:
        widen_input(importer, input_name)
        try:
            importer.declare(input_name)
        except UnknownType:
            raise ModelFileError(file.label, f"input '{input_name}' has an element type that is not read") from None
    for index, node in enumerate(nodes):
        for part in decomposed(importer, node):
            _read_node(importer, part, index)
    _require_declared_sizes(file, importer, outputs)
    graph = signed_graph(importer, name, inputs, outputs)
    return replace(graph, notes=(*file.notes, *widening_note(importer)))


def _require_declared_sizes(file: OnnxFile, importer: Importer, outputs: Sequence[str]) -> None:
    """Refuse (ModelFileError) a file whose Resize operators make another size than it declares for an output.

    Which of the two is meant cannot be told: runtimes compute the sizes, exporters write what their framework gave.
    """
    if all(node.op_type != "Resize" for node in file.model.graph.node):
        return
    for name in outputs:
        declared, made = (types.get(name, ("", ()))[1] for types in (file.types, importer.types))
        if declared and made and declared != made:
            raise ModelFileError(
                file.label,
                f"output '{name}' is declared {declared} and its Resize operators make {made}; "
                "export it with sizes instead of scales",
            )


def _readers(nodes: Sequence[NodeProto], outputs: Sequence[str]) -> tuple[Counter[str], dict[str, frozenset[str]]]:
    """How often each tensor is read, and by which types of operators."""
    uses: Counter[str] = Counter(outputs)
    readers: dict[str, set[str]] = {name: {OUTPUT} for name in outputs}
    for node in nodes:
        for name in read_names(node):
            uses[name] += 1
            readers.setdefault(name, set()).add(node.op_type)
    return uses, {name: frozenset(kinds) for name, kinds in readers.items()}


def _read_node(importer: Importer, proto: NodeProto, index: int) -> None:
    node = plain_node(importer, proto, index)
    for name in node.inputs:
        if name:
            importer.tensor(name)
    node = _without_unread(importer, node)
    try:
        try:
            _read_known(importer, proto, node)
        except NotCanonical as reason:
            _keep(importer, replace(node, attributes={**node.attributes, NOT_CANONICAL: str(reason)}))
    except UnknownType as unknown:
        raise ModelFileError(
            importer.label,
            f"{node.kind} '{node.name}' makes '{unknown}', whose shape or element type cannot be inferred; "
            + ("it is not an operator of ONNX itself, export without it" if "." in node.kind else INFERENCE_HINT),
        ) from None


def _read_known(importer: Importer, proto: NodeProto, node: Node) -> None:
    if fold(importer, node):
        return
    kind = widen_inputs(importer, proto, node)
    infer_outputs(importer, proto)
    if kind:
        widen_outputs(importer, node, proto.output, kind)
    known = node.kind in READERS and (node.kind in OF_CONSTANTS or not _is_constant(importer, node))
    (READERS[node.kind] if known else _keep)(importer, node)


def _without_unread(importer: Importer, node: Node) -> Node:
    """The node less its optional outputs that nothing reads, a Dropout's mask for one.

    Before operator set 14 the mere presence of further outputs put a BatchNormalization into training mode.
    """
    extra = node.outputs[1:]
    if not any(extra) or any(importer.uses[name] for name in extra) or "." in node.kind:
        return node
    if node.kind == "BatchNormalization" and importer.opset < EXPLICIT_TRAINING:
        return node
    formal = onnx.defs.get_schema(node.kind, importer.opset, "").outputs
    if any(
        entry.option != onnx.defs.OpSchema.FormalParameterOption.Optional for entry in formal[1 : len(node.outputs)]
    ):
        return node
    return replace(node, outputs=node.outputs[:1])


def _is_constant(importer: Importer, node: Node) -> bool:
    """Whether a node reads constants alone; what is left of those after folding has no canonical form."""
    return all(importer.tensor(name).data is not None for name in node.inputs if name)


def _keep(importer: Importer, node: Node) -> None:
    """Keep a node that has no canonical form, under its own name, with the outputs that are read or at least known."""
    kind = f"onnx.{node.kind}" if node.kind in KINDS else node.kind
    outputs = [name for name in node.outputs if name and (importer.uses[name] or name in importer.types)]
    for name in outputs:
        if name not in importer.tensors:
            importer.declare(name)
    importer.append(kind, node.name, node.inputs, outputs, node.attributes, node.kind)


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
