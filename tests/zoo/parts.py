"""What the zoo holds: each part writes its files into the current folder, by the command line where a user would.

Sources, cards and recipes are written too and hashed like everything else: where one of them differs, what is made of
it cannot be equal. What is refused leaves its refusal as a file.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from converters.onnx.file import onnx_bytes
from converters.tflite.writer import tflite_bytes
from edge.execution.float_run import run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.model_file import read_model
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from tests.cases.ended import edge
from tests.cases.inputs import KEPT
from tests.support.heads import card, classifier, segmenter
from tests.support.onnx_models import written
from tests.support.preprocess_text import preprocess_text
from tests.support.shape_models import MAKERS
from tests.support.writer_cases import CASES, graph_of

HEADS = ("logits", "Softmax", "Sigmoid")
NAMES = ("a", "b", "c", "d")
RECIPE = (
    """
name = "{name}"
[model]
name = "{network}"
classes = 8
{arguments}
[data]
train = "generated:{task}:train:16"
val = "generated:{task}:val:8"
"""
    + preprocess_text("{height}", "{width}")
    + """[train]
epochs = 1
batch_size = 8
learning_rate = 0.05
[qat]
epochs = 1
batch_size = 8
learning_rate = 0.005
"""
)
# name -> (network, its arguments, task, size of the input)
OWN: Mapping[str, tuple[str, str, str, tuple[int, int]]] = MappingProxyType(
    {
        "v1": ("mobilenet_v1", "width = 0.25\nresolution = 32", "classify", (32, 32)),
        "v2": ("mobilenet_v2", "width = 0.25\nresolution = 32", "classify", (32, 32)),
        "scnn": ("fast_scnn", "resolution_hw = [64, 96]", "segment", (64, 96)),
        "v2_gct": ("mobilenet_v2", 'width = 0.25\nresolution = 32\nattention = "gct"', "classify", (32, 32)),
        "v2_cbam": ("mobilenet_v2", 'width = 0.25\nresolution = 32\nattention = "cbam"', "classify", (32, 32)),
        "v2_involution": (
            "mobilenet_v2",
            'width = 0.25\nresolution = 32\nattention = "involution"',
            "classify",
            (32, 32),
        ),
        "rednet": ("rednet", "width = 0.25\nresolution = 33", "classify", (33, 33)),
        "deeplab_v1": (
            "deeplab_mobilenet_v1",
            "width = 0.25\nresolution_hw = [64, 96]\noutput_stride = 8",
            "segment",
            (64, 96),
        ),
        "deeplab_v2": (
            "deeplab_mobilenet_v2",
            "width = 0.25\nresolution_hw = [65, 97]\npyramid = true",
            "segment",
            (65, 97),
        ),
    }
)
# weights of the test data -> (network, its arguments, task, size of the input)
PUBLISHED: Mapping[str, tuple[str, dict[str, Any], str, tuple[int, int]]] = MappingProxyType(
    {
        "mobilenet_v1_0.25_224": ("mobilenet_v1", {"width": 0.25, "classes": 1000}, "classify", (224, 224)),
        "mobilenet_v2_1.0_224": ("mobilenet_v2", {"classes": 1000}, "classify", (224, 224)),
        "fast_scnn_camvid_360x480_float": (
            "fast_scnn",
            {"classes": 11, "resolution_hw": (360, 480)},
            "segment",
            (360, 480),
        ),
    }
)
IMAGES = 8  # calibration images of a published network


def operators() -> None:
    """One TFLite file per operator the writer knows, float and int8, and one per ONNX operator whose shape varies."""
    for name, case in CASES.items():
        for form in ("float", "int8"):
            data = tflite_bytes(graph_of(case, quantized=form == "int8"))
            Path(f"{name.replace(' ', '_')}.{form}.tflite").write_bytes(data)
    for name, make in MAKERS.items():
        for seed in range(4):
            source = Path(f"{name}.{seed}.onnx")
            source.write_bytes(make(np.random.default_rng(seed)))
            _edge(f"{source.stem}.tflite", "convert", source, "-o", f"{source.stem}.tflite")


def kept() -> None:
    """The foreign files that lie beside the tests: looked at, and converted alone."""
    for path in sorted(KEPT.iterdir()):
        shutil.copy(path, path.name)
        _told(f"{path.name}.inspect.jsonl", "inspect", path.name, "--json")
        if path.suffix == ".onnx":
            _edge(f"{path.stem}.tflite", "convert", path.name, "-o", f"{path.stem}.tflite")


def heads() -> None:
    """Small foreign networks that end in a head of each kind, by their cards: float, int8, int16, and uint8 pixels."""
    for task, network in (("classify", classifier), ("segment", segmenter)):
        for end in HEADS:
            source = written(network(end, len(NAMES)), Path(f"{task}_{end}.onnx"))
            values = "logits" if end == "logits" else "probabilities"
            said = f'scores = "exclusive"\nvalues = "{values}"\n'
            described = card(Path(f"{source.stem}.toml"), task, NAMES, said)
            _convert(source, f"{source.stem}_float", described)
            _quantize(source, f"{source.stem}_int8", described, task)
            if end == "logits":
                _convert(source, f"{source.stem}_float16", described, "--weights", "float16")
                _quantize(source, f"{source.stem}_int16", described, task, "--activations", "int16")
                _quantize(source, f"{source.stem}_uint8", described, task, "--io", "uint8")


def foreign() -> None:
    """The same networks quantized by onnxruntime.quantization in several ways, converted."""
    ways = {
        f"{form.name}_{kind.name}_{'channel' if by_channel else 'tensor'}": (form, kind, by_channel)
        for form in (QuantFormat.QDQ, QuantFormat.QOperator)
        for kind in (QuantType.QInt8, QuantType.QUInt8)
        for by_channel in (True, False)
    }
    for task, network in (("classify", classifier), ("segment", segmenter)):
        described = card(Path(f"{task}.toml"), task, NAMES, 'scores = "exclusive"\n')
        source = written(network("logits", len(NAMES)), Path(f"{task}.onnx"))
        for name, (form, kind, by_channel) in ways.items():
            path = Path(f"{task}_{name}.onnx")
            quantize_static(
                source,
                path,
                _Noise(4),
                quant_format=form,
                per_channel=by_channel,
                activation_type=kind,
                weight_type=QuantType.QInt8,
            )
            _convert(path, path.stem, described)


def own(name: str) -> None:
    """One of our networks trained for two steps, float and with quantization, converted, quantized, verified, run."""
    network, arguments, task, (height, width) = OWN[name]
    text = RECIPE.format(name=name, network=network, arguments=arguments, task=task, height=height, width=width)
    Path(f"{name}.toml").write_text(text)
    edge("train", f"{name}.toml", "-o", name, "--threads", "1").done()
    _convert(Path(name, "float.safetensors"), f"{name}_float")
    _convert(Path(name, "qat.safetensors"), f"{name}_qat")
    calibration = ("--calibration", f"generated:{task}:train:8")
    _edge(
        f"{name}_ptq",
        "quantize",
        "--effort",
        "plain",
        Path(name, "float.safetensors"),
        *calibration,
        "-o",
        f"{name}_ptq",
    )
    for made in (f"{name}_float", f"{name}_qat", f"{name}_ptq"):
        _looked_at(made, f"generated:{task}:val:8")
    if task == "segment":
        for head in ("full_logits", "class_map", "full"):
            _convert(Path(name, "qat.safetensors"), f"{name}_{head}", None, "--head", head)


def published(test_data: Path) -> None:
    """Networks with published weights, quantized on photographs; official TFLite files read, looked at and run."""
    for name, (network, arguments, task, (height, width)) in PUBLISHED.items():
        model = build(network, **arguments).eval()
        load_pretrained(model, test_data / "models" / f"{name}.safetensors")
        source = Path(f"{name}.onnx")
        source.write_bytes(onnx_bytes(float_graph(model, torch.zeros(1, 3, height, width))))
        described = card(Path(f"{name}.toml"), task, tuple(f"class {k}" for k in range(arguments["classes"])))
        text = described.read_text().replace("height = 32", f"height = {height}")
        described.write_text(text.replace("width = 32", f"width = {width}"))
        folder = test_data / ("camvid/val" if task == "segment" else "imagenet_samples/dev")
        images = ("--images", folder, "-n", IMAGES)
        _edge(
            f"{name}_int8",
            "quantize",
            source,
            "--effort",
            "plain",
            "--card",
            described,
            *images,
            "--no-verify",
            "-o",
            f"{name}_int8",
        )
    for path in sorted((test_data / "models").glob("*.tflite")):
        _told(f"{path.stem}.inspect.jsonl", "inspect", path, "--json")
        graph = read_model(path)
        np.savez(f"{path.stem}.npz", *_outputs(graph))


def _outputs(graph: Graph) -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    given = graph.tensors[graph.inputs[0]]
    if given.quantization is None:
        return list(run_float(graph, [rng.normal(size=given.shape).astype(np.float32)]))
    limits = np.iinfo(given.dtype)
    return IntegerSimulation(graph).run([rng.integers(limits.min, limits.max + 1, given.shape).astype(given.dtype)])


class _Noise(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is without types
    """A few images of noise for onnxruntime's own calibration."""

    def __init__(self, count: int) -> None:
        rng = np.random.default_rng(0)
        self._images: Iterator[np.ndarray[Any, Any]] = iter(rng.normal(size=(count, 1, 3, 32, 32)).astype(np.float32))

    def get_next(self) -> dict[str, Any] | None:
        """One image, or None after the last."""
        image = next(self._images, None)
        return None if image is None else {"x": image}


