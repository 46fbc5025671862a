"""One row of `tests.benchmarks.methods` or `attention`: train both phases, convert, verify, count; by verbs."""

import io
import json
import resource
import shutil
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from edge.cli.main import main
from edge.errors import EdgeError
from edge.files import atomic
from edge.models.count import count_module
from edge.models.registry import build
from edge.recipe.recipe_file import read_recipe
from tests.benchmarks.methods_rows import Row

RESULT = "row.json"
LARGEST_DROP = 0.015
RANKED_IMAGES = 100


def cpu_seconds() -> float:
    """User and system time of this process and of its children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def edge(*words: str | Path, allowed: tuple[int, ...] = (0,)) -> list[dict[str, Any]]:
    """Run one verb in this process and return its JSON lines, if any. Refuses (EdgeError) another exit code."""
    arguments = [str(word) for word in words]
    with redirect_stdout(io.StringIO()) as printed:
        code = main(arguments)
    if code not in allowed:
        raise EdgeError(f"edge {' '.join(arguments)} ended with {code}")
    return [json.loads(line) for line in printed.getvalue().splitlines() if line.startswith("{")]


def measure(row: Row, folder: Path, cpu: str | None, userland: Path | None) -> dict[str, Any]:
    """Make a row whole and keep it; a row that is kept is not made again, a training that was cut off goes on.

    Args:
        folder: of this row. cpu: the emulated core whose instructions are counted; None: not counted.
    """
    kept = folder / RESULT
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    before = cpu_seconds()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.txt").open("a") as log, redirect_stderr(log):
        run = folder / "run"
        resume = ["--resume"] if (run / "last.safetensors").is_file() else []
        sets = [word for change in row.changes for word in ("--set", change)]
        edge("train", row.recipe, "-o", run, "--threads", "1", *sets, *resume)
        for phase, artifact in (("float", "float"), ("qat", "int8")):
            shutil.rmtree(folder / artifact, ignore_errors=True)  # of a row that was cut off
            edge("convert", run / f"{phase}.safetensors", "-o", folder / artifact, "--no-verify")
        found = {"name": row.name, **_counted(run), **_judged(row, folder), "instructions": None, "cpu": cpu}
        if cpu is not None:
            target = ["--on", "emulated-arm64", "--cpu", cpu]
            target += [] if userland is None else ["--userland", str(userland)]
            (record,) = edge("bench", folder / "int8", "--engine", "litert", *target, "--json")
            found["instructions"] = record["instructions"]["per_inference"]
    found["cpu_seconds"] = round(cpu_seconds() - before, 1)
    atomic.write_text(kept, json.dumps(found, indent=1) + "\n")
    return found


def _counted(run: Path) -> dict[str, Any]:
    model = read_recipe(run / "recipe.toml").model
    arguments = {name: value for name, value in model.arguments.items() if name != "auxiliary"}  # in no artifact
    cost = count_module(build(model.name, **arguments))
    return {"parameters": cost.parameters, "multiply_adds": cost.multiply_adds, "unruled": list(cost.unruled)}


def _judged(row: Row, folder: Path) -> dict[str, Any]:
    """Float and INT8 on all images, and where INT8 is too far below, the layers that the verdict ranks first."""
    judge = ["verify", str(folder / "int8"), "--split", row.split, "--engine", "litert", "--no-rank", "--json"]
    findings = edge(*judge, "--operator-samples", "0", allowed=(0, 1))
    exact = _finding(findings, "end to end")
    accuracy = _finding(findings, "accuracy")
    found = {
        "metric": accuracy["metric"],
        "images": exact["images"],
        "float": accuracy["parent_value"],
        "int8": accuracy["value"],
        "agreement": accuracy["parent_agreement"],
        "chance": _finding(findings, "chance")["chance"],
        "differing": exact["differing"],
        "values": exact["values"],
        "layers": [],
    }
    if any(finding.get("check") == "boundary" for finding in findings):
        boundary = _finding(findings, "boundary")
        found |= {"boundary_float": boundary["parent_value"], "boundary_int8": boundary["value"]}
    if row.ranked and found["float"] - found["int8"] > LARGEST_DROP:
        ranked = edge(*judge[:-2], "--rank", "-n", str(RANKED_IMAGES), "--json", allowed=(0, 1))
        layers = sorted((line for line in ranked if line["row"] == "layer"), key=lambda line: line["alone_rank"])
        suggestions = {line["layer"]: line for line in ranked if line["row"] == "suggestion"}
        found["layers"] = [
            {"layer": line["layer"], "share": line["alone_noise_share"], "why": suggestions.get(line["layer"])}
            for line in layers[:3]
        ]
    return found


def _finding(findings: list[dict[str, Any]], check: str) -> Mapping[str, Any]:
    """The finding of LiteRT's own run."""
    of_check = [finding for finding in findings if finding.get("check") == check and "litert" in finding["subject"]]
    if len(of_check) != 1:
        raise EdgeError(f"edge verify says {len(of_check)} findings of '{check}' for litert, expected one")
    return of_check[0]
