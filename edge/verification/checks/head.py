"""A point head's files in verification: what they are given, and where they run."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from edge.artifact.model_file import ModelFile
from edge.predictor.point_selftest import head_inputs
from edge.predictor.point_session import head_file
from edge.verification.checks.runtimes import Runtime
from edge.verification.checks.subject import Subject

Array = npt.NDArray[Any]


def head_points(subject: Subject, raw: Array) -> Callable[[ModelFile], Array]:
    """The points of the first step, raw as a file of the head takes them, of images (n, ...) as the source takes them.

    Args:
        subject: of an artifact with a point head.
    """
    section, preprocess = subject.artifact.manifest.point_head, subject.artifact.manifest.preprocess
    assert section is not None  # said above
    answers = subject.answers(raw)
    outputs = [answers[place] for place in subject.source.told]
    told = [subject.source.outputs[place] for place in subject.source.told]
    rule = section.rule((preprocess.height, preprocess.width))
    return lambda file: head_inputs(outputs, told, file.inputs[0], rule)


def head_runtime(subject: Subject, runtime: Runtime) -> Runtime:
    """Where the head beside a network's file runs: in the same engine, with the same kernels, in the same place."""
    head = head_file(subject.artifact, runtime.file)
    assert head is not None  # of an artifact with one
    return replace(runtime, name=head.path + runtime.name.removeprefix(runtime.file.path), file=head)
