"""State dicts of torch.save load; whatever is more than tensors, or larger than its file, is refused in one line."""

import contextlib
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from edge.errors import CheckpointError
from edge.models.pickled_weights import is_pickled, read_pickled

PLAIN = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


def saved(value: Any, path: Path, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda plain: plain,
        lambda plain: {"state_dict": plain, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda plain: {"model": {f"module.{name}": tensor for name, tensor in plain.items()}},
        lambda plain: {"n_averaged": torch.tensor(4), **{f"module.{name}": tensor for name, tensor in plain.items()}},
    ],
)
def test_state_dicts_load_as_they_were_saved(wrap: Callable[[Any], Any], zipped: bool, tmp_path: Path) -> None:
    path = saved(wrap(PLAIN), tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    assert is_pickled(path)
    found = read_pickled(path)
    assert found.keys() == PLAIN.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in PLAIN.items())


def test_a_network_s_state_dict_loads(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    found = read_pickled(saved(model.state_dict(), tmp_path / "w.pt"))
    assert found.keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (nn.Linear(2, 2), "holds more than tensors (torch.nn.modules.linear.Linear), which can run code"),
        ({"args": Path("x"), "state_dict": PLAIN}, "holds more than tensors (pathlib"),
        ({"filler": bytearray(9), **PLAIN}, "holds more than tensors (__builtin__.bytearray)"),
        ({"model": PLAIN, "model_ema": PLAIN}, "holds several state dicts: model, model_ema"),
        ({"epoch": 3}, "holds no state dict; its first keys are: epoch"),
        ([1, 2], "holds a list, not a state dict"),
        ({"a": torch.zeros(4).expand(10**9, 4)}, "its tensors are larger than the file"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_more_or_less_than_a_state_dict_is_refused(value: Any, said: str, zipped: bool, tmp_path: Path) -> None:
    path = saved(value, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as caught:
        read_pickled(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


class Calls:
    """What a hostile pickle is made of."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.folder / "ran",)


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(zipped: bool, protocol: int, tmp_path: Path) -> None:
    path = saved(
        {"a": Calls(tmp_path)}, tmp_path / "w.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=zipped
    )
    if is_pickled(path):
        with pytest.raises(CheckpointError, match="holds more than tensors"):
            read_pickled(path)
    assert not (tmp_path / "ran").exists()


def test_a_program_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", pickle.dumps({}))
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(CheckpointError, match=r"is TorchScript.*torch\.jit\.load\(FILE\)\.state_dict\(\)"):
        read_pickled(tmp_path / "w.pt")


def test_a_packed_or_foreign_archive_is_refused(tmp_path: Path) -> None:
    for name, compression, said in (
        ("w/data.pkl", zipfile.ZIP_DEFLATED, "holds packed parts"),
        ("w/other", zipfile.ZIP_STORED, "not one of torch.save"),
    ):
        with zipfile.ZipFile(tmp_path / "w.pt", "w", compression) as archive:
            archive.writestr(name, bytes(100_000))
        with pytest.raises(CheckpointError, match=said):
            read_pickled(tmp_path / "w.pt")


@pytest.mark.unhurried
@pytest.mark.parametrize("zipped", [True, False])
def test_a_damaged_file_is_refused_in_one_line(zipped: bool, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save(PLAIN, buffer, _use_new_zipfile_serialization=zipped)
    data = buffer.getvalue()
    path = tmp_path / "w.pth"
    for keep in range(4, len(data) - 1, len(data) // 23):
        path.write_bytes(data[:keep])
        with pytest.raises(CheckpointError) as caught:
            read_pickled(path)
        assert "\n" not in str(caught.value)
    for place in range(4, len(data), 5):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with contextlib.suppress(CheckpointError):  # a flipped value loads; nothing else is raised
            read_pickled(path)
