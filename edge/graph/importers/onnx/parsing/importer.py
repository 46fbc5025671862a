"""A graph while it is being read from an ONNX file: nodes in, canonical operators out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto

from edge.errors import EdgeError, ModelFileError
from edge.graph.graph import Operator, Quantization, Tensor
from edge.graph.importers.onnx.parsing.file import ELEMENT_OF, ELEMENT_TYPES
from edge.graph.importers.onnx.parsing.sizes import MAX_DIMENSION
from edge.graph.passes.rewrite import fresh_name

FOLDING_ALLOWANCE_BYTES = 256 * 1024 * 1024
NOT_CANONICAL = "not_canonical"
"""Attribute of an operator kept under its own name: why it has no canonical kind."""


class NotCanonical(Exception):
    """This form of an operator has no canonical kind; the node is kept under its own name."""


class UnknownType(Exception):
    """The shape or element type of this tensor cannot be inferred; whoever reads its node says which that is."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node, its inputs already resolved through removed nodes (Identity, DequantizeLinear of constants).

    Attributes:
        kind: operator type, with its domain before it if that is not the default one.
        name: unique in the graph.
        attributes: plain values: int, float, str, tuples of them, numpy arrays.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def input(self, index: int) -> str:
        """Name of an input, '' where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(kw_only=True)
class Importer:
    """Operators and tensors read so far.

    Attributes:
        label: opens every message.
        types: dtype and shape of every tensor known so far.
        aliases: output names of removed nodes -> the tensor that they equal.
        uses: how often nodes and outputs of the file read each tensor, bodies of nodes included.
        readers: operator types that read each tensor, `onnx_widening.OUTPUT` for the file's own outputs.
        taken: every name of the file, those included that are read later; no tensor made here gets one of them.
        widened: what the file keeps in float16 or float64 and the graph in float32, by the file's names.
        folded_bytes: spent on computed constants; bounded, so that a small file cannot ask for a lot of memory.
    """

    label: str
    opset: int
    types: dict[str, tuple[str, tuple[int, ...]]]
    folded_limit_bytes: int
    uses: Mapping[str, int] = field(default_factory=dict)
    readers: Mapping[str, frozenset[str]] = field(default_factory=dict)
    taken: frozenset[str] = frozenset()
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    widened: dict[str, str] = field(default_factory=dict)
    folded_bytes: int = 0

    def fresh(self, base: str) -> str:
        """A name for a tensor that the file does not have: `base`, or `base_2`, ... where that is taken."""
        name, count = base, 1
        while name in self.taken or name in self.tensors or name in self.types:
            count += 1
            name = f"{base}_{count}"
        return name

    def tensor(self, name: str) -> Tensor:
        """A tensor made so far. Refuses (ModelFileError) one that nothing made."""
        if name not in self.tensors:
            raise ModelFileError(self.label, f"reads tensor '{name}', which nothing before it makes")
        return self.tensors[name]

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """The integers or floats of a constant as stored; None for an activation or ''."""
        return self.tensor(name).data if name else None

    def required_constant(self, name: str) -> Tensor:
        """A constant. Refuses (NotCanonical) an activation."""
        if not name or self.tensor(name).data is None:
            raise NotCanonical(f"'{name}' is not a constant")
        return self.tensor(name)

    def integers(self, name: str) -> tuple[int, ...]:
        """The values of an integer constant, flat. Refuses (NotCanonical) an activation or floats."""
        data = self.required_constant(name).data
        assert data is not None
        if data.dtype.kind not in "iu":
            raise NotCanonical(f"'{name}' holds no integers")
        return tuple(int(value) for value in data.reshape(-1))

    def declare(self, name: str) -> Tensor:
        """Make an activation tensor from the inferred type. Refuses (ModelFileError) one whose shape is unknown."""
        if name in self.tensors:
            raise ModelFileError(self.label, f"makes tensor '{name}' twice")
        if name not in self.types:
            raise UnknownType(name)
        dtype, shape = self.types[name]
        if 0 in shape:
            raise ModelFileError(
                self.label, f"tensor '{name}' of shape {shape} has no elements; give other input sizes"
            )
        if any(not 1 <= size <= MAX_DIMENSION for size in shape):
            raise ModelFileError(self.label, f"tensor '{name}' has the impossible shape {shape}")
        self.tensors[name] = Tensor(name=name, shape=shape, dtype=dtype)
        return self.tensors[name]

    def add_constant(
        self, name: str, data: npt.NDArray[Any], quantization: Quantization | None = None, *, fresh: bool = False
    ) -> str:
        """Make a constant; with `fresh`, under a name that is not taken yet. Returns its name."""
        if fresh:
            name = self.fresh(name)
        elif name in self.tensors:
            raise ModelFileError(self.label, f"makes tensor '{name}' twice")
        data = np.asarray(data, order="C")
        self.tensors[name] = Tensor(
            name=name, shape=data.shape, dtype=data.dtype.name, data=data, quantization=quantization
        )
        self.types.setdefault(name, (data.dtype.name, data.shape))
        return name

    def reserve(self, shape: Sequence[int], item_bytes: int) -> None:
        """Count memory for a computed constant. Refuses (ModelFileError) more than the file's size justifies."""
        self.folded_bytes += prod(shape) * item_bytes
        if self.folded_bytes > self.folded_limit_bytes:
            raise ModelFileError(
                self.label,
                f"computes constants of over {self.folded_limit_bytes} bytes, more than a file of its size may ask "
                "for; have them computed and written first (onnxsim, or optimized_model_filepath of ONNX Runtime)",
            )

    def emit(self, kind: str, node: Node, inputs: Sequence[str], attributes: Mapping[str, Any]) -> None:
        """Add an operator that makes the node's outputs."""
        for name in node.outputs:
            if name:
                self.declare(name)
        self.append(kind, node.name, inputs, node.outputs, attributes, node.kind)

    def step(
        self,
        kind: str,
        node: Node,
        inputs: Sequence[str],
        attributes: Mapping[str, Any],
        shape: Sequence[int],
        *,
        dtype: str = "float32",
    ) -> str:
        """Add an operator between the node's inputs and its last step; the tensor it makes is named after the node."""
        output = self.fresh(f"{node.outputs[0]}/{kind.lower()}")
        self.types[output] = (dtype, tuple(shape))
        self.declare(output)
        self.append(kind, f"{node.name}/{kind.lower()}", inputs, (output,), attributes, node.kind)
        return output

    def append(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        attributes: Mapping[str, Any],
        source: str,
    ) -> None:
        """Add an operator over tensors that exist."""
        name = fresh_name(name, self.names)
        self.names.add(name)
        try:
            self.operators.append(
                Operator(
                    kind=kind,
                    name=name,
                    inputs=tuple(inputs),
                    outputs=tuple(output for output in outputs if output),
                    attributes=attributes,
                    source=source,
                )
            )
        except EdgeError as error:
            raise ModelFileError(self.label, str(error)) from error

    def alias(self, output: str, tensor: str) -> None:
        """Let a removed node's output stand for another tensor."""
        if output in self.tensors or output in self.aliases:
            raise ModelFileError(self.label, f"makes tensor '{output}' twice")
        self.aliases[output] = tensor

    def set_quantization(self, name: str, quantization: Quantization) -> None:
        """Give an integer activation its parameters. Refuses (ModelFileError) a second, different set."""
        tensor = self.tensor(name)
        if tensor.quantization is not None and not tensor.quantization.same_as(quantization):
            raise ModelFileError(self.label, f"reads the integers of '{name}' with two different scales or zero points")
        self.tensors[name] = Tensor(name=name, shape=tensor.shape, dtype=tensor.dtype, quantization=quantization)


