"""The gates of whatever a user names: a float or QAT checkpoint, or an artifact."""

from dataclasses import dataclass
from pathlib import Path

from edge.artifact.manifest import open_artifact
from edge.errors import UsageError
from edge.explain.gates import ChannelGates, SpatialGates, channel_gates, spatial_gates
from edge.explain.network import Network, network_of_checkpoint
from edge.files.bounded_file import is_dir
from edge.graph.importers.onnx.reader import read_onnx
from edge.vision.pixels import Pixels, resize


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What the gates of a network are, and on one image do."""

    channels: tuple[ChannelGates, ...]
    positions: tuple[SpatialGates, ...]


def open_gated(path: Path) -> Network:
    """Open a checkpoint or an artifact. Refuses (UsageError) an artifact without an ONNX file."""
    if is_dir(path):
        artifact = open_artifact(path)
        files = sorted(artifact.manifest.files, key=lambda file: file.role != "source")
        file = next((file for file in files if file.format == "onnx"), None)
        if file is None:
            raise UsageError(
                f"{path}: has no gates or kernels to read: they are those of a network of this product with attention, "
                "its checkpoint or the artifact converted from it (`edge train --set model.attention=gct`, `cbam` or "
                "`involution`); this artifact has no ONNX file"
            )
        return Network(graph=read_onnx(artifact.read(file.path), batch=1), preprocess=artifact.manifest.preprocess)
    return network_of_checkpoint(path)


def gates_on(gated: Network, frame: Pixels) -> Gates:
    """The gates on a photograph, RGB uint8 (h, w, 3). An empty result: the network has none that are known."""
    image = gated.input(resize(frame, gated.preprocess))
    return Gates(channels=channel_gates(gated.graph), positions=spatial_gates(gated.graph, image))
