"""The hash of a written file by what it says: times, commands and versions omitted."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

# What a file says of its making, not of the model: at any depth of its JSON.
OF_THE_MAKING = frozenset({"provenance", "versions", "seconds", "stages", "times_ns", "age_ns"})


def content_sha256(path: Path) -> str:
    """SHA-256 of a file; of a JSON file, a checkpoint and an archive of arrays the hash of their content.

    JSON (`.json`, `.jsonl`) without OF_THE_MAKING and with sorted keys; `.safetensors` and `.npz` by name, dtype, shape
    and bytes of every array, with a checkpoint's JSON metadata, but not its own hash over what is omitted here.
    """
    if path.suffix == ".json":
        return _sha256(_plain(json.loads(path.read_text("utf-8"))))
    if path.suffix == ".jsonl":
        return _sha256(*(_plain(json.loads(line)) for line in path.read_text("utf-8").splitlines()))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            return _sha256(*_arrays({name: arrays[name] for name in arrays.files}))
    if path.suffix == ".safetensors":
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
            metadata = {key: _decoded(value) for key, value in (file.metadata() or {}).items() if key != "sha256"}
        return _sha256(_plain(metadata), *_arrays(arrays))
    return _sha256(path.read_bytes())


def folder_hashes(folder: Path) -> dict[str, str]:
    """The hash of every file under a folder, by its path in it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): content_sha256(path) for path in files}


def _decoded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _plain(value: Any) -> bytes:
    return json.dumps(_without(value), sort_keys=True).encode()


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without(item) for key, item in value.items() if key not in OF_THE_MAKING}
    return [_without(item) for item in value] if isinstance(value, list) else value


def _arrays(arrays: Mapping[str, np.ndarray[Any, Any]]) -> list[bytes]:
    named = sorted(arrays.items())
    return [part for name, a in named for part in (f"{name} {a.dtype.str} {a.shape}".encode(), a.tobytes())]


def _sha256(*parts: bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "little") + part)
    return found.hexdigest() if len(parts) != 1 else hashlib.sha256(parts[0]).hexdigest()
