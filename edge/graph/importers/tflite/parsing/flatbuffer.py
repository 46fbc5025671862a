"""The part of `flatbuffers.Builder` that files are written with: the package itself says no types."""

from typing import Protocol

from edge.errors import EngineError
from edge.installation import needs


class Builder(Protocol):
    """Writes a flatbuffer from its end to its start; an offset counts from the end."""

    Bytes: bytearray
    head: int

    def Prep(self, size: int, additional_bytes: int) -> None:
        """Pad, so that `size` bytes start at a multiple of `size` once `additional_bytes` are written."""

    def CreateString(self, text: str) -> int:
        """Write a string; its offset."""

    def StartVector(self, item_bytes: int, count: int, alignment: int) -> int:
        """Start a vector, whose items are then prepended from the last to the first."""

    def EndVector(self) -> int:
        """End it; its offset."""

    def PrependFloat32(self, value: float) -> None:
        """An item of a vector of float32."""

    def PrependUint32(self, value: int) -> None:
        """An item of a vector of uint32."""

    def PrependUOffsetTRelative(self, offset: int) -> None:
        """An item of a vector that points elsewhere."""

    def StartObject(self, fields: int) -> None:
        """Start a table of so many places."""

    def PrependInt8Slot(self, place: int, value: int, default: int) -> None:
        """A field of one byte; the default is not written."""

    def PrependInt32Slot(self, place: int, value: int, default: int) -> None:
        """A field of an int32; the default is not written."""

    def PrependUint32Slot(self, place: int, value: int, default: int) -> None:
        """A field of an uint32; the default is not written."""

    def PrependFloat32Slot(self, place: int, value: float, default: float) -> None:
        """A field of a float32; the default is not written."""

    def PrependUOffsetTRelativeSlot(self, place: int, offset: int, default: int) -> None:
        """A field that points elsewhere; the default is not written."""

    def EndObject(self) -> int:
        """End the table; its offset."""

    def Finish(self, root: int, file_identifier: bytes) -> None:
        """End the buffer, whose root is a table's offset."""

    def Output(self) -> bytearray:
        """The bytes of the finished buffer."""


def new_builder(size_bytes: int) -> Builder:
    """A builder with room for so many bytes; it grows. Refuses (EngineError) when the package is missing, naming it."""
    try:
        import flatbuffers
    except ImportError as error:
        raise EngineError(f"a TFLite file {needs('flatbuffers')}") from error
    builder: Builder = flatbuffers.Builder(size_bytes)
    return builder
