"""The self-test: a runtime proves on a device that it gives the host's answer before a number from it is believed."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact import SELFTEST_NAME, Artifact, ModelFile, TensorInfo
from edge.errors import ArtifactError, EngineError
from edge.runtime.engine import Session
from edge.runtime.output_difference import ANY_KERNELS as ANY_KERNELS
from edge.runtime.output_difference import difference_allowed_here, output_difference
from edge.runtime.output_difference import kernel_key as kernel_key
from edge.vision.encoding import takes_pixels
from edge.vision.preprocess import Preprocess, apply_table, normalize, quantize_table

# The simulation is exact for these kernels: an INT8 file is held to 0 quanta there, whatever was measured.
EXACT_KERNELS = "litert/xnnpack/x86_64"


@dataclass(frozen=True, kw_only=True)
class SelftestResult:
    """What one self-test found.

    Attributes:
        kernels: see `kernel_key`.
        largest: the largest difference, see `difference`.
        allowed: the largest that the manifest allows for these kernels.
    """

    file: str
    kernels: str
    samples: int
    largest: float
    allowed: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within what the manifest allows."""
        return self.largest <= self.allowed


def model_input(images: npt.NDArray[np.uint8], file: ModelFile, preprocess: Preprocess) -> npt.NDArray[Any]:
    """Turn resized images into a file's raw input.

    Args:
        images: uint8 (n, height, width, 3) as `resize` returns them: the model's size and colour order.

    Returns:
        float32, int8, uint8 or int16, (n, height, width, 3) or (n, 3, height, width), as the file's first input says.
    """
    given = file.inputs[0]
    values: npt.NDArray[Any]
    if takes_pixels(given):
        values = images
    elif given.scale is None or given.zero_point is None:
        values = normalize(images, preprocess)
    elif given.dtype == "int8" or given.dtype == "uint8" or given.dtype == "int16":
        values = apply_table(images, quantize_table(preprocess, given.scale, given.zero_point, given.dtype))
    else:
        raise EngineError(
            f"{file.path}: input '{given.name}' is {given.dtype}; images go in as float32, int8, uint8 or int16"
        )
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2)) if given.layout == "nchw" else values


def difference(expected: npt.NDArray[Any], found: npt.NDArray[Any], output: TensorInfo) -> float:
    """How far two outputs are apart: quanta for integers, share of cells for class maps, absolute for floats."""
    return output_difference(expected, found, class_map=output.meaning == "class_map")


def read_selftest(artifact: Artifact) -> dict[str, npt.NDArray[Any]]:
    """The arrays of selftest.npz: `images` and `output_FILE_K`. Nothing in it is unpickled.

    Raises:
        ArtifactError: the file is not such an archive.
    """
    path = artifact.folder / SELFTEST_NAME
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise ArtifactError(path, f"is not a self-test archive: {error}") from error


def selftest_images(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """The images among the self-test's arrays: uint8 (n, height, width, 3) at the model's size.

    Raises:
        ArtifactError: there are none of that size.
    """
    preprocess = artifact.manifest.preprocess
    images = arrays.get("images")
    if images is None or images.dtype != np.uint8 or images.shape[1:] != (preprocess.height, preprocess.width, 3):
        size = f"(n, {preprocess.height}, {preprocess.width}, 3)"
        raise ArtifactError(artifact.folder / SELFTEST_NAME, f"holds no uint8 images {size}")
    return images


def run_selftest(artifact: Artifact, file_name: str, session: Session) -> SelftestResult:
    """Run every self-test input of a file through a session and compare with the expected outputs.

    Raises:
        ArtifactError: the self-test does not fit the file.
    """
    arrays = read_selftest(artifact)
    file = artifact.model_file(file_name)
    images = selftest_images(artifact, arrays)
    raw = model_input(images, file, artifact.manifest.preprocess)
    largest = 0.0
    for index in range(len(images)):
        outputs = session.run([raw[index : index + 1]])
        for k, output in enumerate(file.outputs):
            expected = arrays.get(f"output_{file_name}_{k}")
            if expected is None or len(expected) != len(images):
                raise ArtifactError(artifact.folder / SELFTEST_NAME, f"holds no expected output {k} of {file_name}")
            largest = max(largest, difference(expected[index : index + 1], outputs[k], output))
    bounds = artifact.manifest.selftest.allowed.get(file_name, {})
    kernels = kernel_key(session.info)
    expected_all = [arrays[f"output_{file_name}_{k}"] for k in range(len(file.outputs))]
    class_maps = [output.meaning == "class_map" for output in file.outputs]
    allowed = difference_allowed_here(bounds, session.info, expected_all, class_maps)
    return SelftestResult(file=file_name, kernels=kernels, samples=len(images), largest=largest, allowed=allowed)
