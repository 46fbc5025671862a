"""A card begun: what a model file says of itself is written, what it cannot say stands open and is refused until said.

A card with `FILL IN` in it is not read: nothing of preprocessing is guessed, and a person is told every such key.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from converters.packaging.card_lines import LEFT, line
from converters.packaging.finished_file import WAY_OUT
from converters.packaging.starter_detection import detector_lines
from converters.tflite.detection_postprocess import post_process_classes
from edge.errors import UsageError, printable
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph, Tensor
from edge.graph.importers.model_file import model_format, read_model
from edge.graph.importers.tflite.metadata import FileMetadata, read_metadata
from edge.graph.importers.tflite.metadata_schema import ENUMERATIONS

RGB = ENUMERATIONS["ColorSpaceType"]["RGB"]
PIXELS = 256
NEAR = 1.5  # quanta
# What images usually are for a network, by the least and largest value: mean and std that make them of pixels.
USUAL = (((-1.0, 1.0), "-1 to 1"), ((0.0, 1.0), "0 to 1"), ((0.0, 255.0), "0 to 255"))


def starter_card(path: Path, shapes: Mapping[str, tuple[int, ...]] | None = None) -> list[str]:
    """The lines of a card for a TFLite or ONNX file: TOML, with a remark behind every value that says whence it is.

    Read are sizes, types, scales and zero points, how the outputs end, and a TFLite file's metadata: labels,
    normalization, order of colours.

    Args:
        shapes: input name -> its shape, for sizes that an ONNX file leaves open.

    Raises:
        ModelFileError: no model file, or a damaged one.
        UsageError: a model that no card fits: several inputs, an input that is no colour image.
    """
    graph = read_model(path, batch=1, shapes=shapes)
    is_tflite = model_format(path) == "tflite"
    metadata = read_metadata(path) if is_tflite else None
    if len(graph.inputs) != 1:
        raise UsageError(f"{path}: {len(graph.inputs)} inputs; a card is for a model of one image; {WAY_OUT}")
    given = graph.tensors[graph.inputs[0]]
    height, width = _size(given, path)
    outputs = [graph.tensors[name] for name in graph.outputs]
    detector = detector_lines(graph, post_process_classes(path.read_bytes()) if is_tflite else None)
    return [
        f"# A card for {printable(path.name)}, begun with what the file says of itself. Whoever published the model",
        '# knows the rest: replace every "FILL IN"; until then the card is refused.',
        *(_head(graph, outputs) if detector is None else detector.head),
        "",
        "[preprocess]",
        _colour_order(metadata),
        f"height = {height}",
        f"width = {width}",
        line("interpolation", LEFT, '"bilinear" (most networks), "nearest" or "area"'),
        line("fit", LEFT, '"stretch" (the whole frame), "crop" (its middle: most classifiers) or "letterbox"'),
        line("crop_fraction", "1.0", 'with fit = "crop" the share of the short side that is seen, often 0.875'),
        *_normalization(given, metadata),
        "",
        "[labels]",
        *_labels(_class_count(graph) if detector is None else detector.classes, metadata),
        *(() if detector is None else ("", *detector.section)),
    ]


def _size(given: Tensor, path: Path) -> tuple[int, int]:
    shape = given.shape[1:] if len(given.shape) == 4 else given.shape
    if len(shape) == 3 and 3 in (shape[0], shape[2]) and given.shape[: len(given.shape) - 3] in ((), (1,)):
        return shape[:2] if shape[2] == 3 else shape[1:]
    raise UsageError(
        f"{path}: input '{given.name}' is {given.shape}, no colour image of (1, height, width, 3) or (1, 3, height, "
        f"width); {WAY_OUT}"
    )


def _head(graph: Graph, outputs: Sequence[Tensor]) -> list[str]:
    """The task, which output, and what its scores are, where the graph does not prove it."""
    shown = [
        f"{place} '{printable(tensor.name)}' {tensor.dtype} {tensor.shape}" for place, tensor in enumerate(outputs)
    ]
    if len(outputs) > 1:
        remark = f"a name, or a place without quotes: {', '.join(shown)}"
        return [line("task", LEFT, '"classify" or "segment"'), line("output", LEFT, remark)]
    proof = proof_of(graph, graph.outputs[0])
    wide = [size for size in outputs[0].shape if size > 1]
    task = "classify" if len(wide) < 2 else "segment" if len(wide) == 3 or proof.values == "class_map" else None
    ends = f"output {shown[0][2:]} ends in {printable(proof.ending)}"
    lines = [line("task", f'"{task}"' if task else LEFT, ends)]
    if proof.values is None:
        lines.append(line("values", LEFT, '"logits", "probabilities" or, of integers, "class_map"'))
        lines.append(line("scores", LEFT, '"exclusive" (one class wins) or "independent"; of a class map no such line'))
    return lines


def _colour_order(metadata: FileMetadata | None) -> str:
    for tensor in [] if metadata is None else metadata.tensors("input")[:1]:
        content = tensor.get("content", {}).get("content_properties", {}).get("ImageProperties", {})
        if content.get("color_space") == RGB:
            return line("colour_order", '"rgb"', "by the file's metadata")
    return line("colour_order", LEFT, '"rgb" (TensorFlow, Keras, torchvision) or "bgr" (Caffe, OpenCV)')


def _normalization(given: Tensor, metadata: FileMetadata | None) -> list[str]:
    """Mean and std: of integers that are the pixels themselves the zero point and 1 / scale; else the metadata's."""
    told = None if metadata is None else _three(metadata.normalization)
    pixels = _as_pixels(given)
    if pixels is not None and (told is None or _alike(told, pixels, given)):
        mean, std, remark = pixels
        return _two([mean] * 3, [std] * 3, remark)
    if told is not None:
        return _two(told[0], told[1], "by the file's metadata")
    if given.quantization is not None:
        low, high = _range(given)
        remark = f"the input holds {low:.4g} to {high:.4g} = (pixel - mean) / std, pixels 0 to 255"
    else:
        remark = "the input is (pixel - mean) / std, pixels 0 to 255; -1 to 1: 127.5, 127.5; 0 to 1: 0, 255"
    return [line("mean", LEFT, remark), line("std", LEFT, "three numbers each, as [127.5, 127.5, 127.5]")]