def plain_node(importer: Importer, proto: NodeProto, index: int) -> Node:
    """A node with resolved inputs and plain attributes. Refuses (ModelFileError) attributes that are no values."""
    domain = "" if proto.domain in ("", "ai.onnx") else proto.domain
    kind = f"{domain}.{proto.op_type}" if domain and not _contributed_rounding(proto) else proto.op_type
    attributes: dict[str, Any] = {}
    for attribute in proto.attribute:
        try:
            value = onnx.helper.get_attribute_value(attribute)
        except ValueError as error:
            raise ModelFileError(
                importer.label, f"node '{proto.name}': attribute '{attribute.name}': {error}"
            ) from error
        attributes[attribute.name] = _plain(value)
    return Node(
        kind=kind,
        name=proto.name or f"{proto.op_type}_{index}",
        inputs=tuple(importer.aliases.get(name, name) for name in proto.input),
        outputs=tuple(proto.output),
        attributes=attributes,
    )


def _contributed_rounding(proto: NodeProto) -> bool:
    """Whether a node is ONNX Runtime's own QuantizeLinear or DequantizeLinear, for 16 bits before opset 21."""
    return proto.domain == "com.microsoft" and proto.op_type in ("QuantizeLinear", "DequantizeLinear")


def infer_outputs(importer: Importer, proto: NodeProto) -> None:
    """Infer the types of a node's outputs from its inputs and from the constants computed so far.

    One node at a time, with every size known: ONNX's inference of a whole file may abort the process on bad sizes.
    Refuses (ModelFileError) a node whose inputs contradict its definition; leaves unknown what stays unknown.
    """
    known = all(name in importer.types for name in proto.input if name)
    if known and _contributed_rounding(proto):
        zero_point = importer.types[proto.input[2]][0] if len(proto.input) > 2 and proto.input[2] else "uint8"
        dtype = zero_point if proto.op_type == "QuantizeLinear" else "float32"
        importer.types[proto.output[0]] = (dtype, importer.types[proto.input[0]][1])
        return
    if not known or proto.domain not in ("", "ai.onnx"):
        return
    types, data = {}, {}
    for name in filter(None, proto.input):
        dtype, shape = importer.types[name]
        types[name] = onnx.helper.make_tensor_type_proto(ELEMENT_OF[dtype], shape)
        tensor = importer.tensors.get(importer.aliases.get(name, name))
        if tensor is not None and tensor.data is not None and tensor.quantization is None and tensor.data.size < 4096:
            data[name] = onnx.numpy_helper.from_array(tensor.data, name)
    try:
        schema = onnx.defs.get_schema(proto.op_type, importer.opset, "")
        opset = [onnx.helper.make_opsetid("", importer.opset)]
        inferred = onnx.shape_inference.infer_node_outputs(schema, proto, types, data, opset_imports=opset)
    except Exception as error:  # the C++ inference throws several unrelated types
        raise ModelFileError(importer.label, f"node '{proto.name}': {str(error)[:200]}") from error
    for name in proto.output:
        if name in inferred and inferred[name].HasField("tensor_type"):
            kind = inferred[name].tensor_type
            sizes = tuple(size.dim_value for size in kind.shape.dim)
            static = kind.HasField("shape") and all(size.HasField("dim_value") for size in kind.shape.dim)
            if static and kind.elem_type in ELEMENT_TYPES:
                importer.types[name] = (ELEMENT_TYPES[kind.elem_type][0], sizes)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, (list, tuple)) or hasattr(value, "__iter__"):
        return tuple(_plain(item) for item in value)
    return type(value).__name__
