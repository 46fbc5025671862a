"""Post-training quantization beside other people's tools: one float network, one set of photographs, everybody's files.

    python -m tests.benchmarks.ptq_peers $EDGE_TEST_DATA -o runs/ptq_peers

100 of the 500 development photographs are for calibration, without labels (the first draw of `tests.benchmarks.ptq`);
the files are tested on the other 400. Every tool runs in an environment of its own (`make peers` makes them) on one
processor, its imports included; it reads the same float network as ONNX or TFLite, and the photographs as normalized
arrays. `edge quantize` reads the photographs themselves. Its own verification is left out (`--no-verify`): nobody else
verifies. Files of one format are timed in turn in one process.

What is done is kept in FOLDER/NETWORK/ROW/row.json and not made again; the times of files are always taken anew.
`--rows edge-fast,edge-default --again` makes these two anew beside the others as they are kept.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from converters.onnx.file import onnx_bytes
from converters.onnx2tf.isolated import bare_environment
from converters.passes.canonical import canonical
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.data.image_folder import image_folder
from edge.data.splits import Split
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.errors import EdgeError, UsageError, unknown_name
from edge.files import atomic
from edge.graph.graph import Graph
from edge.models.pretrained import load_pretrained
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph
from edge.vision.pixels import normalize, resize
from edge.vision.preprocess import Preprocess
from tests.benchmarks import child_usage
from tests.benchmarks.ptq import CALIBRATION, NETWORKS, preprocess_of
from tests.benchmarks.ptq_peers_files import (
    Photographs,
    answers,
    inputs_of,
    measured_file,
    medians_ns,
    open_file,
    simulated,
)
from tests.benchmarks.ptq_peers_table import lines
from tests.benchmarks.ptq_peers_tools import TOOLS, Tool

RESULT = "row.json"
FLOAT = "float"
DEFAULT_NETWORKS = ("mobilenet_v1_0.25_224", "mobilenet_v2_1.0_224")
# One thread for everybody; and what keeps a tool from reporting to its publisher.
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
SILENT = {"NNCF_CI": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True, kw_only=True)
class Given:
    """What every tool is given, and what its files are tested with.

    Attributes:
        folder: holds what `ptq_peers_tools` says.
        expected: the float network's logits of the tested photographs, (n, classes).
    """

    folder: Path
    tested: Photographs
    expected: Any


def network_graph(data: Path, weights: str) -> Graph:
    """The float network, batch norm folded."""
    name, width, size = NETWORKS[weights]
    module = build(name, classes=1000, width=width, resolution=size)
    load_pretrained(module, data / "models" / f"{weights}.safetensors")
    return canonical(float_graph(module.eval(), torch.zeros(1, 3, size, size)))


def card_text(preprocess: Preprocess) -> str:
    """The card of the float ONNX file."""
    keys = preprocess.model_dump(mode="json")
    section = "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
    return f'task = "classify"\n\n[preprocess]\n{section}\n[labels]\nfile = "labels.txt"\n'


def prepare(
    folder: Path, graph: Graph, photographs: Path, split: Split, preprocess: Preprocess, chosen: Sequence[int]
) -> Given:
    """Write what every tool is given; the float network's logits come from ONNX Runtime.

    Args:
        photographs: the folder of the split's images.
        chosen: those for calibration; all others are tested on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(folder / "float.onnx", onnx_bytes(graph))
    atomic.write_bytes(folder / "float.tflite", tflite_bytes(to_nhwc(graph)))
    atomic.write_text(folder / "card.toml", card_text(preprocess))
    classes = graph.tensors[graph.outputs[0]].shape[1]
    atomic.write_text(folder / "labels.txt", "".join(f"class {index}\n" for index in range(classes)))
    listed = "".join(f"{split.samples[index].name}\t{split.samples[index].target}\n" for index in chosen)
    atomic.write_text(folder / "calibration.tsv", listed)
    link = folder / "photographs"
    link.unlink(missing_ok=True)
    link.symlink_to(photographs.resolve(), target_is_directory=True)
    pixels = np.stack([resize(split.image(index), preprocess) for index in range(len(split))])
    images = normalize(pixels[list(chosen)], preprocess)
    np.save(folder / "nhwc.npy", images)
    for layout, arranged in (("nhwc", images), ("nchw", images.transpose(0, 3, 1, 2))):
        (folder / layout).mkdir(exist_ok=True)
        for place, image in enumerate(arranged):
            np.save(folder / layout / f"{place:04}.npy", np.ascontiguousarray(image[None]))
    others = sorted(set(range(len(split))) - set(chosen))
    tested = Photographs(
        pixels=pixels[others], labels=np.array([split.label(index) for index in others]), preprocess=preprocess
    )
    session = open_file(folder / "float.onnx")
    expected = answers(session, inputs_of(folder / "float.onnx", session.inputs[0], tested, None))
    return Given(folder=folder, tested=tested, expected=expected)


