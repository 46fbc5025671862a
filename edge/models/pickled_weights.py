"""State dicts that torch.save wrote (.pth, .pt), read by torch's restricted unpickler; nothing in them is run.

torch says of `weights_only` that it bounds neither memory nor what its allowed functions do, so a file is looked at
first: what it names is compared with what a state dict needs, and what it promises with its own size.
"""

import pickletools
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from edge.errors import CheckpointError, EdgeError
from edge.files.bounded_file import check_file

MOST_BYTES = 8 * 1024**3
MOST_PICKLE_BYTES = 16 * 1024**2
ZIP_MAGIC = b"PK\x03\x04"
LEGACY_MAGIC = b"\x80\x02\x8a\x0a"  # protocol 2, then torch's magic number of ten bytes
LEGACY_PICKLES = 5  # magic number, protocol, machine, the object, the keys of its storages
NEEDED = frozenset(
    {
        "collections OrderedDict",
        "torch Size",
        "torch device",
        "torch.nn.parameter Parameter",
        "torch.storage UntypedStorage",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_tensor",
        "torch._utils _rebuild_tensor_v2",
        *(f"torch {kind}Storage" for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Bool", "Byte")),
    }
)
WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "weights", "module", "state_dict_ema", "model_ema", "ema")
PREFIXES = ("module.", "_orig_mod.", "model.")
EXTRA = frozenset({"n_averaged"})  # of torch.optim.swa_utils.AveragedModel
SAVE_STATE_DICT = (
    "where you trust it, load it by torch.load(FILE, weights_only=False) and save its state dict alone: "
    "torch.save(STATE_DICT, 'weights.pth')"
)


def is_pickled(path: Path) -> bool:
    """Whether a file opens as those of torch.save do."""
    return _head(path, 4) in (ZIP_MAGIC, LEGACY_MAGIC)


def read_pickled(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, by name.

    Of a checkpoint that holds one state dict among other things (`state_dict`, `model`, ...) that one is taken; names
    that all begin with `module.`, as DataParallel writes them, lose it.

    Raises:
        CheckpointError: damaged; a whole module or TorchScript; anything but plain tensors; several state dicts;
            tensors that are larger than the file.
    """
    size = check_file(path, error=CheckpointError).st_size
    if size > MOST_BYTES:
        raise CheckpointError(path, f"{size} bytes; a file of weights has at most {MOST_BYTES}")
    zipped = _head(path, 4) == ZIP_MAGIC
    pickles = _zipped_pickle(path, size) if zipped else _legacy_pickles(path)
    _check_names(path, pickles)
    with _refusing_damage(path):
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True if zipped else None)
    tensors = _state_dict(loaded, path)
    _check_sizes(tensors, size, path)
    return _without_prefix(tensors)


def _zipped_pickle(path: Path, size: int) -> list[bytes]:
    """The pickle of an archive of torch.save, once nothing in the archive is larger than the archive."""
    with _refusing_damage(path), zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = {entry.filename.partition("/")[2] for entry in entries}
        if "constants.pkl" in names or any(name.startswith("code/") for name in names):
            raise CheckpointError(
                path,
                "is TorchScript, which is a program; where you trust it, save its weights: "
                "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')",
            )
        pickles = [entry for entry in entries if entry.filename.partition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise CheckpointError(path, "is an archive, but not one of torch.save: it has no data.pkl")
        packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
        if packed or sum(entry.file_size for entry in entries) > size:
            raise CheckpointError(path, "holds packed parts; torch.save packs nothing")
        if pickles[0].file_size > MOST_PICKLE_BYTES:
            raise CheckpointError(path, f"its data.pkl has over {MOST_PICKLE_BYTES} bytes: no state dict")
        return [archive.read(pickles[0])]


def _legacy_pickles(path: Path) -> list[bytes]:
    """The pickles at the head of a file of torch.save before 1.6."""
    head = _head(path, MOST_PICKLE_BYTES)
    pickles = []
    start = 0
    for _ in range(LEGACY_PICKLES):
        end = start
        for _, _, position in _opcodes(head[start:], path):
            end = start + position + 1
        pickles.append(head[start:end])
        start = end
    return pickles


def _head(path: Path, count: int) -> bytes:
    check_file(path, error=CheckpointError)
    try:
        with path.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise CheckpointError(path, f"cannot be read: {error.strerror}") from None


def _check_names(path: Path, pickles: list[bytes]) -> None:
    """Refuse a pickle that names anything but what tensors and dicts are made of; nothing is unpickled for it."""
    for data in pickles:
        for name, argument, _ in _opcodes(data, path):
            wanted = str(argument) if name == "GLOBAL" else None
            if name in ("STACK_GLOBAL", "INST", "OBJ", "EXT1", "EXT2", "EXT4", "NEWOBJ", "NEWOBJ_EX"):
                wanted = name
            if wanted is not None and wanted not in NEEDED:
                raise CheckpointError(
                    path,
                    f"holds more than tensors ({wanted.replace(' ', '.')}), which can run code when loaded; "
                    f"{SAVE_STATE_DICT}",
                )


def _opcodes(data: bytes, path: Path) -> Iterator[tuple[str, Any, int]]:
    """(name, argument, position) of every instruction of the first pickle."""
    with _refusing_damage(path):
        for opcode, argument, position in pickletools.genops(BytesIO(data)):
            yield opcode.name, argument, position or 0


def _state_dict(loaded: Any, path: Path) -> dict[str, Tensor]:
    if not isinstance(loaded, Mapping):
        raise CheckpointError(path, f"holds a {type(loaded).__name__}, not a state dict; {SAVE_STATE_DICT}")
    if tensors := _tensors(loaded):
        return tensors
    found = {name: tensors for name in WRAPPERS if (tensors := _tensors(loaded.get(name)))}
    if len(found) > 1:
        first = next(iter(found))
        raise CheckpointError(
            path,
            f"holds several state dicts: {', '.join(found)}; save the one that is meant: "
            f"torch.save(torch.load(FILE)['{first}'], 'weights.pth')",
        )
    if not found:
        keys = ", ".join(str(key) for key in list(loaded)[:5])
        raise CheckpointError(path, f"holds no state dict; its first keys are: {keys or 'none'}")
    return next(iter(found.values()))


def _tensors(value: Any) -> dict[str, Tensor]:
    """A state dict's tensors; empty for what is none: every value is a tensor, every key a text."""
    if not isinstance(value, Mapping) or not value:
        return {}
    plain = all(isinstance(key, str) and isinstance(entry, Tensor) for key, entry in value.items())
    return {name: tensor for name, tensor in value.items() if name not in EXTRA} if plain else {}


def _check_sizes(tensors: Mapping[str, Tensor], size: int, path: Path) -> None:
    """Refuse tensors that are not wholly in the file: made of nothing, or of the same bytes many times over."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors.values()}
    values = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    if sum(storages.values()) > size or values > 2 * size:
        raise CheckpointError(path, f"its tensors are larger than the file of {size} bytes")


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in tensors)), None):
        tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


@contextmanager
def _refusing_damage(path: Path) -> Iterator[None]:
    """Whatever readers of archives and pickles raise on a damaged file, as one line."""
    try:
        yield
    except (EdgeError, MemoryError):
        raise
    except Exception as error:
        words = str(error).partition("\n")[0][:200] or type(error).__name__
        raise CheckpointError(path, f"is damaged, or no state dict: {words}") from None
