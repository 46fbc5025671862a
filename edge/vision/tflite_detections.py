"""What TFLite_Detection_PostProcess computes (tensorflow/lite/kernels/detection_postprocess.cc), in numpy.

Its input is box codes and probabilities, its output four tensors. `regular` suppresses within each class; the fast
mode takes each anchor's best class and suppresses among all of them alike: of two classes at one place one is lost.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.errors import UsageError
from edge.vision.box_coder import BoxCoder, decode_boxes
from edge.vision.four_outputs import FROM_YX, FourOutputs
from edge.vision.suppression import suppressed

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class PostProcess:
    """The operator's options.

    Attributes:
        classes: without the background.
        most: detections at most.
        regular: suppress within each class.
        per_class: detections of a class at most, in the regular mode.
        threshold: the least probability. overlap: as of `edge.vision.detections.Selection`.
    """

    classes: int
    most: int = 100
    regular: bool = True
    per_class: int = 100
    threshold: float = 0.3
    overlap: float = 0.6
    coder: BoxCoder = field(default_factory=BoxCoder)

    def __post_init__(self) -> None:
        counts = (self.classes, self.most, self.per_class)
        if any(count < 1 for count in counts):
            raise UsageError(f"classes, detections, and detections per class are {counts}; each must be 1 or more")
        if not 0 < self.overlap <= 1:
            raise UsageError(f"overlap {self.overlap}; a share above 0, and 1 at most, is needed")


def post_process(codes: Floats, probabilities: Floats, anchors: Floats, options: PostProcess) -> FourOutputs:
    """The operator's answer. The order of equal scores is ours: lower class first, then lower anchor.

    Args:
        codes: float32 (1, anchors, 4). anchors: float32 (anchors, 4), centre y, centre x, height, width.
        probabilities: float32 (1, anchors, classes), or with a background column in front.
    """
    boxes = decode_boxes(codes[0], anchors, options.coder)
    scores = probabilities[0, :, probabilities.shape[2] - options.classes :]
    rows, labels = (_regular if options.regular else _fast)(boxes, scores, options)
    result = FourOutputs(
        boxes=np.zeros((1, options.most, 4), np.float32),
        classes=np.zeros((1, options.most), np.float32),
        scores=np.zeros((1, options.most), np.float32),
        count=np.array([len(rows)], np.float32),
    )
    result.boxes[0, : len(rows)] = boxes[rows][:, FROM_YX]
    result.classes[0, : len(rows)] = labels
    result.scores[0, : len(rows)] = scores[rows, labels]
    return result


def _regular(boxes: Floats, scores: Floats, options: PostProcess) -> tuple[Indices, Indices]:
    """Anchors and classes of the detections, each class suppressed and cut alone, then the best of all."""
    rows: list[Indices] = []
    labels: list[Indices] = []
    for label in range(options.classes):
        reaching = np.asarray(np.flatnonzero(scores[:, label] >= np.float32(options.threshold)), np.int64)
        kept = suppressed(boxes[reaching], scores[reaching, label], None, options.overlap)[: options.per_class]
        rows.append(reaching[kept])
        labels.append(np.full(len(kept), label, np.int64))
    found, of_class = np.concatenate(rows), np.concatenate(labels)
    best = np.argsort(-scores[found, of_class], kind="stable")[: options.most]
    return found[best], of_class[best]


def _fast(boxes: Floats, scores: Floats, options: PostProcess) -> tuple[Indices, Indices]:
    """Anchors and classes: every anchor has its best class alone, and all of them suppress each other."""
    labels = np.asarray(scores.argmax(axis=1), np.int64)
    best = scores[np.arange(len(scores)), labels]
    reaching = np.asarray(np.flatnonzero(best >= np.float32(options.threshold)), np.int64)
    kept = reaching[suppressed(boxes[reaching], best[reaching], None, options.overlap)[: options.most]]
    return kept, labels[kept]
