"""What stands in a TFLite file, read with distrust: every offset, length and size is checked before it is believed.

A flatbuffer's tables can overlap, so that a small damaged file describes an enormous model. Every element read is
therefore paid for out of a budget of the file's own size: honest files never come near it.
"""

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.errors import EdgeError, ModelFileError
from edge.files.bounded_file import read_bytes
from edge.graph.graph import Quantization
from edge.graph.importers.tflite.parsing.accessors import (
    ModelAccessor,
    OperatorAccessor,
    QuantizationAccessor,
    TensorAccessor,
    model_accessor,
)
from edge.graph.importers.tflite.parsing.schema import DTYPES, FILE_IDENTIFIER, SCHEMA_VERSION, names_of, schema

MAX_BYTES = 2**31 - 1
MAX_RANK = 8
BLOCKWISE = "blockwise quantization"

# What Python's flatbuffers raises on a damaged file.
DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, KeyError, EdgeError)


@dataclass(frozen=True, kw_only=True, eq=False)
class FileTensor:
    """A tensor of the file. `data` is a read-only view of the file's bytes; `axis` of `quantization` is the file's.

    `unread` says what keeps its values from being read here, '' for a plain tensor: see
    `edge.graph.importers.tflite.unread`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: npt.NDArray[Any] | None
    quantization: Quantization | None
    unread: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class FileOperator:
    """An operator of the file: its BuiltinOperator name (or custom code), tensor indices (-1: absent), options table.

    `options` is the schema's accessor object (Conv2DOptions, ...), or None where the file has none.
    """

    code: str
    version: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, kw_only=True, eq=False)
class FileModel:
    """The first subgraph of a file, which is the one that runs."""

    name: str
    description: str
    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class Budget:
    """Elements that may still be read."""

    def __init__(self, amount: int) -> None:
        self._left = amount

    def spend(self, amount: int) -> int:
        """Pay for some elements. Refuses (ValueError) what the file's size cannot hold."""
        self._left -= amount
        if self._left < 0:
            raise ValueError("tables claim more elements than the file has bytes")
        return amount


def load_bytes(source: Path | bytes) -> tuple[bytes, str]:
    """The bytes of a file, and its name for messages. Refuses (ModelFileError) missing, empty or over 2 GiB."""
    if isinstance(source, bytes):
        return source, "TFLite data"
    data = read_bytes(source, most_bytes=MAX_BYTES, what="TFLite file", error=ModelFileError)
    if not data:
        raise ModelFileError(source, "0 bytes; not a TFLite file")
    return data, str(source)


def parse(data: bytes, where: str) -> FileModel:
    """Read a file's first subgraph.

    Args:
        data: the whole file; constants in the result are views of it.
        where: path for messages.

    Raises:
        ModelFileError: not a TFLite file, or damaged. What is sound and not read here (sparse weights, states, types
            that numpy does not have) is no refusal: the tensor has no data, and `unread` says why.
    """
    module = schema()
    if len(data) < 16 or data[4:8] != FILE_IDENTIFIER:
        raise ModelFileError(where, "not a TFLite file (no TFL3 identifier at byte 4)")
    try:
        root = model_accessor(module, data)
        if root.Version() != SCHEMA_VERSION:
            raise ModelFileError(where, f"TFLite schema version {root.Version()}; known: {SCHEMA_VERSION}")
        return _Parser(module, data, root).model()
    except ModelFileError:
        raise
    except DAMAGE as error:
        raise ModelFileError(where, f"damaged TFLite file: {error}") from error


