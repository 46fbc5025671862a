"""What a graph cannot say about itself, for the manifest and for the files."""

from dataclasses import dataclass
from typing import Literal

from converters.packaging.finished_detector import Told as BoxOutput
from converters.packaging.output_meaning import NOTHING_SAID, Said
from converters.packaging.point_head import PointHeadGraph
from converters.packaging.stored_weights import Form
from edge.artifact.detection import Detection
from edge.artifact.manifest import Head, Provenance, QuantizationInfo, Task
from edge.artifact.model_file import Labels
from edge.vision.preprocess import Preprocess


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a graph cannot say about itself.

    Attributes:
        head: what a segmenter or a detector ends in; None for other tasks.
        detection: how a detector's outputs become boxes; None for other tasks.
        point_head: of a segmenter whose uncertain points a second file predicts again.
        box_outputs: what each output of a foreign detector means, in their order; None: box codes, then scores.
        quantization: how its integers came to be, for the manifest.
        io: `uint8` gives the INT8 TFLite file pixels as its input and uint8 outputs, see `uint8_boundaries`.
        keep_nchw_io: the TFLite file's rank-4 inputs and outputs stay NCHW.
        weights: how a float model's weights are stored; None: float32.
        said: what is known of its scores.
    """

    name: str
    task: Task
    head: Head | None
    preprocess: Preprocess
    labels: Labels
    quantization: QuantizationInfo
    provenance: Provenance
    io: Literal["uint8"] | None = None
    keep_nchw_io: bool = False
    weights: Form | None = None
    said: Said = NOTHING_SAID
    detection: Detection | None = None
    box_outputs: tuple[BoxOutput, ...] | None = None
    point_head: PointHeadGraph | None = None