def float_row(given: Given) -> dict[str, Any]:
    """The float network as both files; kept too."""
    kept = given.folder / FLOAT / RESULT
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    kept.parent.mkdir(exist_ok=True)
    files = {
        kind: measured_file(given.folder / f"float.{kind}", given.expected, given.tested) for kind in ("tflite", "onnx")
    }
    usage = {"cpu_seconds": None, "peak_bytes": None}
    found = {"row": FLOAT, "named": "float", "ours": False, "files": files, **usage}
    atomic.write_text(kept, json.dumps(found, indent=1) + "\n")
    return found


def measure(row: str, given: Given, rounds: int) -> dict[str, Any]:
    """Quantize by a tool and test its files: a row as `ptq_peers_table.lines` takes it. A row that is kept stays.

    Raises:
        EdgeError: its environment is not there, or it failed; with its last words.
    """
    tool, folder = TOOLS[row], given.folder / row
    kept = folder / RESULT
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    if not tool.python.is_file():
        raise EdgeError(f"no environment here: `make peers` makes it ({tool.python})")
    used: list[dict[str, float]] = []
    for _ in range(rounds):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        used.append(_run(tool, folder))
    artifact = folder / "artifact" if tool.promise == "simulation" else None
    promised = None if artifact is None else simulated(artifact, given.tested)
    files = {
        kind: measured_file(
            folder / name, given.expected, given.tested, literally=tool.promise == "graph", artifact=artifact,
            promised=promised,
        )
        for kind, name in tool.writes.items()
    }  # fmt: skip
    found = {
        "row": row,
        "named": f"{'edge quantize' if tool.package is None else f'{tool.package} {_version(tool)}'}, {tool.named}",
        "ours": tool.package is None,
        "files": files,
        "cpu_seconds": min(one["cpu_seconds"] for one in used),
        "wall_seconds": min(one["wall_seconds"] for one in used),
        "peak_bytes": max(one["peak_bytes"] for one in used),
    }
    atomic.write_text(kept, json.dumps(found, indent=1) + "\n")
    return found


def _run(tool: Tool, folder: Path) -> dict[str, float]:
    """Run a tool in its folder, its words in log.txt there; what it used. Refuses (EdgeError) another exit code."""
    for name, text in tool.needs.items():
        (folder / name).write_text(text, encoding="utf-8")
    blas = {name: value for name, value in os.environ.items() if name.startswith("OPENBLAS")}
    environment = {**bare_environment(folder), **blas, **dict.fromkeys(ONE_THREAD, "1"), **SILENT}
    command = [THIS_PYTHON, "-I", "-S", str(child_usage.__file__), "usage.json", *tool.command(str(tool.python))]
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT, check=False)
    missing = [name for name in tool.writes.values() if not (folder / name).is_file()]
    if done.returncode or missing:
        told = [text for text in (folder / "log.txt").read_text(errors="replace").splitlines() if text.strip()]
        last = " ".join(told[-1].split())[:300] if told else f"exit code {done.returncode}, without a word"
        raise EdgeError(last if done.returncode else f"wrote no {', '.join(missing)}; its last words: {last}")
    return dict(json.loads((folder / "usage.json").read_text()))


