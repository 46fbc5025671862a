"""The integer operators of ONNX and ONNX Runtime (QOperator form) written out as Dequantize, operator, Quantize.

`QLinearConv(x, ..., y_scale, y_zero_point)` means exactly `QuantizeLinear(Conv(DequantizeLinear(x), ...))`; after
this every other part of the reader sees one form only. (ONNX operator set: QLinearConv, QLinearMatMul; ONNX Runtime's
contributed operators: the others. OpenVINO's FakeQuantize, which NNCF may leave in an export, is a Quantize and a
Dequantize.)
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto

from edge.errors import ModelFileError
from edge.graph.importers.onnx.parsing.importer import Importer
from edge.graph.passes.rewrite import fresh_name

CONTRIBUTED = "com.microsoft"
OPENVINO = "org.openvinotoolkit"
# Operators whose ranges are computed while they run: kept under their own names, refused when a file is written.
DYNAMIC = frozenset(
    {
        "ConvInteger",
        "DynamicQuantizeLinear",
        "MatMulInteger",
        f"{CONTRIBUTED}.DynamicQuantizeLSTM",
        f"{CONTRIBUTED}.DynamicQuantizeMatMul",
        f"{CONTRIBUTED}.MatMulIntegerToFloat",
    }
)


class Parts:
    """The nodes that one integer node is written out as."""

    def __init__(self, importer: Importer, node: NodeProto) -> None:
        self.importer = importer
        self.node = node
        self.made: list[NodeProto] = []
        self.attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        self._made: set[str] = set()

    def input(self, index: int) -> str:
        """Name of an input, '' where it is absent."""
        return str(self.node.input[index]) if index < len(self.node.input) else ""

    def name(self, role: str) -> str:
        """A new tensor name for a role within this node."""
        name = fresh_name(self.importer.fresh(f"{self.node.output[0]}/{role}"), self._made)
        self._made.add(name)
        return name

    def scale(self, index: int) -> np.ndarray[Any, Any]:
        """The values of a scale. Refuses (ModelFileError) one that is computed while running."""
        name = self.importer.aliases.get(self.input(index), self.input(index))
        data = self.importer.tensor(name).data if name else None
        if data is None:
            raise ModelFileError(
                self.importer.label, f"node '{self.node.name}' ({self.node.op_type}) computes its scale '{name}'"
            )
        return data

    def real(self, index: int, role: str, *, axis: int | None = None) -> str:
        """The real values of the input at `index`, whose scale and zero point follow it."""
        output = self.name(role)
        scale, attributes = self.scale(index + 1), {}
        if axis is not None and scale.ndim == 1 and scale.size > 1:
            attributes["axis"] = axis
        inputs = [self.input(index), self.input(index + 1), self.input(index + 2)]
        self.add("DequantizeLinear", inputs if inputs[2] else inputs[:2], output, f"{role}/dequantize", **attributes)
        return output

    def bias(self, index: int, scale: np.ndarray[Any, Any]) -> str:
        """The real values of an int32 bias that is counted in `scale`; '' where it is absent."""
        if not self.input(index):
            return ""
        data = self.importer.tensor(self.importer.aliases.get(self.input(index), self.input(index)))
        scale = np.asarray(scale, np.float32)
        if scale.size == 1 or len(data.shape) != 1:
            scale = scale.reshape(-1)[:1].reshape(())
        name = self.importer.add_constant(self.name("bias/scale"), scale)
        output = self.name("bias")
        self.add("DequantizeLinear", [self.input(index), name], output, "bias/dequantize", axis=0)
        return output

    def result(self, kind: str, inputs: Sequence[str], scale: int, **attributes: Any) -> list[NodeProto]:
        """Add the operator over real values, and the QuantizeLinear of its result if the node has an output scale."""
        inputs = list(inputs)
        while inputs and not inputs[-1]:
            inputs.pop()
        if not self.input(scale):
            self.add(kind, inputs, self.node.output[0], "", **attributes)
            return self.made
        self.scale(scale)
        output = self.name("float")
        self.add(kind, inputs, output, "", **attributes)
        parameters = [self.input(scale), self.input(scale + 1)]
        self.add("QuantizeLinear", [output, *filter(None, parameters)], self.node.output[0], "quantize")
        return self.made

    def add(self, kind: str, inputs: Sequence[str], output: str, role: str, **attributes: Any) -> None:
        """Add one node."""
        name = f"{self.node.name}/{role}" if role and self.node.name else self.node.name
        self.made.append(onnx.helper.make_node(kind, list(inputs), [output], name=name, **attributes))

    def without(self, *names: str) -> dict[str, Any]:
        """The node's attributes less some."""
        return {name: value for name, value in self.attributes.items() if name not in names}

    def refuse(self, problem: str) -> ModelFileError:
        """The error for a form that is not known."""
        return ModelFileError(self.importer.label, f"node '{self.node.name}' ({self.node.op_type}): {problem}")


