"""A detector's TFLite file that selects its boxes itself: pixels in, boxes, classes, scores and their number out.

The form that Android's task libraries, mediapipe and Frigate read. Their own threshold stands above the operator's,
which lets all from `edge.vision.file_outputs.LEAST_PROBABILITY` on through.
"""

from converters.passes.detection_ending import detection_ending
from converters.passes.uint8_boundaries import uint8_boundaries
from converters.tflite.detection_postprocess import with_detection_postprocess
from edge.artifact.detection import Detection
from edge.artifact.model_file import TensorInfo
from edge.errors import UsageError
from edge.graph.graph import Graph
from edge.port import Scores
from edge.vision.anchors import anchor_boxes
from edge.vision.file_outputs import operator_options
from edge.vision.preprocess import Preprocess

POSTPROCESS = "postprocess"
"""The head of such a file."""


def before_post_process(graph: Graph, preprocess: Preprocess, scores: Scores | None) -> Graph:
    """An NHWC detector with raw heads as the operator takes them; of integers the input becomes pixels.

    Raises:
        UsageError: other heads, scores of a softmax, int16 activations, or channels in BGR order.
    """
    if scores == "exclusive":
        raise UsageError(
            f"--head {POSTPROCESS} is of independent scores (a sigmoid each), and these exclude each other: omit it"
        )
    if graph.tensors[graph.inputs[0]].quantization is not None:
        graph = uint8_boundaries(graph, preprocess, input_alone=True)
    return detection_ending(graph)


def with_post_process(tflite: bytes, detection: Detection, classes: int) -> bytes:
    """The file with the operator behind its two outputs, as the section says. Refuses (UsageError) other forms."""
    detector = detection.detector
    options = operator_options(detector, classes)
    assert detector.anchors is not None
    return with_detection_postprocess(tflite, anchor_boxes(detector.anchors), options)


def four_told(most: int) -> tuple[TensorInfo, ...]:
    """What its outputs mean."""
    entries = (("boxes", (1, most, 4), "nac"), ("classes", (1, most), "nc"), ("scores", (1, most), "nc"))
    told = [
        TensorInfo.model_validate(
            {"name": meaning, "shape": shape, "dtype": "float32", "layout": layout, "meaning": meaning}
        )
        for meaning, shape, layout in (*entries, ("count", (1,), "flat"))
    ]
    return tuple(told)