def _as_pixels(given: Tensor) -> tuple[float, float, str] | None:
    """Mean, std and a remark where the integers are the pixels (of int8: less 128): uint8, and usual ranges of int8."""
    if given.dtype == "uint8" and given.quantization is None:
        return 0.0, 1.0, "uint8 without a scale takes pixels as they are, whatever stands here"
    if given.quantization is None or given.dtype not in ("uint8", "int8"):
        return None
    scale, zero_point = float(given.quantization.scale[0]), int(given.quantization.zero_point[0])
    low, high = _range(given)
    usual = [name for ends, name in USUAL if max(abs(low - ends[0]), abs(high - ends[1])) <= NEAR * scale]
    if given.dtype == "int8" and not usual:
        return None
    shift = 128 if given.dtype == "int8" else 0
    remark = f"the zero point{' + 128' * bool(shift)} and 1 / scale: integers that are the pixels themselves"
    return (
        float(zero_point + shift),
        float(f"{1 / scale:.6g}"),
        f"{remark}{f', which hold {usual[0]}' if usual else ''}",
    )


def _range(given: Tensor) -> tuple[float, float]:
    quantization = given.quantization
    assert quantization is not None, given.name
    limits, zero_point = np.iinfo(given.dtype), int(quantization.zero_point[0])
    scale = float(quantization.scale[0])
    return (limits.min - zero_point) * scale, (limits.max - zero_point) * scale


def _three(told: tuple[list[float], list[float]] | None) -> tuple[list[float], list[float]] | None:
    """Mean and std per channel: one number stands for three; None where there are other numbers of them."""
    if told is None or not all(len(values) in (1, 3) and np.isfinite(values).all() for values in told):
        return None
    mean, std = (values * 3 if len(values) == 1 else values for values in told)
    return (mean, std) if min(std) > 0 else None


def _alike(told: tuple[list[float], list[float]], pixels: tuple[float, float, str], given: Tensor) -> bool:
    """Whether the metadata's numbers make the pixels themselves too, to a quantum or so."""
    if given.quantization is None:
        return True
    scale, ends = float(given.quantization.scale[0]), np.array([0.0, PIXELS - 1])
    return all(
        np.abs((ends - mean) / std - (ends - pixels[0]) / pixels[1]).max() <= NEAR * scale
        for mean, std in zip(*told, strict=True)
    )


def _two(mean: Sequence[float], std: Sequence[float], remark: str) -> list[str]:
    def listed(values: Sequence[float]) -> str:
        return f"[{', '.join(repr(float(f'{value:.6g}')) for value in values)}]"

    return [line("mean", listed(mean), remark), f"std = {listed(std)}"]


def _labels(count: int | None, metadata: FileMetadata | None) -> list[str]:
    """The metadata's names where they are as many as the scores; else how many are wanted."""
    names = [] if metadata is None else [name.strip() for name in metadata.labels]
    if names and all(names) and count in (None, len(names)):
        return ["names = [  # by the file's metadata", *(f"    {_toml(name)}," for name in names), "]"]
    wanted = "the names" if count is None else f"{count} names"
    extra = "; the first is the background" if count == 1001 else ""
    return [line("file", LEFT, f"a file beside this card: {wanted}, one a line, in the model's order{extra}")]


def _class_count(graph: Graph) -> int | None:
    if len(graph.outputs) > 1:
        return None
    operator, shape = graph.producer(graph.outputs[0]), graph.tensors[graph.outputs[0]].shape
    while operator is not None and operator.kind in ("Reshape", "Cast", "Transpose"):
        operator = graph.producer(operator.inputs[0])
    if operator is not None and operator.kind == "ArgMax":
        return int(graph.tensors[operator.inputs[0]].shape[operator.attributes["axis"]])
    return max(shape, default=1) if sum(size > 1 for size in shape) < 2 else None


def _toml(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
