"""The whole road on generated images: train, convert, verify, measure, draw. `make demo` runs it.

Every step is a command that a user could type; this script prints it, runs it, and puts the figures in one table. Two
steps run at once, each on one thread: networks this small train no faster on two.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.evaluation.baseline import linear_on_pixels, majority_class, mean_mask_score
from edge.evaluation.box_baseline import other_half_boxes
from edge.evaluation.detection import detection_figures

OUT = Path("demo_out")
EDGE = [THIS_PYTHON, *code_arguments("from edge.__main__ import run; run()")]
LARGEST_DROP = 0.01
AT_ONCE = 2
# network -> task of the generated set, metric
NETWORKS = {
    "mobilenet_v2": ("classify", "top1"),
    "fast_scnn": ("segment", "miou"),
    "mobilenet_v2_ssdlite": ("detect", "ap50"),
}
# what `edge train` is told beside the recipe's name: less training than the recipe's own, and from which classifier
TOLD: Mapping[str, tuple[str | Path, ...]] = {
    "mobilenet_v2": (
        *("--set", "data.train=generated:classify:train:2500"),
        *("--set", "train.epochs=4", "--set", "train.eval_epochs=4"),
    ),
    "fast_scnn": ("--set", "train.epochs=10", "--set", "train.eval_epochs=10"),
    "mobilenet_v2_ssdlite": (
        *("--data-root", OUT, "--set", "data.train=generated:detect:train:560"),
        *("--set", "train.epochs=7", "--set", "train.eval_epochs=7"),
    ),
}
# task -> what the camera is shown
CAMERA = {
    "classify": "calibration_data/classify/images",
    "segment": "calibration_data/segment/images",
    "detect": "generated:detect:val:16",
}


def run(name: str, *words: str | Path, read_json: bool = False) -> list[dict[str, Any]]:
    """Print and run one `edge` command for a network; with `read_json`, read its JSON lines.

    Lines of networks that run at once are told apart by the name before them. The demo ends where a command fails.
    """
    arguments = [str(word) for word in words]
    print(f"{name} | $ edge {shlex.join(arguments)}", flush=True)
    errors = None if read_json else subprocess.STDOUT
    command, environment = [*EDGE, *arguments], {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=environment) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if not read_json:
                print(f"{name} | {line}", end="", flush=True)
    if process.returncode != 0:
        print("".join(lines) if read_json else "")
        sys.exit(f"demo: {name}: edge {arguments[0]} ended with {process.returncode}")
    return [json.loads(line) for line in lines] if read_json else []


def train(name: str, phase: str = "all") -> None:
    """Train one network by its recipe for the generated set."""
    run(name, "train", f"{name}_generated", "-o", OUT / name, "--threads", "1", "--phase", phase, *TOLD[name])


def judge_float(name: str) -> dict[str, Any]:
    """Convert a float checkpoint; its accuracy on the validation split, and the baselines'."""
    run(name, "convert", OUT / name / "float.safetensors", "-o", OUT / f"{name}_float", "--no-verify")
    return {"float": accuracy(name, "float"), **baselines(NETWORKS[name][0])}


def judge_int8(name: str) -> dict[str, Any]:
    """Convert a checkpoint trained with quantization; its accuracy on the whole split, its fidelity, pictures."""
    run(name, "convert", OUT / name / "qat.safetensors", "-o", OUT / f"{name}_int8", "--no-verify")
    split = f"generated:{NETWORKS[name][0]}:val"
    findings = run(name, "verify", OUT / f"{name}_int8", "--split", split, "--json", read_json=True)
    exact = next(line for line in findings if line.get("check") == "end to end" and "litert" in line["subject"])
    fidelity = {"differing": exact["differing"], "values": exact["values"], "verdict": findings[-1]["verdict"]}
    figures = {"int8": accuracy(name, "int8"), **fidelity}
    source = CAMERA[NETWORKS[name][0]]
    run(name, "camera", OUT / f"{name}_int8", "--source", source, "--out", OUT / f"{name}_overlay")
    return figures


def accuracy(name: str, precision: str) -> float:
    """An artifact's accuracy on the validation split."""
    task, metric = NETWORKS[name]
    split = f"generated:{task}:val"
    (line,) = run(name, "eval", OUT / f"{name}_{precision}", "--split", split, "--json", read_json=True)
    return float(line[metric])


JUDGES = (judge_int8, judge_float)
# step -> what it does, the steps that it needs; of those that could begin, the first here begins
STEPS: Mapping[str, tuple[Callable[[], dict[str, Any] | None], tuple[str, ...]]] = {
    "mobilenet_v2 float": (partial(train, "mobilenet_v2", "float"), ()),
    "fast_scnn": (partial(train, "fast_scnn"), ()),
    "mobilenet_v2_ssdlite": (partial(train, "mobilenet_v2_ssdlite"), ("mobilenet_v2 float",)),
    "mobilenet_v2": (partial(train, "mobilenet_v2", "qat"), ("mobilenet_v2 float",)),
    **{f"{name} {judge.__name__}": (partial(judge, name), (name,)) for name in reversed(NETWORKS) for judge in JUDGES},
}