class _Parser:
    """Reads one model; what is damaged raises one of DAMAGE, for `parse` to name the file."""

    def __init__(self, module: Any, data: bytes, root: ModelAccessor) -> None:
        self.module = module
        self.data = data
        self.root = root
        self.budget = Budget(len(data))
        self.dtypes = {getattr(module.TensorType, name): dtype for dtype, name in DTYPES.items()}
        self.type_names = names_of(module.TensorType)
        self.option_names = names_of(module.BuiltinOptions)

    def model(self) -> FileModel:
        if self.budget.spend(self.root.SubgraphsLength()) < 1:
            raise ValueError("no subgraph")
        subgraph = self.root.Subgraphs(0)
        tensors = tuple(
            self._tensor(subgraph.Tensors(index), index) for index in range(self.budget.spend(subgraph.TensorsLength()))
        )
        codes = self._codes()
        operators = tuple(
            self._operator(subgraph.Operators(index), codes, len(tensors))
            for index in range(self.budget.spend(subgraph.OperatorsLength()))
        )
        return FileModel(
            name=self._text(subgraph.Name()) or "main",
            description=self._text(self.root.Description()),
            tensors=tensors,
            operators=operators,
            inputs=self._indices(subgraph.InputsLength(), subgraph.InputsAsNumpy, len(tensors)),
            outputs=self._indices(subgraph.OutputsLength(), subgraph.OutputsAsNumpy, len(tensors)),
        )

    def _tensor(self, tensor: TensorAccessor, index: int) -> FileTensor:
        name = self._text(tensor.Name()) or f"tensor_{index}"
        rank = tensor.ShapeLength()
        if rank > MAX_RANK:
            raise ValueError(f"tensor '{name}' has {rank} axes; at most {MAX_RANK} are known")
        shape = tuple(int(size) for size in tensor.ShapeAsNumpy()) if rank else ()
        if any(size < 0 for size in shape):
            raise ValueError(f"tensor '{name}' has the shape {shape}")
        number = tensor.Type()
        if number not in self.type_names:
            raise ValueError(f"tensor '{name}' is of type {number}, which the schema does not have")
        dtype = self.dtypes.get(number, self.type_names[number].lower())
        unread = self._unread(tensor, number)
        return FileTensor(
            name=name,
            shape=shape,
            dtype=dtype,
            data=None if unread else self._constant(tensor.Buffer(), name, shape, dtype),
            quantization=None if unread == BLOCKWISE else self._quantization(tensor.Quantization(), name, shape),
            unread=unread,
        )

    def _unread(self, tensor: TensorAccessor, number: int) -> str:
        """Why the values of a sound tensor are not read here, '' for a plain one."""
        quantization = tensor.Quantization()
        details = quantization.DetailsType() if quantization is not None else 0
        if number not in self.dtypes:
            return f"tensors of type {self.type_names[number]}"
        if details == getattr(self.module.QuantizationDetails, "BlockwiseQuantization", -1):
            return BLOCKWISE
        if tensor.Sparsity() is not None:
            return "sparse weights"
        if tensor.ExternalBuffer():
            return "weights in another file"
        return "state tensors" if tensor.IsVariable() else ""

    def _constant(self, index: int, name: str, shape: tuple[int, ...], dtype: str) -> npt.NDArray[Any] | None:
        """A view of a buffer's bytes, or None for an empty one, which means that the tensor is no constant."""
        if index == 0:
            return None
        if index >= self.root.BuffersLength():
            raise ValueError(f"tensor '{name}' reads buffer {index} of {self.root.BuffersLength()}")
        buffer = self.root.Buffers(index)
        behind = buffer.Offset() > 1  # behind the flatbuffer, as files of any size are written
        size_bytes = buffer.Size() if behind else buffer.DataLength()
        if size_bytes == 0:
            return None
        if behind and buffer.Offset() + size_bytes > len(self.data):
            raise ValueError(f"tensor '{name}' ends behind the file")
        kind = np.dtype(dtype).newbyteorder("<")
        if size_bytes != math.prod(shape) * kind.itemsize:
            raise ValueError(f"tensor '{name}' {dtype} {shape} has {size_bytes} bytes")
        raw = np.frombuffer(self.data, np.uint8, size_bytes, buffer.Offset()) if behind else buffer.DataAsNumpy()
        if raw.ctypes.data % kind.itemsize:
            self.budget.spend(size_bytes)
            raw = raw.copy()
        return np.asarray(raw.view(kind).reshape(shape), dtype=dtype)

    def _quantization(
        self, found: QuantizationAccessor | None, name: str, shape: tuple[int, ...]
    ) -> Quantization | None:
        if found is None or (count := found.ScaleLength()) == 0:
            return None
        self.budget.spend(count)
        scale = np.array(found.ScaleAsNumpy(), np.float32)
        zero_points = found.ZeroPointLength()
        if zero_points not in (0, 1, count):
            raise ValueError(f"tensor '{name}' has {count} scales and {zero_points} zero points")
        zero_point = np.zeros(count, np.int64)
        if zero_points:
            zero_point[:] = found.ZeroPointAsNumpy()
        axis = found.QuantizedDimension() if count > 1 else None
        if axis is not None and (not 0 <= axis < len(shape) or shape[axis] != count):
            raise ValueError(f"tensor '{name}' {shape} has {count} scales along axis {axis}")
        if not (np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError(f"tensor '{name}' has a scale that is not a positive number")
        return Quantization(scale=scale, zero_point=zero_point, axis=axis)

    def _codes(self) -> list[tuple[str, int]]:
        builtin = names_of(self.module.BuiltinOperator)
        codes = []
        for index in range(self.budget.spend(self.root.OperatorCodesLength())):
            code = self.root.OperatorCodes(index)
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = builtin.get(number, f"BUILTIN_{number}")
            custom = self._text(code.CustomCode())
            codes.append((custom if name == "CUSTOM" and custom else name, int(code.Version())))
        return codes

    def _operator(self, operator: OperatorAccessor, codes: list[tuple[str, int]], tensors: int) -> FileOperator:
        number = operator.OpcodeIndex()
        if number >= len(codes):
            raise ValueError(f"an operator has code {number} of {len(codes)}")
        table = operator.BuiltinOptions()
        name = self.option_names.get(operator.BuiltinOptionsType(), "")
        options = None
        if table is not None and name not in ("", "NONE"):
            options = getattr(self.module, name)()
            options.Init(table.Bytes, table.Pos)
        return FileOperator(
            code=codes[number][0],
            version=codes[number][1],
            inputs=self._indices(operator.InputsLength(), operator.InputsAsNumpy, tensors, absent=True),
            outputs=self._indices(operator.OutputsLength(), operator.OutputsAsNumpy, tensors),
            options=options,
        )

    def _indices(
        self, count: int, read: Callable[[], npt.NDArray[np.int32]], tensors: int, *, absent: bool = False
    ) -> tuple[int, ...]:
        if self.budget.spend(count) == 0:
            return ()
        indices = tuple(int(index) for index in read())
        if any(not (-1 if absent else 0) <= index < tensors for index in indices):
            raise ValueError(f"an operator or subgraph names tensors {indices} of {tensors}")
        return indices

    def _text(self, raw: bytes | None) -> str:
        if raw is None:
            return ""
        self.budget.spend(len(raw))
        return raw.decode("utf-8", errors="replace")
