"""The TFLite schema module, imported when first needed, and the tables that translate its numbers.

The schema comes from the published `ai_edge_litert` package (schema version 3). Numbers stand here as names, so that
nothing else in the product spells one out.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from edge.errors import EngineError
from edge.graph.importers.tflite.parsing.flatbuffer import Builder, new_builder
from edge.installation import needs

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
BUFFER_ALIGNMENT_BYTES = 16

# numpy dtype name -> name in schema.TensorType. Tensors of other types (int4, strings) are named, never read.
DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "float32": "FLOAT32",
        "float16": "FLOAT16",
        "float64": "FLOAT64",
        "int8": "INT8",
        "uint8": "UINT8",
        "int16": "INT16",
        "uint16": "UINT16",
        "int32": "INT32",
        "uint32": "UINT32",
        "int64": "INT64",
        "uint64": "UINT64",
        "bool": "BOOL",
    }
)

# Canonical activation -> name in schema.ActivationFunctionType.
FUSED_ACTIVATIONS: Mapping[str, str] = MappingProxyType({"none": "NONE", "relu": "RELU", "relu6": "RELU6"})


def schema() -> Any:
    """Import the schema module. Refuses (EngineError) when the package is missing, naming it."""
    try:
        import ai_edge_litert.schema_py_generated as module
    except ImportError as error:
        raise EngineError(f"a TFLite file {needs('ai_edge_litert')}") from error
    return module


def names_of(enumeration: Any) -> dict[int, str]:
    """Number -> name of a schema enumeration such as `schema().BuiltinOperator`."""
    return {number: name for name, number in vars(enumeration).items() if isinstance(number, int)}


def pack(model: Any) -> bytes:
    """Serialize a schema `ModelT`; every buffer's data starts at a multiple of 16 bytes. Same model, same bytes."""
    module = schema()

    def aligned(buffer: Any, builder: Builder) -> Any:
        if buffer.data is not None:
            builder.Prep(BUFFER_ALIGNMENT_BYTES, len(buffer.data))
        return module.BufferT.Pack(buffer, builder)

    aligned_buffer = type("AlignedBuffer", (module.BufferT,), {"Pack": aligned})
    plain = model.buffers
    model.buffers = [aligned_buffer(data=buffer.data) for buffer in plain]
    size_bytes = sum(len(buffer.data) for buffer in plain if buffer.data is not None)
    builder = new_builder(size_bytes + 65536)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    model.buffers = plain
    return bytes(builder.Output())
