"""Damaged ONNX and TFLite files against the command line: `python tests/fuzz/run.py [--cases 20000] [--workers 2]`.

Each case changes a copy of a real model file (mutations.py, seeds.py) and gives it to `edge inspect` or
`edge convert`. It passes if the verb succeeds (the damage left a valid model), or ends with exit code 1 or 2, one line
on standard error and nothing written. It fails on a crash of the process, a traceback, more than one line, a leftover,
over CASE_SECONDS, or if over MEMORY_BYTES more address space is needed than before the first case. Failing files are
kept in --keep.

Prints how the cases ended, and one line per failure. Exit code 1 if there is one.
"""

import argparse
import contextlib
import io
import json
import os
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CASE_SECONDS = 30
MEMORY_BYTES = 1 << 30
ONNX_COMMANDS = ("inspect", "convert", "artifact")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One damaged file and what is done with it."""

    index: int
    seed_file: str
    command: str
    data: bytes


def cases(folder: Path, seeds: dict[str, str], seed: int, first: int, stop: int) -> Iterator[Case]:
    """The cases from `first` up to `stop`; each depends on the seed and its index alone."""
    import onnx
    from mutations import LARGEST_KEPT, changed_onnx, damaged, structure

    from edge.graph.importers.tflite.reader import read_tflite

    contents: dict[str, bytes] = {name: (folder / name).read_bytes() for name in sorted(seeds)}
    models = {name: onnx.load_from_string(data) for name, data in contents.items() if name.endswith(".onnx")}
    spans = {}
    for name, data in contents.items():
        if name in models:
            parts = [constant.raw_data for constant in models[name].graph.initializer]
        else:
            tensors = read_tflite(data).tensors.values()
            parts = [tensor.data.tobytes() for tensor in tensors if tensor.data is not None]
        spans[name] = structure(data, [part for part in parts if len(part) >= LARGEST_KEPT])
    for index in range(first, stop):
        rng = random.Random(f"{seed}:{index}")
        name = rng.choice(sorted(seeds))
        if name in models and rng.random() < 0.5:
            data = changed_onnx(models[name], rng)
        else:
            data = damaged(contents[name], spans[name], list(contents.values()), rng)
        command = rng.choice(ONNX_COMMANDS) if name in models else "inspect"
        yield Case(index=index, seed_file=name, command=command, data=data)


def outcome(folder: Path, case: Case, card: str) -> tuple[str, str]:
    """Run one case. Returns how it ended (`done`, `refused` or `FAILED`) and the line, or what was wrong."""
    from edge.cli.main import main

    shutil.rmtree(folder / "case", ignore_errors=True)
    (folder / "case").mkdir()
    path = folder / "case" / f"model{Path(case.seed_file).suffix}"
    path.write_bytes(case.data)
    target = folder / "case" / ("out.tflite" if case.command == "convert" else "out")
    arguments = ["inspect", str(path)]
    if case.command != "inspect":
        arguments = ["convert", str(path), "-o", str(target), "--no-verify"]
    if case.command == "artifact":
        arguments += ["--card", str(folder / card)]
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(arguments)
    except BaseException as error:
        return "FAILED", f"{type(error).__name__}: {error}"[:300]
    written = sorted(entry.name for entry in (folder / "case").iterdir() if entry != path)
    lines = [line for line in err.getvalue().splitlines() if line.strip()]
    if status == 0:
        return "done", ""
    if status not in (1, 2):
        return "FAILED", f"exit code {status}"
    if written:
        return "FAILED", f"left {', '.join(written)} behind"
    if len([line for line in lines if line.startswith("edge ")]) != 1 or len(lines) != 1 or len(lines[0]) > 4000:
        return "FAILED", f"{len(lines)} lines: {' | '.join(lines)[:300]}"
    return "refused", lines[0]


def work(folder: Path, seeds: dict[str, str], seed: int, first: int, stop: int) -> None:
    """Run cases, one JSON line before and one after each."""
    import edge.cli.convert
    import edge.cli.inspect  # noqa: F401

    report = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    private = Path(tempfile.mkdtemp(dir=folder))
    for name in set(seeds.values()):
        shutil.copy(folder / name, private / name)
    limited = False
    for case in cases(folder, seeds, seed, first, stop):
        if not limited:  # everything is imported by now
            warm = Case(index=-1, seed_file="parts.onnx", command="artifact", data=(folder / "parts.onnx").read_bytes())
            outcome(private, warm, seeds["parts.onnx"])
            used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, resource.RLIM_INFINITY))
            limited = True
        kept = private / f"case_{case.index}"
        kept.write_bytes(case.data)
        print(json.dumps({"case": case.index, "file": str(kept), "seed": case.seed_file}), file=report)
        report.flush()
        ended, line = outcome(private, case, seeds[case.seed_file])
        print(json.dumps({"case": case.index, "ended": ended, "line": line, "command": case.command}), file=report)
        report.flush()
        if ended != "FAILED":
            kept.unlink()


def supervise(folder: Path, seed: int, first: int, stop: int) -> Iterator[dict[str, str]]:
    """Run a worker over a range of cases; when it dies or stalls, say so and go on behind the case."""
    while first < stop:
        command = [sys.executable, __file__, "--folder", str(folder), "--seed", str(seed)]
        command += ["--first", str(first), "--stop", str(stop)]
        messages = folder / f"worker_{first}.log"
        with messages.open("wb") as log:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        current: dict[str, str] = {"case": str(first), "seed": "", "file": ""}
        problem = ""
        while True:
            ready, _, _ = select.select([process.stdout], [], [], CASE_SECONDS if current["file"] else 120)
            line = process.stdout.readline() if ready else b""
            if not line:
                if not ready:
                    process.kill()
                    problem = f"no end within {CASE_SECONDS} s"
                elif process.wait() != 0:
                    tail = messages.read_text(errors="replace").strip().splitlines()[-1:]
                    problem = f"the process died with {process.returncode}: {' '.join(tail)}"
                break
            record = json.loads(line)
            if "ended" in record:
                yield {**current, **record}
                first = int(record["case"]) + 1
            else:
                current = record
        process.wait()
        if not problem:
            return
        yield {**current, "ended": "FAILED", "line": problem, "command": ""}
        first = int(current["case"]) + 1


def run(total: int, workers: int, seed: int, keep: Path) -> int:
    """Run all cases in several processes. Returns the number of failures."""
    from concurrent.futures import ThreadPoolExecutor

    sys.path.insert(0, str(ROOT))
    from tests.fuzz.seeds import write_seeds

    ended: Counter[str] = Counter()
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "seeds.json").write_text(json.dumps(write_seeds(folder)))
        bounds = [total * index // workers for index in range(workers + 1)]

        def follow(index: int) -> list[dict[str, str]]:
            found = []
            for record in supervise(folder, seed, bounds[index], bounds[index + 1]):
                ended[f"{record['command'] or 'any'}: {record['ended']}"] += 1
                if record["ended"] == "FAILED":
                    keep.mkdir(parents=True, exist_ok=True)
                    with contextlib.suppress(OSError):
                        suffix = Path(record["seed"]).suffix
                        shutil.copy(record["file"], keep / f"{seed}_{record['case']}{suffix}")
                    found.append(record)
                    print(
                        f"case {record['case']} ({record['seed']}, {record['command']}): {record['line']}", flush=True
                    )
            return found

        with ThreadPoolExecutor(workers) as pool:
            failures = sum(len(found) for found in pool.map(follow, range(workers)))
    print(f"{sum(ended.values())} cases, seed {seed}: " + ", ".join(f"{n} {kind}" for kind, n in sorted(ended.items())))
    return failures


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=Path("fuzz_failures"))
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--stop", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.folder is not None:
        work(given.folder, json.loads((given.folder / "seeds.json").read_text()), given.seed, given.first, given.stop)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(1 if run(given.cases, given.workers, given.seed, given.keep) else 0)


if __name__ == "__main__":
    main()
