"""Putting the parameters that a foreign model lacks into it, as the Quantize and Dequantize that its tool omitted."""

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import INT8_MAX, INT8_MIN, activation_parameters, quantize_weight, weight_scales
from edge.errors import EdgeError
from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor
from edge.graph.passes.rewrite import fresh_name, real_values, rebuild, renamed_inputs
from edge.quantization.ptq.missing_ranges import Parameters, is_integer_operator

LAYERS = ("Conv", "ConvTranspose", "Gemm")


def insert_parameters(graph: Graph, known: Mapping[str, Parameters], allow_float: Collection[str]) -> Graph:
    """Quantize every activation that has parameters, and every float constant of an integer operator.

    Requires: Quantize and Dequantize as operators; `known` names float activations (see `missing_ranges.derive`).
    Ensures: a float activation with parameters is read by one Quantize and nothing else; who read it before reads its
    Dequantize. An existing Quantize with the same parameters stays, with its integers' name; new integers take the
    activation's own. Weights become int8 per output channel, other constants int8 per tensor; biases stay.
    """
    work = _Insertion(graph, known)
    for name in graph.inputs:
        work.after(name)
    for operator in graph.operators:
        work.operator(operator)
    outputs = tuple(work.names.get(name, name) for name in graph.outputs)
    whole = rebuild(graph, work.operators, work.tensors, outputs=outputs)
    return _with_integer_constants(whole, allow_float)


class _Insertion:
    """The operators so far, and the names under which activations are read from here on."""

    def __init__(self, graph: Graph, known: Mapping[str, Parameters]) -> None:
        self.graph, self.known = graph, known
        self.tensors: dict[str, Tensor] = dict(graph.tensors)
        self.operators: list[Operator] = []
        self.names: dict[str, str] = {}
        self.kept: set[str] = set()

    def operator(self, operator: Operator) -> None:
        """Take over one operator, and quantize what it makes."""
        if operator.name in self.kept:
            return
        made = operator.outputs[0]
        operator = renamed_inputs(operator, self.names)
        if operator.kind in ("Quantize", "Dequantize") or len(operator.outputs) != 1 or not self._lacks(made):
            self.operators.append(operator)
            return
        linear = fresh_name(f"{made}/float", self.tensors)
        self.tensors[linear] = replace(self.tensors[made], name=linear)
        self.operators.append(replace(operator, outputs=(linear,)))
        self._pair(made, linear)

    def after(self, name: str) -> None:
        """Quantize an input of the graph."""
        if self._lacks(name):
            self._pair(name, name)

    def _lacks(self, name: str) -> bool:
        """Whether a float activation with parameters is read by anything but one Quantize with those parameters."""
        tensor = self.graph.tensors[name]
        if name not in self.known or tensor.dtype != "float32":
            return False
        readers = self.graph.consumers(name)
        return name in self.graph.outputs or len(readers) != 1 or not self._is_stated(name, readers[0])

    def _is_stated(self, name: str, reader: Operator) -> bool:
        if reader.kind != "Quantize":
            return False
        integers = self.graph.tensors[reader.outputs[0]]
        return self.known[name].dtype == integers.dtype and self.known[name].quantization.same_as(integers.quantization)

    def _pair(self, name: str, source: str) -> None:
        """Quantize `source`, the float values of `name`; from here on `name` is read through a Dequantize."""
        parameters = self.known[name]
        existing = next((reader for reader in self.graph.consumers(name) if self._is_stated(name, reader)), None)
        if existing is not None:
            self.kept.add(existing.name)
            integers = existing.outputs[0]
            operator = replace(existing, inputs=(source,))
        else:
            integers = fresh_name(f"{name}/quantized", self.tensors) if source == name else name
            operator = Operator(
                kind="Quantize", name=f"{name}/quantize", inputs=(source,), outputs=(integers,), source="QuantizeLinear"
            )
        shape = self.graph.tensors[name].shape
        self.tensors[integers] = Tensor(
            name=integers, shape=shape, dtype=parameters.dtype, quantization=parameters.quantization
        )
        real = fresh_name(f"{name}/real", self.tensors)
        self.tensors[real] = Tensor(name=real, shape=shape, dtype="float32")
        self.names[name] = real
        self.operators.append(operator)
        self.operators.append(
            Operator(
                kind="Dequantize",
                name=f"{name}/dequantize",
                inputs=(integers,),
                outputs=(real,),
                source="DequantizeLinear",
            )
        )


def _with_integer_constants(graph: Graph, allow_float: Collection[str]) -> Graph:
    tensors = dict(graph.tensors)
    integers = {entry.outputs[0]: entry.inputs[0] for entry in graph.operators if entry.kind == "Dequantize"}
    operators = []
    for operator in graph.operators:
        activations = [name for name in operator.inputs if name and tensors[name].data is None]
        real = [name for name in activations if tensors[name].dtype == "float32"]
        if is_integer_operator(operator, allow_float) and all(name in integers for name in real):
            source = tensors[integers[real[0]]].quantization if real else None
            scale = None if source is None else source.scale[0]
            inputs = [_constant(tensors, operator, index, scale) for index in range(len(operator.inputs))]
            operator = replace(operator, inputs=tuple(inputs))
        operators.append(operator)
    return rebuild(graph, operators, tensors)


def _constant(tensors: dict[str, Tensor], operator: Operator, index: int, input_scale: np.float32 | None) -> str:
    """The name of an input whose values are integers, if it is a float constant that must be."""
    name = operator.inputs[index]
    tensor = tensors[name] if name else None
    if tensor is None or tensor.data is None or tensor.dtype != "float32" or tensor.quantization is not None:
        return name
    if operator.kind in LAYERS and index == 2:
        return name
    values = np.asarray(tensor.data, np.float32)
    if not values.size or not np.isfinite(values).all():
        raise EdgeError(f"{operator.kind} '{operator.name}': constant '{name}' is empty or not finite")
    made = fresh_name(f"{name}/int8", tensors)
    if operator.kind in LAYERS and index == 1:
        tensors[made] = _weight(made, values, operator, tensors, input_scale)
        return made
    scale, zero_point = activation_parameters(float(values.min()), float(values.max()))
    integers = np.clip(np.rint(values / scale) + zero_point, INT8_MIN, INT8_MAX).astype(np.int8)
    tensors[made] = _tensor(made, integers, per_tensor(scale, zero_point))
    return made


def _weight(
    name: str,
    values: npt.NDArray[np.float32],
    operator: Operator,
    tensors: Mapping[str, Tensor],
    input_scale: np.float32 | None,
) -> Tensor:
    """int8 per output channel, by the product's own scheme."""
    bias = tensors[operator.inputs[2]] if len(operator.inputs) > 2 and operator.inputs[2] else None
    scale = weight_scales(values, None if bias is None or bias.data is None else real_values(bias), input_scale)
    quantization = Quantization(scale=scale, zero_point=np.zeros(scale.size, np.int64), axis=0)
    return _tensor(name, quantize_weight(values, scale), quantization)


def _tensor(name: str, data: npt.NDArray[np.int8], quantization: Quantization) -> Tensor:
    return Tensor(name=name, shape=data.shape, dtype="int8", data=data, quantization=quantization)