def _convert(source: Path, out: str, described: Path | None = None, *words: str) -> None:
    said = () if described is None else ("--card", described)
    _edge(out, "convert", source, *said, *words, "--no-verify", "-o", out)


def _quantize(source: Path, out: str, described: Path, task: str, *words: str) -> None:
    images = ("--calibration", f"generated:{task}:train:8")
    _edge(out, "quantize", source, "--effort", "plain", "--card", described, *images, *words, "--no-verify", "-o", out)


def _looked_at(artifact: str, split: str) -> None:
    """What the verbs say of an artifact and of its files, and what its camera sees."""
    _told(f"{artifact}.eval.jsonl", "eval", artifact, "--split", split, "--json")
    _told(f"{artifact}.verify.jsonl", "verify", artifact, "--split", split, "--json")
    for path in Path(artifact).glob("*.*[xe]"):
        _told(f"{artifact}.{path.name}.inspect.jsonl", "inspect", path, "--json")
    _told(f"{artifact}.camera.jsonl", "camera", artifact, "--source", split, "--json")


def _edge(out: str, *words: object) -> None:
    ended = edge(*(str(word) for word in words))
    if ended.status not in (0, 1) or not Path(out).exists():
        Path(f"{out}.refused.txt").write_text(_anywhere(f"{ended.status}\n{ended.err}"))


def _told(out: str, *words: object) -> None:
    ended = edge(*(str(word) for word in words))
    said = ended.out if ended.status in (0, 1) and ended.out else f"{json.dumps(ended.err)}\n"
    Path(out).write_text(_anywhere(said))


def _anywhere(said: str) -> str:
    """Without the folder that the part is written into."""
    return said.replace(str(Path.cwd()), ".")


def parts(test_data: Path | None) -> dict[str, Callable[[], None]]:
    """Every part by its name; those of the test data only where it is."""
    found: dict[str, Callable[[], None]] = {
        "operators": operators,
        "kept": kept,
        "heads": heads,
        "foreign": foreign,
        **{name: partial(own, name) for name in OWN},
    }
    return found if test_data is None else found | {"published": partial(published, test_data)}


SMALL = ("operators", "kept")
