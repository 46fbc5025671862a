"""What an ONNX file is made of while a graph is written: nodes and constants, with Q/DQ pairs put back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto, TensorProto

from edge.graph.graph import Graph, Operator, Quantization, Tensor

OPSET = 17
INT16_OPSET = 21
AXES_AS_INPUT = frozenset({"ReduceMean", "ReduceMax", "ReduceMin"})


@dataclass(kw_only=True)
class Builder:
    """Nodes and constants of the file so far.

    Tensor `t` of integers keeps its name; its real values are `t/real` (DequantizeLinear), the float result that
    becomes `t` is `t/float`, and the one before its rectifier `t/linear`. Parameters: `t/scale`, `t/zero_point`.
    """

    graph: Graph
    nodes: list[NodeProto] = field(default_factory=list)
    constants: dict[str, TensorProto] = field(default_factory=dict)
    reals: dict[str, str] = field(default_factory=dict)

    @property
    def opset(self) -> int:
        """The operator set of the file: the first one with QuantizeLinear to int16 where the graph needs it."""
        wide = any(
            tensor.dtype == "int16" and tensor.quantization is not None for tensor in self.graph.tensors.values()
        )
        return INT16_OPSET if wide else OPSET

    def node(self, kind: str, inputs: Sequence[str], outputs: Sequence[str], name: str, **attributes: Any) -> None:
        """Add a node; attributes in the order of their names. From opset 18 reductions take their axes as an input."""
        if kind in AXES_AS_INPUT and "axes" in attributes and self.opset > OPSET:
            inputs = (*inputs, self.constant(f"{outputs[0]}/axes", np.array(attributes.pop("axes"), np.int64)))
        ordered = dict(sorted(attributes.items()))
        self.nodes.append(onnx.helper.make_node(kind, list(inputs), list(outputs), name=name, **ordered))

    def constant(self, name: str, values: npt.NDArray[Any]) -> str:
        """Add a constant once. Returns its name."""
        if name not in self.constants:
            self.constants[name] = onnx.numpy_helper.from_array(np.asarray(values, order="C"), name)
        return name

    def scalar(self, value: float) -> str:
        """A float32 scalar constant, shared by value."""
        return self.constant(f"constant_{float(value)!r}", np.array(value, np.float32))

    def raw(self, name: str) -> str:
        """The tensor itself, in its own integers or floats; '' stays ''."""
        if name:
            data = self.graph.tensors[name].data
            if data is not None:
                self.constant(name, data)
        return name

    def real(self, name: str) -> str:
        """Name of the tensor's real values: itself if it is float, else the output of its DequantizeLinear."""
        if not name:
            return ""
        tensor = self.graph.tensors[name]
        self.raw(name)
        if tensor.quantization is None:
            return name
        if name not in self.reals:
            self.dequantize(name, f"{name}/real")
            self.reals[name] = f"{name}/real"
        return self.reals[name]

    def dequantize(self, name: str, output: str) -> None:
        """Add a DequantizeLinear of a tensor."""
        base = name if output == f"{name}/real" else output  # a tensor may be read as integers and as reals
        self._linear("DequantizeLinear", (self.raw(name),), output, self.graph.tensors[name], f"{base}/dequantize")

    def quantize(self, source: str, name: str) -> None:
        """Add a QuantizeLinear that makes an integer tensor from real values."""
        self._linear("QuantizeLinear", (source,), name, self.graph.tensors[name], f"{name}/quantize")

    def _linear(self, kind: str, inputs: tuple[str, ...], output: str, tensor: Tensor, name: str) -> None:
        quantization = tensor.quantization
        assert quantization is not None
        scale, zero_point = self.parameters(tensor.name, quantization, tensor.dtype)
        axis = {} if quantization.axis is None else {"axis": quantization.axis}
        self.node(kind, (*inputs, scale, zero_point), (output,), f"{name}" if output else name, **axis)

    def parameters(self, name: str, quantization: Quantization, dtype: str) -> tuple[str, str]:
        """Constants of a tensor's scale and zero point: scalars per tensor, vectors per axis."""
        form: tuple[int, ...] = () if quantization.axis is None else (quantization.scale.size,)
        scale = self.constant(f"{name}/scale", quantization.scale.reshape(form))
        zero_point = quantization.zero_point.astype(dtype).reshape(form)
        return scale, self.constant(f"{name}/zero_point", zero_point)

    def result(self, operator: Operator) -> str:
        """Name under which the operator's own node writes; `finish` leads from there to its output."""
        name = operator.outputs[0]
        if operator.attributes.get("activation", "none") != "none":
            return f"{name}/linear"
        return self._unquantized(name)

    def _unquantized(self, name: str) -> str:
        return name if self.graph.tensors[name].quantization is None else f"{name}/float"

    def finish(self, operator: Operator) -> None:
        """Rectify and quantize what the operator's node wrote, as its output tensor demands."""
        name = operator.outputs[0]
        activation = operator.attributes.get("activation", "none")
        if activation != "none":
            self.rectify(f"{name}/linear", self._unquantized(name), activation, f"{operator.name}/{activation}")
        if self.graph.tensors[name].quantization is not None:
            self.quantize(self._unquantized(name), name)

    def rectify(self, source: str, output: str, activation: str, name: str) -> None:
        """Add the node of a rectifier: Relu, or Clip to [0, 6]."""
        if activation == "relu":
            self.node("Relu", (source,), (output,), name)
        else:
            self.node("Clip", (source, self.scalar(0), self.scalar(6)), (output,), name)
