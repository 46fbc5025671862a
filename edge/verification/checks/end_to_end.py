"""Checks 2 and 4: every runtime against the reference on the same images, and everyone against the float parent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.model_file import ModelFile, TensorInfo
from edge.evaluation.fidelity import integer_difference, real_difference
from edge.port import dequantize
from edge.predictor.selftest import model_input, told_difference
from edge.verification.checks.accuracy import Participant
from edge.verification.checks.images import Images
from edge.verification.checks.own_answers import OwnAnswers
from edge.verification.checks.parent import Parent
from edge.verification.checks.runtimes import Runtime
from edge.verification.checks.subject import Subject
from edge.vision.detector import Detector
from edge.vision.file_outputs import outputs_in_form

Array = npt.NDArray[Any]
PIXELS_PER_BATCH = 8 * 224 * 224


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that ran on the images."""

    runtimes: Sequence[Runtime]
    reference: Participant
    parent: Participant | None


def compare_on_images(
    subject: Subject, images: Images, runtimes: Sequence[Runtime], parent: Parent | None, advance: Callable[[int], None]
) -> Comparison:
    """Run the reference, every runtime and the parent on every image; what they answer is counted, not kept."""
    preprocess = subject.artifact.manifest.preprocess
    name = "integer simulation" if subject.is_integer else "float reference"
    if isinstance(subject.reference, OwnAnswers):
        name = "the file itself"
    reference = Participant(name, images, subject.points)
    float_parent = Participant("float parent", images, parent.points) if parent is not None else None
    section = subject.artifact.manifest.detection
    detector = None if section is None else section.detector
    size = max(1, min(8, PIXELS_PER_BATCH // (preprocess.height * preprocess.width)))
    for indices, pixels in images.batches(size):
        outputs = subject.answers(model_input(pixels, subject.source, preprocess))
        raw = {runtime.file.path: model_input(pixels, runtime.file, preprocess) for runtime in runtimes}
        for row, index in enumerate(indices):
            one = slice(row, row + 1)
            expected = [output[one] for output in outputs]
            reference.add(index, *_told(subject.source, expected))
            for runtime in runtimes:
                _compare_one(runtime, subject.source, expected, raw[runtime.file.path][one], index, detector)
                if subject.points is not None and subject.is_integer:
                    _compare_refined(runtime, reference, index)
            if parent is not None and float_parent is not None:
                float_parent.add(index, parent.predict(pixels[one]), parent.infos)
                for participant in (reference, *(runtime.participant for runtime in runtimes)):
                    participant.compare(float_parent, index, closely=True)
                float_parent.decided.pop(index, None)
            for participant in (reference, *(runtime.participant for runtime in runtimes)):
                participant.decided.pop(index, None)
        advance(len(indices))
    return Comparison(runtimes=runtimes, reference=reference, parent=float_parent)


def _told(file: ModelFile, outputs: Sequence[Array]) -> tuple[list[Array], list[TensorInfo]]:
    """The outputs that mean something to the task, and what they mean."""
    return [outputs[place] for place in file.told], [file.outputs[place] for place in file.told]


def _compare_refined(runtime: Runtime, reference: Participant, index: int) -> None:
    """Count the class map of the frame, which a point head had a part in, among the integers that must be equal."""
    expected, found = reference.decided.get(index), runtime.participant.decided.get(index)
    assert expected is not None and found is not None  # both were added
    runtime.integers += integer_difference(expected, found)


def _compare_one(
    runtime: Runtime,
    source: ModelFile,
    expected: Sequence[Array],
    raw: Array,
    index: int,
    detector: Detector | None,
) -> None:
    found = runtime.session.run([np.ascontiguousarray(raw)])
    runtime.participant.add(index, *_told(runtime.file, found))
    told = [runtime.file.outputs[k].described for k in runtime.file.told]
    before = [source.outputs[k].described for k in source.told]
    given, outputs = [expected[k] for k in source.told], [found[k] for k in runtime.file.told]
    if told[0].scale is not None and before[0].scale is None:
        # Another tool chose these integers: only the real numbers that they stand for can be compared.
        real = [replace(port, dtype="float32", scale=None, zero_point=None) for port in told]
        for wanted, output, port in zip(outputs_in_form(given, before, real, detector), outputs, told, strict=True):
            runtime.reals += real_difference(wanted, dequantize(output, port.scale, port.zero_point))
        return
    each = outputs_in_form(given, before, told, detector)
    runtime.largest = max(runtime.largest, told_difference(each, found, runtime.file))
    for wanted, output in zip(each, outputs, strict=True):
        if wanted.dtype.kind == "f":
            runtime.reals += real_difference(wanted, output)
        else:
            runtime.integers += integer_difference(wanted, output)
