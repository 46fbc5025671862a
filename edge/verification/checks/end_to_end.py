"""Checks 2 and 4: every runtime against the reference on the same images, and everyone against the float parent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.model_file import ModelFile, TensorInfo
from edge.evaluation.fidelity import integer_difference, real_difference
from edge.port import dequantize, in_form_of
from edge.predictor.selftest import difference, model_input
from edge.verification.checks.accuracy import Participant
from edge.verification.checks.images import Images
from edge.verification.checks.own_answers import OwnAnswers
from edge.verification.checks.parent import Parent
from edge.verification.checks.runtimes import Runtime
from edge.verification.checks.subject import Subject

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
    reference = Participant(name, images)
    float_parent = Participant("float parent", images) if parent is not None else None
    size = max(1, min(8, PIXELS_PER_BATCH // (preprocess.height * preprocess.width)))
    for indices, pixels in images.batches(size):
        outputs = subject.answers(model_input(pixels, subject.source, preprocess))
        raw = {runtime.file.path: model_input(pixels, runtime.file, preprocess) for runtime in runtimes}
        for row, index in enumerate(indices):
            one = slice(row, row + 1)
            expected = [output[one] for output in outputs]
            reference.add(index, *_told(subject.source, expected))
            for runtime in runtimes:
                _compare_one(runtime, subject.source, expected, raw[runtime.file.path][one], index)
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


def _compare_one(runtime: Runtime, source: ModelFile, expected: Sequence[Array], raw: Array, index: int) -> None:
    found = runtime.session.run([np.ascontiguousarray(raw)])
    runtime.participant.add(index, *_told(runtime.file, found))
    for k in runtime.file.told:
        output = found[k]
        told, before = runtime.file.outputs[k].described, source.outputs[k].described
        if told.scale is not None and before.scale is None:
            # Another tool chose these integers: only the real numbers that they stand for can be compared.
            real = replace(told, dtype="float32", scale=None, zero_point=None)
            wanted = in_form_of(expected[k], before, real)
            runtime.reals += real_difference(wanted, dequantize(output, told.scale, told.zero_point))
            continue
        wanted = in_form_of(expected[k], before, told)
        runtime.largest = max(runtime.largest, difference(wanted, output, runtime.file.outputs[k]))
        if wanted.dtype.kind == "f":
            runtime.reals += real_difference(wanted, output)
        else:
            runtime.integers += integer_difference(wanted, output)
