"""The self-test: a runtime proves on a device that it gives the host's answer before a number from it is believed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import SELFTEST_NAME, Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.engine import Session
from edge.engines.output_difference import (
    CLASS_MAP_TOLERANCE,
    difference_allowed_here,
    is_share,
    kernel_key,
    largest_sensible,
    outputs_difference,
)
from edge.engines.table import EXACT_KERNELS
from edge.errors import ArtifactError
from edge.predictor.selftest_archive import read_selftest
from edge.vision.encoding import input_encoder
from edge.vision.preprocess import Preprocess


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
    return input_encoder(file.inputs[0].described, preprocess)(images)


def told_difference(
    expected: Sequence[npt.NDArray[Any]], outputs: Sequence[npt.NDArray[Any]], file: ModelFile
) -> float:
    """How far a file's outputs of one image are from those expected of the told ones; see `outputs_difference`."""
    return outputs_difference(expected, [outputs[k] for k in file.told], told_meanings(file))


def told_meanings(file: ModelFile) -> list[str]:
    """What the told outputs of a file mean."""
    return [file.outputs[k].meaning for k in file.told]


def shares_of(file: ModelFile) -> list[bool]:
    """Of every told output whether its difference is a share."""
    meanings = told_meanings(file)
    return [is_share(meaning, meanings) for meaning in meanings]


def selftest_images(artifact: Artifact, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """The images among the self-test's arrays: uint8 (n, height, width, 3) at the model's size, at least one."""
    return arrays["images"]


def expected_outputs(
    artifact: Artifact, file: ModelFile, arrays: Mapping[str, npt.NDArray[Any]]
) -> list[npt.NDArray[Any]]:
    """The expected outputs of a file (`ModelFile.told`) among the self-test's arrays, each with all its samples.

    Raises:
        ArtifactError: there are none, or the manifest allows a difference by which they would prove nothing.
    """
    path = artifact.folder / SELFTEST_NAME
    expected = []
    for k, share in zip(file.told, shares_of(file), strict=True):
        array = arrays.get(f"output_{file.path}_{k}")
        if array is None:
            raise ArtifactError(path, f"holds no expected output {k} of {file.path}")
        expected.append(array)
        limit = largest_sensible(array, class_map=share)
        for kernels, allowed in artifact.manifest.selftest.allowed.get(file.path, {}).items():
            if allowed > limit:
                raise ArtifactError(
                    path, f"{file.path} may differ by {allowed:g} for {kernels}; over {limit:g} it proves nothing"
                )
    return expected


def held_to_sense(
    bounds: Mapping[str, float], file: ModelFile, expected: Sequence[npt.NDArray[Any]]
) -> dict[str, float]:
    """Bounds of one file, none larger than what proves something: kernels that differ by more fail their self-test."""
    limits = [largest_sensible(array, class_map=share) for share, array in zip(shares_of(file), expected, strict=True)]
    return {kernels: min([allowed, *limits]) for kernels, allowed in bounds.items()}


def promised(kernels: str, largest: float, file: ModelFile, *, in_float: bool) -> float:
    """What kernels that were measured may differ by, in a file with integers.

    Args:
        kernels: `kernel_key` of a session. largest: the difference that it showed.
        in_float: whether operators compute in float, or may: then no kernels are exact, and other processors with the
            same kernels may round otherwise, by 1 quantum at least, or a share of the cells.
    """
    if not all(file.outputs[k].dtype != "float32" for k in file.told):
        return largest
    if not in_float:
        return 0.0 if kernels in EXACT_KERNELS else largest
    return max(largest, CLASS_MAP_TOLERANCE if any(shares_of(file)) else 1.0)


def run_selftest(artifact: Artifact, file_name: str, session: Session) -> SelftestResult:
    """Run every self-test input of a file through a session and compare with the expected outputs.

    Raises:
        ArtifactError: the self-test does not fit the file.
    """
    arrays = read_selftest(artifact)
    file = artifact.model_file(file_name)
    raw = model_input(selftest_images(artifact, arrays), file, artifact.manifest.preprocess)
    return selftest_of(artifact, file, session, raw, arrays)


def selftest_of(
    artifact: Artifact,
    file: ModelFile,
    session: Session,
    raw: npt.NDArray[Any],
    arrays: Mapping[str, npt.NDArray[Any]],
) -> SelftestResult:
    """Run raw inputs of a file, one for each sample, and compare with its expected outputs among the arrays."""
    expected = expected_outputs(artifact, file, arrays)
    largest = 0.0
    for index in range(len(raw)):
        outputs = session.run([raw[index : index + 1]])
        largest = max(largest, told_difference([array[index : index + 1] for array in expected], outputs, file))
    bounds = artifact.manifest.selftest.allowed.get(file.path, {})
    kernels = kernel_key(session.info)
    allowed = difference_allowed_here(bounds, session.info, expected, shares_of(file))
    return SelftestResult(file=file.path, kernels=kernels, samples=len(raw), largest=largest, allowed=allowed)