def _version(tool: Tool) -> str:
    assert tool.package is not None
    if tool.environment is None:
        return version(tool.package)
    code = f"from importlib.metadata import version; print(version({tool.package!r}))"
    command = [str(tool.python), *code_arguments(code)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def timed(given: Given, rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """The median times of all files, by `row.format`; those of one format in turn."""
    found: dict[str, int] = {}
    for kind in ("tflite", "onnx"):
        files: dict[str, tuple[Path, Path | None]] = {}
        for row in (row for row in rows if kind in row.get("files", ())):
            folder = given.folder / row["row"]
            if row["row"] == FLOAT:
                files[f"{FLOAT}.{kind}"] = given.folder / f"float.{kind}", None
            else:
                artifact = folder / "artifact" if row["ours"] else None
                files[f"{row['row']}.{kind}"] = folder / TOOLS[row["row"]].writes[kind], artifact
        found |= medians_ns(files, given.tested)
    return found


def table(given: Given, chosen: Sequence[str], *, again: bool, rounds: int) -> tuple[list[str], bool]:
    """Make the chosen rows, take the others as kept, and time all files; the lines, and whether all is there."""
    rows: list[dict[str, Any]] = [float_row(given)]
    whole = True
    for row in TOOLS:
        kept = given.folder / row / RESULT
        if again and row in chosen:
            kept.unlink(missing_ok=True)
        if row not in chosen and not kept.is_file():
            continue
        print(f"{given.folder.name}: {row}", file=sys.stderr, flush=True)
        try:
            rows.append(measure(row, given, rounds))
        except EdgeError as error:
            whole = False
            rows.append({"row": row, "named": row, "ours": TOOLS[row].package is None, "failed": str(error)})
    times = timed(given, rows)
    atomic.write_text(given.folder / "table.json", json.dumps({"rows": rows, "p50_ns": times}, indent=1) + "\n")
    return lines(rows, times), whole


def chosen_rows(text: str | None) -> list[str]:
    """Rows by name with commas between; all if omitted. Refuses (UsageError) an unknown one."""
    names = list(TOOLS) if text is None else text.split(",")
    for name in names:
        if name not in TOOLS:
            raise UsageError(f"--rows: {unknown_name('row', name, TOOLS)}")
    return names


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.option("-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="What is done stays here.")
@click.option("--network", "networks", type=click.Choice(list(NETWORKS)), multiple=True, default=DEFAULT_NETWORKS)
@click.option("--rows", help="These alone, a comma between: " + ", ".join(TOOLS))
@click.option("--again", is_flag=True, help="Make the rows anew although they are kept.")
@click.option("--rounds", type=click.IntRange(1), default=1, show_default=True, help="The fewest seconds of so many.")
def main(data: Path, folder: Path, networks: Sequence[str], rows: str | None, again: bool, rounds: int) -> None:
    """Print the tables as Markdown; exit code 1 where a tool failed."""
    torch.set_num_threads(1)
    photographs = data / "imagenet_samples" / "dev"
    split = image_folder(photographs, data / "imagenet_samples" / "dev_labels.txt")
    order = [int(index) for index in np.random.default_rng(0).permutation(len(split))]
    whole = True
    try:
        chosen = chosen_rows(rows)
        for network in networks:
            given = prepare(
                folder / network, network_graph(data, network), photographs, split,
                preprocess_of(NETWORKS[network][2]), order[:CALIBRATION],
            )  # fmt: skip
            printed, complete = table(given, chosen, again=again, rounds=rounds)
            whole = whole and complete
            click.echo(f"\n{network}:\n\n" + "\n".join(printed), nl=True)
    except EdgeError as error:
        sys.exit(str(error))
    sys.exit(int(not whole))


if __name__ == "__main__":
    main()