def take_steps() -> dict[str, dict[str, Any]]:
    """Take all steps, `AT_ONCE` at a time; the figures of each network."""
    order = list(STEPS)
    waiting = TopologicalSorter({step: needs for step, (_, needs) in STEPS.items()})
    waiting.prepare()
    ready: list[str] = []
    running: dict[Future[dict[str, Any] | None], str] = {}
    figures: dict[str, dict[str, Any]] = {name: {} for name in NETWORKS}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while waiting.is_active():
            ready = sorted([*ready, *waiting.get_ready()], key=order.index)
            while ready and len(running) < AT_ONCE:
                step = ready.pop(0)
                running[pool.submit(STEPS[step][0])] = step
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(done)
                figures[step.split()[0]].update(done.result() or {})
                waiting.done(step)
    return figures


def baselines(task: str) -> dict[str, Any]:
    """What needs no network: the commonest class, mask or boxes, and for classification a linear model on pixels."""
    train, val = (open_split(split=f"generated:{task}:{part}") for part in ("train", "val"))
    return BASELINES[task](train, val)


def of_classes(train: Split, val: Split) -> dict[str, Any]:
    """Top-1 of the commonest class, and of ridge regression on pixels."""
    return {"trivial": majority_class(train, val).top1, "linear": linear_on_pixels(train, val)}


def of_masks(train: Split, val: Split) -> dict[str, Any]:
    """Mean IoU of the mean mask."""
    return {"trivial": mean_mask_score(train, val).mean_iou, "linear": None}


def of_boxes(_: Split, val: Split) -> dict[str, Any]:
    """AP50 of the commonest boxes of the half of `val` that an image is not in."""
    figures = detection_figures(*other_half_boxes(val, len(val)), val.classes)
    return {"trivial": figures["ap50"], "linear": None}


BASELINES = {"classify": of_classes, "segment": of_masks, "detect": of_boxes}


def main() -> None:
    """Run the demo from the start; it fails when INT8 loses over a point, or a linear model comes near float."""
    started = time.monotonic()
    if OUT.exists():  # of an earlier run: training refuses a folder that holds one
        shutil.rmtree(OUT)
    OUT.mkdir()
    figures = take_steps()
    artifacts = [OUT / f"{name}_{precision}" for name in NETWORKS for precision in ("float", "int8")]
    records = run("all", "bench", *artifacts, "--engine", "litert", "--min-seconds", "1", "--json", read_json=True)
    show(figures, {record["measured"]["name"]: record for record in records})
    pictures = ", ".join(f"{OUT}/{name}_overlay" for name in NETWORKS)
    print(f"pictures: {pictures}; {time.monotonic() - started:.0f} s in all")
    for name, found in figures.items():
        refuse_what_does_not_hold(name, found)


def refuse_what_does_not_hold(name: str, found: dict[str, Any]) -> None:
    """End with exit code 1 when a figure breaks what the demo claims."""
    if found["float"] - found["int8"] > LARGEST_DROP:
        sys.exit(f"demo: {name}: INT8 {found['int8']:.4f} is over a point below float {found['float']:.4f}")
    if found["float"] < 2 * found["trivial"]:
        sys.exit(f"demo: {name}: float {found['float']:.4f} is not twice the trivial {found['trivial']:.4f}")
    if found["linear"] is not None and found["linear"] - found["trivial"] > (found["float"] - found["trivial"]) / 2:
        sys.exit(f"demo: {name}: a linear model on pixels reaches {found['linear']:.4f}: the set is too easy")
    if found["differing"]:
        sys.exit(f"demo: {name}: {found['differing']} values differ from the integer simulation")


def show(figures: dict[str, Any], records: dict[str, Any]) -> None:
    """Print metric, size, latency and fidelity of float and INT8 beside the trivial baselines."""
    table = Table(title="Generated images, validation split; LiteRT with XNNPACK, one thread", title_justify="left")
    for column in ("network", "metric", "trivial", "linear", "float", "INT8", "KiB", "p50 ms", "differing values"):
        table.add_column(column, justify="left" if column in ("network", "metric") else "right")
    for name, (_, metric) in NETWORKS.items():
        found = figures[name]
        float_record, int8_record = (records[f"{name}_{precision}"] for precision in ("float", "int8"))
        table.add_row(
            name,
            metric,
            f"{found['trivial']:.1%}",
            "" if found["linear"] is None else f"{found['linear']:.1%}",
            f"{found['float']:.1%}",
            f"{found['int8']:.1%}",
            " -> ".join(f"{r['measured']['size_bytes'] / 1024:.0f}" for r in (float_record, int8_record)),
            " -> ".join(f"{r['latency_ns']['p50_ns'] / 1e6:.2f}" for r in (float_record, int8_record)),
            f"{found['differing']} of {found['values']}",
        )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
