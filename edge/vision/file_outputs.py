"""What one file of an artifact answers, in another file's form: layout and integers, or a detector's four outputs.

The file that ends in TFLite_Detection_PostProcess computes what `post_process` computes of the raw heads, after a
sigmoid that it rounds to multiples of 1/256 where the heads are integers.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.port import DescribedPort, dequantize, in_form_of
from edge.vision.anchors import anchor_boxes
from edge.vision.detector import Detector
from edge.vision.four_outputs import FOUR_OUTPUTS
from edge.vision.postprocess import sigmoid
from edge.vision.tflite_detections import PostProcess, post_process

Array = NDArray[Any]
LEAST_PROBABILITY = 0.01
"""What a file's operator lets through: hosts choose a threshold above it, and average precision needs a tail."""
MOST_REGULAR_CLASSES = 2
"""With more classes than threads, and more threads than one, the regular mode of LiteRT 2.3 and tflite-runtime 2.14
leaves whole classes out: only with one or two classes is it safe on every number of threads."""
STEPS = 256
"""Of probabilities in an integer file: 0, 1/256, ..., 255/256."""


def operator_options(detector: Detector, classes: int) -> PostProcess:
    """The operator's options for a detector with raw heads: what its manifest says, down to LEAST_PROBABILITY.

    The mode is the regular one up to MOST_REGULAR_CLASSES classes, else the fast one.

    Raises:
        UsageError: heads that the operator cannot take: of another form, or with a background column elsewhere.
    """
    if detector.form != "ssd" or detector.coder is None or detector.background not in (None, 0):
        where = "" if detector.background is None else f" with the background in column {detector.background}"
        raise UsageError(
            f"post-processing in the file is for anchors of the form 'ssd' whose background is column 0, or none; "
            f"this detector is of the form '{detector.form}'{where}"
        )
    selection = detector.selection
    return PostProcess(
        classes=classes,
        most=selection.most,
        regular=detector.selection.class_aware and classes <= MOST_REGULAR_CLASSES,
        per_class=selection.most,
        threshold=min(LEAST_PROBABILITY, selection.threshold),
        overlap=selection.overlap,
        coder=detector.coder,
    )


def outputs_in_form(
    outputs: Sequence[Array], before: Sequence[DescribedPort], after: Sequence[DescribedPort], detector: Detector | None
) -> list[Array]:
    """Told outputs of images (n, ...) of one file as another file of the artifact gives them.

    Args:
        before, after: what the two files' told outputs are.
        detector: of an artifact of boxes, else None.
    """
    if tuple(port.meaning for port in after) != FOUR_OUTPUTS or len(before) == len(after):
        return [in_form_of(*entry) for entry in zip(outputs, before, after, strict=True)]
    assert detector is not None and detector.anchors is not None
    codes, scores = outputs
    classes = scores.shape[2] - (detector.background is not None)
    options, anchors = operator_options(detector, classes), anchor_boxes(detector.anchors)
    real, shares = dequantize(codes, before[0].scale, before[0].zero_point), _probabilities(scores, before[1])
    found = [post_process(real[row : row + 1], shares[row : row + 1], anchors, options) for row in range(len(real))]
    return [np.concatenate([getattr(one, name) for one in found]) for name in FOUR_OUTPUTS]


def _probabilities(scores: Array, port: DescribedPort) -> NDArray[np.float32]:
    shares = sigmoid(dequantize(scores, port.scale, port.zero_point))
    if port.scale is None:
        return shares
    return (np.rint(shares * STEPS).clip(0, STEPS - 1) / STEPS).astype(np.float32)
