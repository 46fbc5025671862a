"""Which TRANSPOSE operators an artifact's TFLite file holds, and why each had to stay."""

from converters.passes.layout.axis_order import NeededTranspose
from converters.passes.layout.nhwc import to_nhwc_with_reasons
from edge.artifact.manifest import Artifact
from edge.graph.importers.onnx.reader import read_onnx


def remaining_transposes(artifact: Artifact) -> tuple[NeededTranspose, ...]:
    """The Transposes of the layout pass, worked out again from the artifact's source file."""
    files = {file.path: file for file in artifact.manifest.files}
    source = "source.onnx" if "source.onnx" in files else "model.onnx"
    keeps = any(tensor.layout == "nchw" for tensor in files["model.tflite"].inputs)
    return to_nhwc_with_reasons(read_onnx(artifact.file(source)), keep_nchw_io=keeps)[1]
