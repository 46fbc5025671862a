"""Collects the tensors, buffers and operators of a TFLite file while a graph is being written."""

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.int16_operators import INT16_VERSIONS
from edge.errors import UnsupportedError
from edge.graph.graph import Graph, Operator, Quantization, Tensor
from edge.graph.importers.tflite.parsing.schema import DTYPES, FUSED_ACTIVATIONS, SCHEMA_VERSION, pack, schema

Array = npt.NDArray[Any]

LARGEST_SIZE = 2**31 - 1


class FileBuilder:
    """The file under construction. Buffers of equal bytes are shared; everything keeps the order of its first use."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.schema = schema()
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [self.schema.BufferT()]  # by convention the first buffer is the empty one
        self._buffer_of: dict[tuple[int, bytes], int] = {}
        self._codes: list[Any] = []
        self._operators: list[Any] = []
        self._index_of: dict[tuple[str, str], int] = {}
        self._names = set(graph.tensors)
        self._written: set[str] = set()

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of a tensor of the graph."""
        return self.graph.tensors[tensor].shape

    def tensor(self, name: str) -> int:
        """Index of a tensor of the graph, written with its values as they are."""
        tensor = self.graph.tensors[name]
        return self._add((name, ""), name, tensor.shape, tensor.dtype, tensor.quantization, tensor.data)

    def rearranged(self, name: str, role: str, data: Array, axis: int | None) -> int:
        """Index of a constant of the graph whose values were rearranged for a role; its parameters run along `axis`."""
        tensor = self.graph.tensors[name]
        quantization = tensor.quantization
        if quantization is not None:
            quantization = Quantization(
                scale=quantization.scale,
                zero_point=quantization.zero_point,
                axis=None if quantization.axis is None else axis,
            )
        key = (name, role)
        if key in self._index_of:
            return self._index_of[key]
        title = self.unused_name(f"{name}/{role}") if name in self._written else name
        return self._add(key, title, data.shape, data.dtype.name, quantization, data)

    def constant(self, operator: Operator, role: str, data: Array, quantization: Quantization | None = None) -> int:
        """Index of a new constant that an operator needs (axes, a shape, pads), named after the operator."""
        title = self.unused_name(f"{operator.name}/{role}")
        return self._add((title, role), title, data.shape, data.dtype.name, quantization, data)

    def activation(self, operator: Operator, role: str, like: Tensor, shape: tuple[int, ...]) -> int:
        """Index of a new activation between two written operators, with the dtype and parameters of `like`."""
        title = self.unused_name(f"{operator.name}/{role}")
        return self._add((title, role), title, shape, like.dtype, like.quantization, None)

    def operator(
        self,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int = 1,
        options: str = "",
        **fields: Any,
    ) -> None:
        """Append an operator.

        Args:
            code: name in the schema's BuiltinOperator.
            inputs, outputs: tensor indices, -1 for an absent optional input.
            version: the lowest operator version that has the features used; int16 tensors raise it by their table.
            options: name of the schema's options table (`Conv2DOptions`), '' for none; `fields` are its fields.
        """
        version = self._int16_version(code, version, [*inputs, *outputs])
        made = self.schema.OperatorT(
            opcodeIndex=self._code(code, version),
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
        )
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for key, value in fields.items():
                if not hasattr(made.builtinOptions, key):
                    raise UnsupportedError(f"this ai-edge-litert has no field {key} in {options}; install a newer one")
                setattr(made.builtinOptions, key, value)
        self._operators.append(made)

    def _int16_version(self, code: str, version: int, tensors: Sequence[int]) -> int:
        """At least the version that takes int16, if any tensor is quantized so. Refuses one without such a kernel."""
        int16 = self.schema.TensorType.INT16
        wide = [self._tensors[index] for index in tensors if index >= 0 and self._tensors[index].type == int16]
        if not any(tensor.quantization.scale is not None for tensor in wide):
            return version
        if code not in INT16_VERSIONS:
            raise UnsupportedError(f"{code} ({wide[-1].name}) has no int16 kernel in LiteRT; use int8 activations")
        return max(version, INT16_VERSIONS[code])

    def fused(self, operator: Operator) -> int:
        """The schema's number for the operator's fused activation."""
        return int(getattr(self.schema.ActivationFunctionType, FUSED_ACTIVATIONS[operator.attributes["activation"]]))

    def finish(self, description: str) -> bytes:
        """The file's bytes, with one signature, `serving_default`, that names inputs and outputs as the graph does."""
        inputs = [self.tensor(name) for name in self.graph.inputs]
        outputs = [self.tensor(name) for name in self.graph.outputs]
        subgraph = self.schema.SubGraphT(
            tensors=self._tensors,
            inputs=np.array(inputs, np.int32),
            outputs=np.array(outputs, np.int32),
            operators=self._operators,
            name="main",
        )
        signature = self.schema.SignatureDefT(
            inputs=self._signature(self.graph.inputs, inputs),
            outputs=self._signature(self.graph.outputs, outputs),
            signatureKey="serving_default",
        )
        model = self.schema.ModelT(
            version=SCHEMA_VERSION,
            operatorCodes=self._codes,
            subgraphs=[subgraph],
            description=description,
            buffers=self._buffers,
            signatureDefs=[signature],
        )
        return pack(model)

    def unused_name(self, wanted: str) -> str:
        """The name itself, or with a number where the graph or this file already has it."""
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name

    def _signature(self, names: Sequence[str], indices: Sequence[int]) -> list[Any]:
        return [
            self.schema.TensorMapT(name=name, tensorIndex=index) for name, index in zip(names, indices, strict=True)
        ]

    def _add(
        self,
        key: tuple[str, str],
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        quantization: Quantization | None,
        data: Array | None,
    ) -> int:
        if key in self._index_of:
            return self._index_of[key]
        if dtype not in DTYPES:
            raise UnsupportedError(f"tensor '{name}': a TFLite file has no {dtype}")
        if any(size > LARGEST_SIZE for size in shape):
            raise UnsupportedError(f"tensor '{name}' would have the shape {shape}; a TFLite file holds 32-bit sizes")
        self._tensors.append(
            self.schema.TensorT(
                shape=np.array(shape, np.int32),
                type=getattr(self.schema.TensorType, DTYPES[dtype]),
                buffer=0 if data is None else self._buffer(data),
                name=name,
                quantization=self._parameters(quantization),
                hasRank=True,
            )
        )
        self._written.add(name)
        self._index_of[key] = len(self._tensors) - 1
        return len(self._tensors) - 1

    def _parameters(self, quantization: Quantization | None) -> Any:
        if quantization is None:
            return self.schema.QuantizationParametersT()
        return self.schema.QuantizationParametersT(
            scale=np.array(quantization.scale, "<f4"),
            zeroPoint=np.array(quantization.zero_point, "<i8"),
            quantizedDimension=quantization.axis or 0,
        )

    def _buffer(self, data: Array) -> int:
        little = np.ascontiguousarray(data, data.dtype.newbyteorder("<"))
        raw = little.reshape(-1).view(np.uint8)
        key = (raw.size, hashlib.sha256(raw.data).digest())
        if key not in self._buffer_of:
            self._buffers.append(self.schema.BufferT(data=raw))
            self._buffer_of[key] = len(self._buffers) - 1
        return self._buffer_of[key]

    def _code(self, code: str, version: int) -> int:
        number = getattr(self.schema.BuiltinOperator, code)
        for index, known in enumerate(self._codes):
            if known.builtinCode == number and known.version == version:
                return index
        # Readers older than schema 3a look at the 8-bit field only; 127 tells them to look at the other one.
        self._codes.append(
            self.schema.OperatorCodeT(deprecatedBuiltinCode=min(number, 127), builtinCode=number, version=version)
        )
        return len(self._codes) - 1
