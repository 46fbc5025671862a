"""The self-test of a point head: the points of the network's expected outputs, and what the head makes of them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile, TensorInfo
from edge.engines.engine import Session
from edge.predictor.point_session import head_file
from edge.predictor.selftest import SelftestResult, expected_outputs, selftest_of
from edge.predictor.selftest_archive import read_selftest
from edge.vision.point_rend import PointRule, first_points

Array = npt.NDArray[Any]


def run_head_selftest(artifact: Artifact, file: ModelFile, session: Session) -> SelftestResult:
    """Run the head's file beside a network's file on every sample of the self-test.

    Raises:
        ArtifactError: the self-test does not fit the files.
    """
    section, head = artifact.manifest.point_head, head_file(artifact, file)
    assert section is not None and head is not None  # of an artifact with a head
    arrays = read_selftest(artifact)
    preprocess = artifact.manifest.preprocess
    told = [file.outputs[place] for place in file.told]
    given = head_inputs(
        expected_outputs(artifact, file, arrays),
        told,
        head.inputs[0],
        section.rule((preprocess.height, preprocess.width)),
    )
    return selftest_of(artifact, head, session, given, arrays)


def head_inputs(outputs: Sequence[Array], told: Sequence[TensorInfo], given: TensorInfo, rule: PointRule) -> Array:
    """The points of the first step of every image, stacked: what a head is given, of a network's outputs (n, ...)."""
    ports = tuple(one.described for one in told)
    return np.concatenate(
        [
            first_points(tuple(output[row : row + 1] for output in outputs), ports, rule, given.described)
            for row in range(len(outputs[0]))
        ]
    )
