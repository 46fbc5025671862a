"""The whole road on generated images: train, convert, verify, measure, draw. `make demo` runs it.

Every step is a command that a user could type; this script prints it, runs it, and puts the figures in one table.
"""

import json
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from edge.data.open_split import open_split
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.evaluation.baseline import linear_on_pixels, majority_class, mean_mask_score

OUT = Path("demo_out")
EDGE = [THIS_PYTHON, *code_arguments("from edge.__main__ import run; run()")]
LARGEST_DROP = 0.01
# network -> task of the generated set, metric
NETWORKS = {"mobilenet_v2": ("classify", "top1"), "fast_scnn": ("segment", "miou")}


def run(*words: str | Path, read_json: bool = False) -> list[dict[str, Any]]:
    """Print and run one `edge` command; with `read_json`, read its JSON lines. The demo ends where a command fails."""
    arguments = [str(word) for word in words]
    print(f"\n$ edge {shlex.join(arguments)}", flush=True)
    done = subprocess.run([*EDGE, *arguments], stdout=subprocess.PIPE if read_json else None, text=True, check=False)
    if done.returncode != 0:
        print(done.stdout or "")
        sys.exit(f"demo: edge {arguments[0]} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()] if read_json else []


def make(name: str) -> None:
    """Train one network and convert its float and its INT8 checkpoint."""
    run("train", f"{name}_generated", "-o", OUT / name)
    for kind, precision in (("float", "float"), ("qat", "int8")):
        run("convert", OUT / name / f"{kind}.safetensors", "-o", OUT / f"{name}_{precision}", "--no-verify")


def measure(name: str) -> dict[str, Any]:
    """Accuracy of both artifacts on the validation split, the baselines, and the INT8 artifact's fidelity."""
    task, metric = NETWORKS[name]
    split = f"generated:{task}:val"
    figures: dict[str, Any] = baselines(task)
    for precision in ("float", "int8"):
        (line,) = run("eval", OUT / f"{name}_{precision}", "--split", split, "--json", read_json=True)
        figures[precision] = line[metric]
    findings = run("verify", OUT / f"{name}_int8", "--split", split, "--samples", "50", "--json", read_json=True)
    exact = next(line for line in findings if line.get("check") == "end to end" and "litert" in line["subject"])
    return {**figures, "differing": exact["differing"], "values": exact["values"], "verdict": findings[-1]["verdict"]}


def baselines(task: str) -> dict[str, Any]:
    """What needs no network: the commonest class or mask, and for classification a linear model on pixels."""
    train, val = (open_split(split=f"generated:{task}:{part}") for part in ("train", "val"))
    if task == "segment":
        return {"trivial": mean_mask_score(train, val).mean_iou, "linear": None}
    return {"trivial": majority_class(train, val).top1, "linear": linear_on_pixels(train, val)}


def main() -> None:
    """Run the demo from the start; it fails when INT8 loses over a point, or a linear model comes near float."""
    started = time.monotonic()
    if OUT.exists():  # of an earlier run: training refuses a folder that holds one
        shutil.rmtree(OUT)
    OUT.mkdir()
    for name in NETWORKS:
        make(name)
    figures = {name: measure(name) for name in NETWORKS}
    artifacts = [OUT / f"{name}_{precision}" for name in NETWORKS for precision in ("float", "int8")]
    records = run("bench", *artifacts, "--engine", "litert", "--min-seconds", "1", "--json", read_json=True)
    for name, (task, _) in NETWORKS.items():
        pictures = Path("calibration_data") / task / "images"
        run("camera", OUT / f"{name}_int8", "--source", pictures, "--out", OUT / f"{name}_overlay")
    show(figures, {record["measured"]["name"]: record for record in records})
    print(f"pictures: {OUT}/mobilenet_v2_overlay, {OUT}/fast_scnn_overlay; {time.monotonic() - started:.0f} s in all")
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
