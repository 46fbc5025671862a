"""Small artifacts of a classifier and a segmenter, float and INT8, with a labelled folder of images each."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from converters.convert.build import build_artifact
from converters.onnx.file import onnx_bytes
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from edge.artifact.manifest import Artifact, QuantizationInfo, file_sha256
from edge.artifact.model_file import Labels
from edge.artifact.scheme import input_range
from edge.data.generated import generated_split
from edge.data.splits import Split
from edge.graph.graph import Graph
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import normalize, normalize_table, resize
from edge.vision.preprocess import Preprocess

SIZES = {"classify": (32, 32), "segment": (64, 96)}


def preprocess_for(task: str) -> Preprocess:
    """[-1, 1], the whole frame."""
    height, width = SIZES[task]
    return Preprocess(
        colour_order="rgb",
        height=height,
        width=width,
        interpolation="bilinear",
        fit="stretch",
        crop_fraction=1.0,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
    )


def inputs(split: Split, preprocess: Preprocess, count: int) -> np.ndarray:
    """float32 NCHW."""
    pixels = np.stack([resize(split.image(index), preprocess) for index in range(count)])
    return np.ascontiguousarray(normalize(pixels, preprocess).transpose(0, 3, 1, 2))


def network(task: str, split: Split, preprocess: Preprocess) -> Graph:
    """A float network whose batch norm has seen some images."""
    torch.manual_seed(0)
    classes = len(split.classes)
    size_hw = SIZES[task]
    if task == "classify":
        model = build("mobilenet_v2", classes=classes, width=0.35, resolution=size_hw[0]).train()
    else:
        model = build("fast_scnn", classes=classes, resolution_hw=size_hw).train()
    x = torch.from_numpy(inputs(split, preprocess, 8))
    with torch.no_grad():
        for _ in range(15):
            model(x)
    return float_graph(model.eval(), x[:1])


@pytest.fixture(scope="session")
def splits() -> dict[str, Split]:
    """A few generated images per task."""
    return {task: generated_split(task, "val", 8) for task in SIZES}


@pytest.fixture(scope="session")
def make(
    tmp_path_factory: pytest.TempPathFactory, splits: dict[str, Split]
) -> Iterator[Callable[[str, str], Artifact]]:
    """Build (once) the artifact of a task (`classify`, `segment`) and precision (`int8`, `float32`)."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("artifacts")
    made: dict[tuple[str, str], Artifact] = {}

    def artifact(task: str, precision: str) -> Artifact:
        if (task, precision) not in made:
            made[task, precision] = _build(root, task, precision, splits[task])
        return made[task, precision]

    yield artifact
    torch.set_num_threads(threads)


def _build(root: Path, task: str, precision: str, split: Split) -> Artifact:
    preprocess = preprocess_for(task)
    graph = network(task, split, preprocess)
    parent = root / f"{task}.onnx"
    if not parent.exists():
        parent.write_bytes(onnx_bytes(graph))
    if precision == "int8":
        images = inputs(split, preprocess, 8)
        graph = calibrate(graph, [images], estimator="minmax", input_range=input_range(normalize_table(preprocess)))
    folder = root / f"{task}_{precision}"
    description = Description(
        name=f"{task}_{precision}",
        task=task,  # type: ignore[arg-type]
        head="logits" if task == "segment" else None,
        preprocess=preprocess,
        labels=Labels(names=split.classes, palette=split.palette or None, ignore_index=split.ignore_index),
        quantization=QuantizationInfo(method="ptq" if precision == "int8" else "none"),
        provenance=provenance(source=parent, folder=folder, parent=parent, parent_sha256=file_sha256(parent)),
    )
    pixels = np.stack([resize(split.image(index), preprocess) for index in range(2)])
    return build_artifact(graph, description, folder, images=pixels)


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
