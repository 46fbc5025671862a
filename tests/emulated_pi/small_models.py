"""Two small INT8 artifacts with generated weights, to count instructions of.

    python tests/emulated_pi/small_models.py FOLDER

Weights come from a fixed seed, batch norm and ranges from generated images: the same networks on every machine, with
the operators, shapes and padding of the trained ones.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from converters.convert.build import build_artifact
from converters.onnx.file import onnx_bytes
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo, file_sha256
from edge.artifact.model_file import Labels
from edge.artifact.scheme import INT8_SCHEME, input_range
from edge.data.generated import generated_split
from edge.graph.graph import Graph
from edge.graph.passes.fuse_activations import fuse_activations
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.quantization.quantize_graph import quantize_graph
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess

IMAGES = 4
# name -> (task, size of the input, model, its arguments)
SMALL: dict[str, tuple[str, tuple[int, int], str, dict[str, Any]]] = {
    "small_mobilenet_v2": ("classify", (96, 96), "mobilenet_v2", {"width": 0.35, "resolution": 96}),
    "small_fast_scnn": ("segment", (96, 128), "fast_scnn", {"resolution_hw": (96, 128)}),
}


def coarse(graph: Graph, calibrated: Graph) -> Graph:
    """The float graph quantized by the calibrated scales, rounded to 12 bits.

    How a sum is written for ONNX Runtime depends on the last bit of its scales, and that bit on the machine's threads.
    """
    parameters = {}
    for tensor in calibrated.tensors.values():
        if tensor.data is None and tensor.quantization is not None:
            fraction, exponent = np.frexp(tensor.quantization.scale[0])
            scale = np.float32(np.ldexp(np.round(fraction * 4096) / 4096, exponent))
            parameters[tensor.name] = (scale, int(tensor.quantization.zero_point[0]))
    return quantize_graph(fuse_activations(graph), parameters, INT8_SCHEME)


def small_model(name: str, root: Path, **changes: Any) -> Artifact:
    """Write the artifact `root / name`; `changes` replace arguments of the model's builder."""
    task, size_hw, model_name, arguments = SMALL[name]
    preprocess = Preprocess(
        colour_order="rgb",
        height=size_hw[0],
        width=size_hw[1],
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )
    split = generated_split(task, "calibration", IMAGES)
    pixels = np.stack([resize(split.image(index), preprocess) for index in range(IMAGES)])
    x = np.ascontiguousarray(normalize(pixels, preprocess).transpose(0, 3, 1, 2))
    torch.manual_seed(0)
    model = build(model_name, classes=len(split.classes), **{**arguments, **changes}).train()
    with torch.no_grad():
        for _ in range(15):
            model(torch.from_numpy(x))
    graph = float_graph(model.eval(), torch.from_numpy(x[:1]))
    parent = root / f"{name}.onnx"
    parent.write_bytes(onnx_bytes(graph))
    graph = coarse(
        graph, calibrate(graph, [x], estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    )
    folder = root / name
    description = Description(
        name=name,
        task=task,  # type: ignore[arg-type]
        head="logits" if task == "segment" else None,
        preprocess=preprocess,
        labels=Labels(names=split.classes, palette=split.palette or None, ignore_index=split.ignore_index),
        quantization=QuantizationInfo(method="ptq"),
        provenance=provenance(source=parent, folder=folder, parent=parent, parent_sha256=file_sha256(parent)),
    )
    return build_artifact(graph, description, folder, images=pixels[:1])


if __name__ == "__main__":
    made = Path(sys.argv[1])
    made.mkdir(parents=True, exist_ok=True)
    for small in SMALL:
        sys.stdout.write(f"{small_model(small, made).folder}\n")
