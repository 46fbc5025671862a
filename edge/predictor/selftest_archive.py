"""selftest.npz: written, and read only as far as the manifest foretells it: names, shapes and types before the content.

Nothing is unpickled, and nothing is expanded whose size is not known before: an archive of zeros is small.
"""

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import SELFTEST_NAME, Artifact
from edge.errors import ArtifactError

MAX_EXPANDED_BYTES = 2**32
DAMAGED = (ValueError, OSError, KeyError, EOFError, TypeError, SyntaxError, NotImplementedError, RuntimeError)
FOREIGN = (*DAMAGED, zipfile.BadZipFile, zlib.error, tokenize.TokenError)


def selftest_bytes(
    images: npt.NDArray[np.uint8],
    expected: Mapping[str, list[npt.NDArray[Any]]],
    places: Mapping[str, tuple[int, ...]] = MappingProxyType({}),
) -> bytes:
    """selftest.npz: `images` uint8 (n, h, w, 3) as `resize` returns them, and `output_FILE_K` per file and output.

    Args:
        places: K of every expected output of a file, see `ModelFile.told`; one after another for other files.
    """
    arrays = {
        f"output_{name}_{k}": array
        for name, outputs in expected.items()
        for k, array in zip(places.get(name, range(len(outputs))), outputs, strict=True)
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, images=images, **arrays)
    return buffer.getvalue()


def read_selftest(artifact: Artifact) -> dict[str, npt.NDArray[Any]]:
    """The arrays of selftest.npz: `images`, and `output_FILE_K` of the files that are there, as the manifest says.

    Raises:
        ArtifactError: the file is not such an archive, or holds arrays of other names, shapes or types.
    """
    path = artifact.folder / SELFTEST_NAME
    forms = _forms(artifact)
    expanded = sum(math.prod(shape) * np.dtype(dtype).itemsize for shape, dtype in forms.values())
    if expanded > MAX_EXPANDED_BYTES:
        raise ArtifactError(path, f"{expanded} bytes by the manifest; a self-test has at most {MAX_EXPANDED_BYTES}")
    data = artifact.read(SELFTEST_NAME)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            held = {entry.filename.removesuffix(".npy"): entry for entry in archive.infolist()}
            if "images" not in held:
                raise ValueError("no images in it")
            # The outputs of files that were taken out for a device stay in the archive, unread.
            return {name: _array(archive, held[name], name, *form) for name, form in forms.items() if name in held}
    except FOREIGN as error:
        raise ArtifactError(path, f"is not the self-test of this artifact: {error}") from error


def _forms(artifact: Artifact) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every array that the manifest foretells."""
    manifest = artifact.manifest
    count, preprocess = manifest.selftest.samples, manifest.preprocess
    forms: dict[str, tuple[tuple[int, ...], str]] = {}
    forms["images"] = ((count, preprocess.height, preprocess.width, 3), "uint8")
    for file in manifest.every_file:
        for k in file.told:
            output = file.outputs[k]
            forms[f"output_{file.path}_{k}"] = ((count, *output.shape[1:]), output.dtype)
    return forms


def _array(
    archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, shape: tuple[int, ...], dtype: str
) -> npt.NDArray[Any]:
    with archive.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"'{name}' is in version {version} of the format")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        found_shape, fortran, found_dtype = read(stream)
        if (found_shape, found_dtype.name, fortran) != (shape, dtype, False):
            raise ValueError(f"'{name}' is {found_dtype.name} {found_shape}, by the manifest {dtype} {shape}")
        size = math.prod(shape) * found_dtype.itemsize
        data = stream.read(size + 1)
    if len(data) != size:
        raise ValueError(f"'{name}' holds {len(data)} bytes of {size}")
    return np.frombuffer(data, found_dtype).reshape(shape)
