"""A tensor file round-trips, notices every damage, and never runs code."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from edge.errors import CheckpointError
from edge.training.tensor_file import read_tensors, write_tensors

TENSORS = {
    "weight": torch.arange(24, dtype=torch.float32).reshape(2, 3, 2, 2).to(memory_format=torch.channels_last),
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "empty": torch.zeros(0, 3),
}
CONTENT = {"format": "test", "value": 0.1, "list": [1, None, "ä"]}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    digest = write_tensors(tmp_path / "a.safetensors", TENSORS, CONTENT)
    tensors, content, sha256 = read_tensors(tmp_path / "a.safetensors")
    assert content == CONTENT
    assert sha256 == digest
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert torch.equal(tensors[name], tensor)
        assert tensors[name].dtype == tensor.dtype


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    write_tensors(tmp_path / "a", TENSORS, CONTENT)
    write_tensors(tmp_path / "b", dict(reversed(TENSORS.items())), CONTENT)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_tensors(path, TENSORS, CONTENT)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            tensors, content, _ = read_tensors(path)
        except CheckpointError as error:
            assert str(error).startswith(f"{path}: ")
            assert "\n" not in str(error)
        else:  # a bit that carries nothing: white space that pads the header
            assert content == CONTENT
            assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_any_truncation_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_tensors(path, TENSORS, CONTENT)
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError) as caught:
            read_tensors(path)
        assert "\n" not in str(caught.value)


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "plain")
    (tmp_path / "pickled").write_bytes(pickle.dumps({"weight": [1, 2]}))
    torch.save({"weight": torch.zeros(2)}, tmp_path / "torch")
    header = json.dumps({"__metadata__": {"content": "[]", "sha256": "0"}}).encode()
    (tmp_path / "list").write_bytes(len(header).to_bytes(8, "little") + header)
    (tmp_path / "deep").write_bytes((10_000).to_bytes(8, "little") + b"[" * 10_000)
    (tmp_path / "folder").mkdir()
    for name in ("plain", "pickled", "torch", "list", "deep", "folder", "none"):
        with pytest.raises(CheckpointError) as caught:
            read_tensors(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_weights_alone_are_told_the_way_to_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match=f"edge train RECIPE --set train.init={path} --epochs 0 --phase float"):
        read_tensors(path)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_tensors(path, TENSORS, CONTENT)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_tensors(path, TENSORS, {"value": object()})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
