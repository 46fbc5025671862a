"""External data of an ONNX model: constants kept in files beside it, as torch's own export writes them.

Only regular files inside the model's own folder are read: a model that was handed over names no others.
"""

import os
from collections.abc import Iterable
from math import prod
from pathlib import Path, PurePath

from onnx import TensorProto

from edge.errors import ModelFileError
from edge.files.bounded_file import read_bytes

WHAT_TO_DO = "keep it beside the model, or save the model as one file (torch.onnx.export: external_data=False)"


def is_external(tensor: TensorProto) -> bool:
    """Whether a tensor's values are said to lie in another file."""
    return tensor.data_location == TensorProto.EXTERNAL or bool(tensor.external_data)


def load_external(
    tensors: Iterable[TensorProto], *, folder: Path | None, label: str, item_bytes: dict[int, int], most_bytes: int
) -> int:
    """Put the values of external tensors into the tensors themselves. Returns how many bytes were read.

    Args:
        folder: of the model file; None where only its bytes are known.
        item_bytes: element type -> bytes per element.
        most_bytes: of the data files together, and of the values together.

    Raises:
        ModelFileError: a file outside the folder, missing, not regular or too large, or values that do not lie in it.
    """
    files: dict[str, bytes] = {}
    loaded = 0
    for tensor in tensors:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if folder is None:
            raise ModelFileError(label, f"keeps '{tensor.name}' in {location or 'another file'}; {WHAT_TO_DO}")
        if location not in files:
            left = most_bytes - sum(len(data) for data in files.values())
            path = external_path(folder, location, label=label, tensor=tensor.name)
            files[location] = read_bytes(path, most_bytes=left, what="external data file", error=ModelFileError)
        if tensor.data_type in item_bytes:  # another is refused by name later
            size_bytes = prod(tensor.dims) * item_bytes[tensor.data_type]
            loaded += size_bytes
            if loaded > most_bytes:
                raise ModelFileError(label, f"over {most_bytes} bytes of external data; a model has at most that")
            tensor.raw_data = _cut(files[location], entries, size_bytes, label=label, tensor=tensor.name)
        del tensor.external_data[:]
        tensor.data_location = TensorProto.DEFAULT
    return sum(len(data) for data in files.values())


def external_path(folder: Path, location: str, *, label: str, tensor: str) -> Path:
    """Where an external data file lies. Refuses (ModelFileError) what leads out of the model's folder."""
    name = PurePath(location)
    if not location or "\0" in location or name.is_absolute() or ".." in name.parts:
        raise ModelFileError(
            label, f"keeps '{tensor}' in {location!r}, which is not the plain name of a file beside it"
        )
    path = folder / name
    try:
        inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    except (OSError, RuntimeError) as error:
        raise ModelFileError(label, f"keeps '{tensor}' in {location!r}, which cannot be followed: {error}") from error
    if not inside:
        raise ModelFileError(label, f"keeps '{tensor}' in {location!r}, a link that leads out of the model's folder")
    return path


def _cut(data: bytes, entries: dict[str, str], size_bytes: int, *, label: str, tensor: str) -> bytes:
    """The bytes that the entries say. Refuses (ModelFileError) what does not lie in the file or is of another size."""
    try:
        offset = int(entries.get("offset") or 0)
        length = int(entries.get("length") or size_bytes)
    except ValueError as error:
        raise ModelFileError(label, f"'{tensor}': offset and length in {entries['location']}: {error}") from error
    if length != size_bytes:
        raise ModelFileError(label, f"'{tensor}' takes {size_bytes} bytes, {entries['location']} holds {length} of it")
    if offset < 0 or offset + length > len(data):
        raise ModelFileError(
            label,
            f"'{tensor}' is said to lie at bytes {offset} to {offset + length} of {entries['location']}, "
            f"which has {len(data)}; it is cut short, or of another model",
        )
    return data[offset : offset + length]