def _conv(parts: Parts) -> list[NodeProto]:
    scale = parts.scale(1).reshape(-1) * parts.scale(4).reshape(-1)
    inputs = [parts.real(0, "input"), parts.real(3, "weight", axis=0), parts.bias(8, scale)]
    return parts.result("Conv", inputs, 6, **parts.attributes)


def _matmul(parts: Parts) -> list[NodeProto]:
    rank = len(parts.importer.tensor(parts.importer.aliases.get(parts.input(3), parts.input(3))).shape)
    inputs = [parts.real(0, "a"), parts.real(3, "b", axis=rank - 1)]
    return parts.result("MatMul", inputs, 6)


def _gemm(parts: Parts) -> list[NodeProto]:
    factor = np.float32(parts.attributes.get("alpha", 1.0))
    scale = factor * parts.scale(1).reshape(-1) * parts.scale(4).reshape(-1)
    axis = 0 if parts.attributes.get("transB", 0) else 1
    inputs = [parts.real(0, "a"), parts.real(3, "b", axis=axis), parts.bias(6, scale)]
    return parts.result("Gemm", inputs, 7, **parts.attributes)


def _binary(parts: Parts) -> list[NodeProto]:
    kind = {"QLinearAdd": "Add", "QLinearMul": "Mul"}[parts.node.op_type]
    return parts.result(kind, [parts.real(0, "a"), parts.real(3, "b")], 6)


def _concat(parts: Parts) -> list[NodeProto]:
    inputs = [parts.real(index, f"input{index // 3}") for index in range(2, len(parts.node.input), 3)]
    return parts.result("Concat", inputs, 0, **parts.attributes)


def _pool(parts: Parts) -> list[NodeProto]:
    if parts.attributes.get("channels_last", 0):
        raise parts.refuse("channels last; quantize the model before ONNX Runtime's layout optimizations")
    kind = parts.node.op_type.removeprefix("QLinear")
    return parts.result(kind, [parts.real(0, "input")], 3, **parts.without("channels_last"))


def _softmax(parts: Parts) -> list[NodeProto]:
    rank = len(parts.importer.tensor(parts.importer.aliases.get(parts.input(0), parts.input(0))).shape)
    axis = int(parts.attributes.get("axis", -1))
    if int(parts.attributes.get("opset", 13)) < 13 and axis not in (-1, rank - 1):
        raise parts.refuse("an axis that is not the last one, with the meaning of operator sets before 13")
    return parts.result("Softmax", [parts.real(0, "input")], 3, axis=axis)


def _unary(parts: Parts) -> list[NodeProto]:
    kind = parts.node.op_type.removeprefix("QLinear")
    return parts.result(kind, [parts.real(0, "input")], 3, **parts.attributes)


