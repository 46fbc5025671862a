"""A real classifier quantized by other tools, converted: `python -m tests.benchmarks.foreign_models ARTIFACT ...`.

ONNX Runtime quantizes the float ONNX file of an artifact in several ways; files that other tools wrote are given with
`--model`. Per file: top-1 of ONNX Runtime on the source and of LiteRT on the converted file, over the same photographs.
"""

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from converters.convert.calibration import Calibration, calibration_batches
from converters.convert.foreign import read_foreign
from converters.convert.options import ConvertOptions
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import open_artifact
from edge.data.model_classes import model_classes
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.engines.engine import open_session
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.execution.integer import IntegerSimulation
from edge.vision.preprocess import Preprocess
from tests.support.onnx_session import cpu_session

onnxruntime = onnxruntime_module()
quantization = import_module("onnxruntime.quantization")
SIMULATED_IMAGES = 16
Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]

QuantFormat, QuantType = quantization.QuantFormat, quantization.QuantType
UINT8 = {"activation_type": QuantType.QUInt8}
# what is printed -> how ONNX Runtime quantizes
WAYS: Mapping[str, Mapping[str, Any]] = {
    "QDQ, uint8 x int8, per channel": {"quant_format": QuantFormat.QDQ, **UINT8, "per_channel": True},
    "QDQ, int8 x int8, per tensor": {"quant_format": QuantFormat.QDQ, "activation_type": QuantType.QInt8},
    "QDQ, uint8 x uint8, per tensor": {"quant_format": QuantFormat.QDQ, **UINT8, "weight_type": QuantType.QUInt8},
    "QOperator, uint8 x int8, per channel": {"quant_format": QuantFormat.QOperator, **UINT8, "per_channel": True},
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One converted file. `differing`: values of LiteRT that are not those of the integer simulation."""

    source_top1: float
    file_top1: float
    agreement: float
    differing: int
    values: int
    dtype: str


Reader: Any = quantization.CalibrationDataReader


class Photographs(Reader):  # type: ignore[misc]
    """Calibration images one at a time, as ONNX Runtime asks for them."""

    def __init__(self, name: str, split: Split, preprocess: Preprocess) -> None:
        batches = calibration_batches(split, preprocess)
        self._images: Iterator[npt.NDArray[np.float32]] = (
            batch[k : k + 1] for batch in batches for k in range(len(batch))
        )
        self._name = name

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        """The next image by input name, None after the last."""
        image = next(self._images, None)
        return None if image is None else {self._name: image}


def compare(source: Path, split: Split, calibration: Split, preprocess: Preprocess) -> Row:
    """Convert a quantized ONNX file in memory and run both over a labelled split."""
    images = Calibration(split=calibration)
    graph = to_nhwc(read_foreign(source, ConvertOptions(calibration=images), preprocess=preprocess).graph)
    original = cpu_session(source)
    name = original.get_inputs()[0].name
    simulation = IntegerSimulation(graph)
    given = graph.tensors[graph.inputs[0]]
    assert given.quantization is not None
    scale, zero_point = given.quantization.scale[0], given.quantization.zero_point[0]
    limits = np.iinfo(given.dtype)
    right, same, differing, values, seen = [0, 0], 0, 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(tflite_bytes(graph))
        session = open_session("litert", path, threads=1, kernels="xnnpack")
        for batch in calibration_batches(split, preprocess):
            for image in batch:
                theirs = int(original.run(None, {name: image[None]})[0].reshape(-1).argmax())
                pixels = np.clip(np.rint(image.transpose(1, 2, 0)[None] / scale) + zero_point, limits.min, limits.max)
                output = session.run([pixels.astype(given.dtype)])[0]
                ours = int(output.reshape(-1).argmax())
                label = split.label(seen)
                right[0] += theirs == label
                right[1] += ours == label
                same += ours == theirs
                if seen < SIMULATED_IMAGES:
                    expected = simulation.run([pixels.astype(given.dtype)])[0]
                    differing += int(np.count_nonzero(expected != output))
                    values += output.size
                seen += 1
    return Row(
        source_top1=right[0] / seen,
        file_top1=right[1] / seen,
        agreement=same / seen,
        differing=differing,
        values=values,
        dtype=given.dtype,
    )


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--images", required=True, type=click.Path(path_type=Path))
@click.option("--calibration", required=True, type=click.Path(path_type=Path), help="Label file: the images it lists.")
@click.option("--test", required=True, type=click.Path(path_type=Path), help="Label file: the images it lists.")
@click.option("--write-inputs", type=click.Path(path_type=Path), help="Write every second calibration image, and stop.")
@click.option("--model", "models", multiple=True, type=click.Path(path_type=Path), help="A file another tool wrote.")
def main(
    artifact: Path, images: Path, calibration: Path, test: Path, write_inputs: Path | None, models: tuple[Path, ...]
) -> None:
    """Quantize, convert and compare."""
    logging.getLogger().setLevel(logging.ERROR)
    parent = open_artifact(artifact)
    preprocess, classes = parent.manifest.preprocess, model_classes(parent.manifest.labels)
    given = open_split(images=images, labels=calibration, classes=classes)
    split = open_split(images=images, labels=test, classes=classes)
    if write_inputs is not None:
        np.save(write_inputs, np.concatenate(list(calibration_batches(given, preprocess)))[::2])
        return
    table = Table(title=f"{len(split)} photographs, calibrated on {len(given)}", title_justify="left")
    for column in ("source", "top-1 ONNX Runtime", "top-1 LiteRT", "same answer", "file", "not as simulated"):
        table.add_column(column)
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        import_module("onnxruntime.quantization.shape_inference").quant_pre_process(
            str(parent.file("model.onnx")), str(prepared)
        )
        name = cpu_session(prepared).get_inputs()[0].name
        sources = {str(path): path for path in models}
        for index, (title, options) in enumerate(WAYS.items()):
            sources[title] = Path(folder) / f"{index}.onnx"
            images_of = Photographs(name, given, preprocess)
            quantization.quantize_static(str(prepared), str(sources[title]), images_of, **options)
        for title, source in sources.items():
            row = compare(source, split, given, preprocess)
            shares = [f"{100 * share:.2f} %" for share in (row.source_top1, row.file_top1, row.agreement)]
            table.add_row(title, *shares, row.dtype, f"{row.differing} of {row.values}")
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
