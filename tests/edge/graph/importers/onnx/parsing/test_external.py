"""Constants in files beside the model are read from its own folder, and from nowhere else."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from edge.errors import ModelFileError
from edge.graph.importers.onnx.parsing.file import model_sha256
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.onnx_models import external, model, node, values, written

CONSTANTS = {"w": values(4, 3, 3, 3), "b": values(4)}
PROTO = model([node("Conv", "x w b", "y")], {"y": (1, 4, 4, 3)}, CONSTANTS)


def changed(path: Path, key: str, value: str) -> Path:
    """The file with another entry for its first constant."""
    proto = onnx.load(path, load_external_data=False)
    entries = {entry.key: entry for entry in proto.graph.initializer[0].external_data}
    entries[key].value = value
    return written(proto, path)


@pytest.mark.parametrize("location", ["weights.bin", "sub/weights.bin"])
def test_the_values_are_those_of_one_file(tmp_path: Path, location: str) -> None:
    (tmp_path / "sub").mkdir()
    graph = read_onnx(external(PROTO, tmp_path / "net.onnx", location=location))
    for name, array in CONSTANTS.items():
        assert np.array_equal(graph.constant(name), array)


def test_bytes_alone_are_refused_with_what_to_do(tmp_path: Path) -> None:
    data = external(PROTO, tmp_path / "net.onnx").read_bytes()
    with pytest.raises(ModelFileError, match=r"keeps 'w' in weights\.bin; keep it beside the model, or save"):
        read_onnx(data)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("location", "../weights.bin", "not the plain name of a file beside it"),
        ("location", "/etc/hostname", "not the plain name of a file beside it"),
        ("location", "", "not the plain name of a file beside it"),
        ("location", "missing.bin", r"missing\.bin: no such external data file"),
        ("offset", "1000", r"bytes 1000 to 1432 of weights\.bin, which has 448"),
        ("offset", "-8", "bytes -8 to 424"),
        ("offset", "first", "invalid literal"),
        ("length", "8", "'w' takes 432 bytes"),
    ],
)
def test_what_does_not_lie_beside_the_model_is_refused(tmp_path: Path, key: str, value: str, said: str) -> None:
    path = changed(external(PROTO, tmp_path / "net.onnx"), key, value)
    with pytest.raises(ModelFileError, match=said):
        read_onnx(path)


def _link(place: Path) -> None:
    place.symlink_to("/etc/hostname")


def _linked_folder(place: Path) -> None:
    place.symlink_to(place.parent.parent)


@pytest.mark.parametrize(
    ("make", "said"),
    [(_link, "a link that leads out"), (os.mkfifo, "a pipe, socket or device"), (Path.mkdir, "a folder")],
)
def test_links_out_of_the_folder_and_what_is_no_file_are_refused(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    path = external(PROTO, tmp_path / "net.onnx")
    (tmp_path / "weights.bin").unlink()
    make(tmp_path / "weights.bin")
    with pytest.raises(ModelFileError, match=said):
        read_onnx(path)


def test_a_folder_that_leads_out_is_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    path = changed(external(PROTO, inner / "net.onnx"), "location", "up/weights.bin")
    (inner / "weights.bin").rename(tmp_path / "weights.bin")
    _linked_folder(inner / "up")
    with pytest.raises(ModelFileError, match="a link that leads out"):
        read_onnx(path)


def test_the_hash_of_a_model_is_of_its_data_too(tmp_path: Path) -> None:
    path = external(PROTO, tmp_path / "net.onnx")
    before = model_sha256(path)
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert model_sha256(path) != before