def _fake_quantize(parts: Parts) -> list[NodeProto]:
    """OpenVINO's FakeQuantize(x, low, high, low, high) of 255 or 256 levels: QuantizeLinear and DequantizeLinear.

    256 levels: uint8 from low on; 255 levels: int8 in [-127, 127] around zero.
    """
    levels = int(parts.attributes.get("levels", 256))
    low, high = (parts.scale(index).astype(np.float64) for index in (1, 2))
    given = (parts.scale(index).astype(np.float64) for index in (3, 4))
    if levels not in (255, 256) or not all(
        np.array_equal(mine, theirs) for mine, theirs in zip((low, high), given, strict=True)
    ):
        raise parts.refuse(f"{levels} levels, or other limits out than in")
    scale = (high - low) / (levels - 1)
    offset = np.rint(-low / scale)
    if (np.abs(offset - -low / scale) > 1e-3).any() or (levels == 255 and (offset != 127).any()):
        raise parts.refuse("limits between which zero is not a level")
    axes = [axis for axis, size in enumerate(scale.shape) if size > 1]
    if len(axes) > 1:
        raise parts.refuse(f"limits of shape {scale.shape}")
    form = (-1,) if axes else ()
    zero_point = offset.astype(np.uint8) if levels == 256 else np.zeros(offset.shape, np.int8)
    names = [
        parts.importer.add_constant(parts.name("scale"), scale.astype(np.float32).reshape(form)),
        parts.importer.add_constant(parts.name("zero_point"), zero_point.reshape(form)),
    ]
    attributes = {"axis": axes[0]} if axes else {}
    integers = parts.name("quantized")
    parts.add("QuantizeLinear", [parts.input(0), *names], integers, "quantize", **attributes)
    if levels == 255:
        narrow = parts.importer.add_constant(parts.name("lowest"), np.array(-127, np.int8))
        clipped = parts.name("clipped")
        parts.add("Clip", [integers, narrow], clipped, "clip")
        integers = clipped
    parts.add("DequantizeLinear", [integers, *names], parts.node.output[0], "dequantize", **attributes)
    return parts.made


# operator -> how it is written out; the scale of an output stands where each function says
WRITTEN_OUT: Mapping[tuple[str, str], Callable[[Parts], list[NodeProto]]] = MappingProxyType(
    {
        ("", "QLinearConv"): _conv,
        ("", "QLinearMatMul"): _matmul,
        (CONTRIBUTED, "QGemm"): _gemm,
        (CONTRIBUTED, "QLinearAdd"): _binary,
        (CONTRIBUTED, "QLinearAveragePool"): _pool,
        (CONTRIBUTED, "QLinearConcat"): _concat,
        (CONTRIBUTED, "QLinearConv"): _conv,
        (CONTRIBUTED, "QLinearGlobalAveragePool"): _pool,
        (CONTRIBUTED, "QLinearLeakyRelu"): _unary,
        (CONTRIBUTED, "QLinearMul"): _binary,
        (CONTRIBUTED, "QLinearReduceMean"): _unary,
        (CONTRIBUTED, "QLinearSigmoid"): _unary,
        (CONTRIBUTED, "QLinearSoftmax"): _softmax,
        (OPENVINO, "FakeQuantize"): _fake_quantize,
    }
)


def decomposed(importer: Importer, node: NodeProto) -> list[NodeProto]:
    """The nodes that compute what an integer node computes; any other node is returned as it is.

    ONNX Runtime's own QuantizeLinear and DequantizeLinear mean the same as ONNX's.

    Raises:
        ModelFileError: an input that nothing makes, a scale that is computed, or a form that is not known.
    """
    domain = "" if node.domain in ("", "ai.onnx") else node.domain
    if domain == CONTRIBUTED and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
        plain = NodeProto()
        plain.CopyFrom(node)
        plain.domain = ""
        return [plain]
    rule = WRITTEN_OUT.get((domain, node.op_type))
    if rule is None or not node.output or not node.output[0]:
        return [node]
    return rule(Parts(importer, node))
