"""Healthy models before `edge doctor`: every network of `edge models`, official files, networks of others.

None may be called sick. Networks without trained weights are examined as files, without images: they are at chance.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from converters.onnx.file import onnx_bytes
from edge.cli.models import GRID
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from edge.terminal import say
from tests.cases.ended import edge
from tests.support.sick_models import IMAGENET, official

SIZES = {"0.25_128": 128, "0.5_160": 160, "0.75_192": 192}
STREET = "fast_scnn_camvid_360x480_float.safetensors"


@dataclass(frozen=True, kw_only=True)
class Healthy:
    """A model, what it is called in the table, and the words behind `edge doctor`."""

    name: str
    given: str
    words: Sequence[str]


def healthy_models(folder: Path, data: Path, networks: Path | None) -> Iterator[Healthy]:
    """Every one, written into a folder where it is not a file already.

    Args:
        data: the test data. networks: ONNX files of others (`python -m tests.benchmarks.others_networks`).
    """
    yield from _own(folder)
    models, images = data / "models", ["--images", str(data / IMAGENET), "-n", "32"]
    for path in sorted(models.glob("*.tflite")):
        yield Healthy(name=path.stem, given="file", words=[str(path)])
        if path.stem.startswith(("mobilenet_v", "tf2_mobilenet_v")):
            size = next((size for part, size in SIZES.items() if part in path.stem), 224)
            fed = official(folder, size=size)
            yield Healthy(name=path.stem, given="card, 32 photographs", words=[str(path), *fed, *images])
    for part in ("train", "val"):
        words = [str(models / STREET), "--calibration", f"camvid:{data / 'camvid'}:{part}", "-n", "16"]
        yield Healthy(name="fast_scnn of CamVid", given=f"16 streets of {part}", words=words)
    for path in sorted(networks.glob("*.onnx")) if networks is not None else []:
        yield Healthy(name=f"{path.stem} (pytorchcv)", given="file", words=[str(path)])


def _own(folder: Path) -> Iterator[Healthy]:
    """The networks of `edge models`, each at the smallest of its sizes there."""
    smallest: dict[str, tuple[str, dict[str, Any]]] = {}
    for name, arguments in GRID:
        of_structure = {key: value for key, value in arguments.items() if not key.startswith("resolution")}
        said = " ".join([name, *(f"{key}={value}" for key, value in of_structure.items() if key != "classes")])
        if said not in smallest or _pixels(arguments) < _pixels(smallest[said][1]):
            smallest[said] = name, arguments
    for index, (said, (name, arguments)) in enumerate(smallest.items()):
        torch.manual_seed(0)
        module = build(name, **arguments).eval()
        shape: Any = module.input_shape
        path = folder / f"own_{index}.onnx"
        path.write_bytes(onnx_bytes(float_graph(module, torch.zeros(shape))))
        yield Healthy(name=said, given="file", words=[str(path)])


def _pixels(arguments: Mapping[str, Any]) -> int:
    sizes = arguments.get("resolution_hw") or [arguments["resolution"]] * 2
    return int(sizes[0]) * int(sizes[1])


def print_healthy(data: Path, networks: Path | None) -> int:
    """Print the table; how many are called sick."""
    say("| model | given | judged | sick |", "| --- | --- | --- | --- |")
    called = 0
    with tempfile.TemporaryDirectory() as folder:
        for model in healthy_models(Path(folder), data, networks):
            rows = [json.loads(line) for line in edge("doctor", *model.words, "--json").out.splitlines()]
            if not rows or rows[-1]["row"] != "diagnosis":
                say(f"| {model.name} | {model.given} | none | {rows[-1]['error'] if rows else 'no answer'} |")
                called += 1
                continue
            named, judged = rows[-1]["sick"], len(rows[-1]["sick"]) + len(rows[-1]["healthy"])
            called += bool(named)
            say(f"| {model.name} | {model.given} | {judged} of {len(rows) - 1} | {', '.join(named) or 'none'} |")
    return called
