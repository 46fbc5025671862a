"""Tensors and plain data in one file that loads without running code, and that notices any damage.

The format is safetensors. Its metadata hold two texts: `content`, JSON, and `sha256`, the hash of that JSON and of
every tensor's name, type, shape and bytes in the order of names.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from edge.errors import CheckpointError
from edge.files import atomic
from edge.files.bounded_file import read_bytes

MAX_FILE_BYTES = 8 * 1024**3
MAX_HEADER_BYTES = 64 * 1024**2
_LENGTH_BYTES = 8


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """Write a file atomically.

    Args:
        tensors: by name; any dtype that safetensors knows, any device.
        content: plain data that JSON can hold.

    Returns:
        The SHA-256 of the file, hex.
    """
    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    text = json.dumps(content)
    data = _ordered(save(plain, metadata={"content": text, "sha256": _content_hash(text, plain)}))
    atomic.write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], str]:
    """Read a file and check it.

    Returns:
        The tensors by name (on the CPU), the content, and the SHA-256 of the file.

    Raises:
        CheckpointError: missing, not such a file, truncated, or changed since it was written.
    """
    source = Path(path)
    data = read_bytes(source, most_bytes=MAX_FILE_BYTES, what="checkpoint", error=CheckpointError)
    metadata = _metadata(data, source)
    try:
        tensors = load(data)
    except (SafetensorError, ValueError, KeyError, RuntimeError, TypeError) as error:
        raise CheckpointError(source, f"is damaged: {error}") from error
    text, expected = metadata["content"], metadata["sha256"]
    if _content_hash(text, tensors) != expected:
        raise CheckpointError(
            source, "is damaged: its content does not match the hash inside; write it anew or copy it again"
        )
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(source, f"is not a checkpoint: its content is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(source, "is not a checkpoint: its content is not a table")
    return tensors, content, hashlib.sha256(data).hexdigest()


def _ordered(data: bytes) -> bytes:
    """The same file with its metadata in order: safetensors writes them in an order that changes from run to run."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # tensors stay aligned
    return len(text).to_bytes(_LENGTH_BYTES, "little") + text + data[_LENGTH_BYTES + length :]


def _metadata(data: bytes, source: Path) -> dict[str, str]:
    if len(data) < _LENGTH_BYTES:
        raise CheckpointError(source, f"is not a checkpoint: {len(data)} bytes")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if length > min(MAX_HEADER_BYTES, len(data) - _LENGTH_BYTES):
        raise CheckpointError(source, "is not a checkpoint, or is cut short: its header does not fit into the file")
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(source, "is not a checkpoint, or is damaged: its header is not JSON") from error
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not {"content", "sha256"} <= metadata.keys():
        raise CheckpointError(
            source,
            "is a safetensors file of weights alone, which says neither network, preprocessing nor classes; a recipe "
            f"does: edge train RECIPE --set train.init={source} --epochs 0 --phase float -o RUN makes a checkpoint of "
            "them as they are (docs/training.md, Pretrained weights)",
        )
    return metadata


def _content_hash(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name}\t{tensor.dtype}\t{tuple(tensor.shape)}\n".encode())
        flat = tensor.reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    return digest.hexdigest()
