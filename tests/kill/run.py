"""Every verb that writes, killed at its file-system events: `python tests/kill/run.py [--kills 100] [--interrupts 40]`.

Each verb runs once to its end over what it wrote before, and its file-system events in the working folder are counted.
Then a fork of this process runs it again and kills itself (SIGKILL) at one of them; at all where --kills allows that.
After each kill the target must be there and whole, the old one or the new one; then the verb runs to its end, after
which nothing of ours may be left in the folder or among the temporary files.

Interrupts: `edge camera` gets SIGINT or SIGTERM, once or twice, after a number of frames that a seed draws. Every frame
that it told of must be in the folder or film that stands afterwards, with an exit code of 0 or 130.

Prints a line per verb, and one per failure. Exit code 1 if there is one.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CALIBRATION = "generated:classify:train:20"
QUICK = ("--min-seconds", "0.02", "--min-runs", "20", "--max-runs", "200", "--max-warmup-seconds", "0.1")
SLOWEST_S = 300
OURS = (".edge-tmp-", ".edge-old-", "edge-")


@dataclass(frozen=True, kw_only=True)
class Writing:
    """A verb's command line, and what checks its target. `before` makes the folder ready for a run over an old one."""

    name: str
    arguments: tuple[str, ...]
    check: Callable[[Path], None]
    before: Callable[[Path], None] = field(default=lambda folder: None)


def whole_artifact(folder: Path) -> None:
    """Every hash of it matches."""
    from edge.artifact.manifest import open_artifact

    open_artifact(folder)


def whole_film(path: Path) -> None:
    """Its last frame can be decoded."""
    from edge.camera.sources.opening import open_source

    assert list(open_source(str(path)).frames()), "no frame"


def whole_page(path: Path) -> None:
    """It ends as a page does."""
    assert path.read_text().rstrip().endswith("</html>"), "cut"


def whole_records(path: Path) -> None:
    """Every line is a record."""
    from device_bench.records.record_lines import read_records

    assert read_records(path), "no record"


def whole_run(folder: Path) -> None:
    """Every checkpoint that stands there loads."""
    from edge.training.tensor_file import read_tensors

    for path in folder.glob("[!.]*.safetensors"):
        read_tensors(path)


def whole_pictures(folder: Path) -> None:
    """Every picture decodes, and all of them are there."""
    from edge.data.decode import read_image

    pictures = list(folder.glob("*.png"))
    assert len(pictures) == 6, f"{len(pictures)} of 6 pictures"
    for path in pictures:
        read_image(path)


def fresh_run(folder: Path) -> None:
    """Training refuses a folder that holds a finished run."""
    shutil.rmtree(folder / "trained", ignore_errors=True)


WRITINGS = (
    Writing(
        name="convert", arguments=("convert", "run/qat.safetensors", "-o", "int8", "--no-verify"), check=whole_artifact
    ),
    Writing(
        name="quantize",
        arguments=("quantize", "run/float.safetensors", "--calibration", CALIBRATION, "-o", "ptq", "--no-verify"),
        check=whole_artifact,
    ),
    Writing(
        name="camera folder",
        arguments=("camera", "art", "--source", "generated:classify:val:6", "-o", "frames"),
        check=whole_pictures,
    ),
    Writing(
        name="camera film",
        arguments=("camera", "art", "--source", "generated:classify:val:6", "-o", "film.mp4"),
        check=whole_film,
    ),
    Writing(
        name="bench",
        arguments=("bench", "art", "--engine", "null", "-o", "records.jsonl", *QUICK),
        check=whole_records,
    ),
    Writing(name="report", arguments=("report", "old.jsonl", "-o", "report.html"), check=whole_page),
    Writing(name="verify page", arguments=("verify", "art", "-n", "1", "--html", "verdict.html"), check=whole_page),
    Writing(name="verify record", arguments=("verify", "art", "-n", "1", "--record"), check=whole_artifact),
    Writing(
        name="train",
        arguments=("train", "tiny.toml", "-o", "trained", "--threads", "1"),
        check=whole_run,
        before=fresh_run,
    ),
)
TARGETS = dict(
    zip(
        [writing.name for writing in WRITINGS],
        ("int8", "ptq", "frames", "film.mp4", "records.jsonl", "report.html", "verdict.html", "art", "trained"),
        strict=True,
    )
)


def forked(folder: Path, arguments: tuple[str, ...], kill_at: int | None) -> tuple[int, int]:
    """Run the command line in a fork. Returns its exit code, negative for a signal, and how many events there were."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        code = 70
        try:
            code = in_child(folder, arguments, kill_at, writing)
        finally:
            os._exit(code)
    os.close(writing)
    counted = len(os.fdopen(reading, "rb").read())
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), counted


def in_child(folder: Path, arguments: tuple[str, ...], kill_at: int | None, counter: int) -> int:
    """Run the command line with an audit hook that tells of every event under the folder, and kills at one."""
    from edge.cli.main import main

    os.setpgid(0, 0)
    os.chdir(folder)
    quiet = os.open(folder.parent / "said.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    seen = 0
    here, owner = str(folder), os.getpid()

    def hook(event: str, given: tuple[Any, ...]) -> None:
        nonlocal seen
        if not event.startswith(("open", "os.", "shutil.", "ctypes.dlsym")) or os.getpid() != owner:
            return
        if event == "open" and not (isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)):
            return
        if event.startswith("ctypes.") and "renameat2" not in str(given) and "syncfs" not in str(given):
            return
        paths = (os.fsdecode(word) for word in given if isinstance(word, str | bytes | Path))
        if not (event.startswith("ctypes.") or any(here in path for path in paths)):
            return
        seen += 1
        os.write(counter, b".")
        if seen == kill_at:
            os.kill(owner, signal.SIGKILL)

    sys.addaudithook(hook)
    return main(list(arguments))


def leftovers(folder: Path) -> list[str]:
    """What is ours in the folder and among the temporary files (a folder inside it)."""
    names = [path for path in folder.rglob("*") if path.name.startswith(OURS)]
    return sorted(str(path.relative_to(folder)) for path in names if path.name != ".edge_camera")


def killed(folder: Path, writing: Writing, kills: int) -> Iterator[str]:
    """Kill one verb at up to `kills` of its events. Yields failures."""
    target = folder / TARGETS[writing.name]
    for _ in range(2):
        writing.before(folder)
        code, events = forked(folder, writing.arguments, None)
        if code not in (0, 1) or not target.exists():
            yield f"{writing.name}: ends with {code} before any kill"
            return
    points = range(1, events + 1)
    chosen = (
        points if len(points) <= kills else sorted({round(1 + k * (events - 1) / (kills - 1)) for k in range(kills)})
    )
    left = died = 0
    for point in chosen:
        writing.before(folder)
        code, _ = forked(folder, writing.arguments, point)
        died += code == -signal.SIGKILL
        try:
            if target.exists() or writing.name != "train":
                writing.check(target)
        except Exception as error:
            yield f"{writing.name}, event {point} of {events}: {type(error).__name__}: {error}"
        left += bool(leftovers(folder))
        resumed = ("--resume",) if (target / "last.safetensors").exists() else ()
        code, _ = forked(folder, (*writing.arguments, *resumed), None)
        if code not in (0, 1):
            yield f"{writing.name}, after a kill at event {point}: ends with {code}"
        time.sleep(0.6 * (writing.name == "bench"))  # its agent notices that nobody asks any more
        if still := leftovers(folder):
            yield f"{writing.name}, after the run behind event {point}: {still[:3]} are left"
        writing.check(target)
    print(
        f"{writing.name}: {events} events, {died} kills, {left} left something, all swept by the next run", flush=True
    )


def interrupted(folder: Path, rounds: int, seed: int) -> Iterator[str]:
    """Interrupt the camera. Yields failures."""
    rng, kept = random.Random(seed), 0
    command = [sys.executable, "-m", "edge", "camera", "art", "--source", "generated:classify:val:60", "--json"]
    for index in range(rounds):
        target = folder / ("shown" if index % 2 else f"shown{rng.choice(('.mp4', '.avi'))}")
        numbers = [rng.choice((signal.SIGINT, signal.SIGTERM)) for _ in range(1 + index // 2 % 2)]
        after, pause = rng.randint(1, 60), rng.uniform(0, 0.3)
        process = subprocess.Popen(
            [*command, "-o", str(target)], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(after)]
        for number in numbers:
            process.send_signal(number)
            time.sleep(pause)
        out, said = process.communicate(timeout=SLOWEST_S)
        told = sum('"kind": "frame"' in line for line in [*lines, *out.splitlines()])
        found = len(list(target.glob("*.png"))) if target.is_dir() else frames_of(target)
        what = f"camera {target.name}, {[number.name for number in numbers]} after {after} frames"
        if process.returncode not in (0, 130) or not told <= found <= told + 1:
            yield f"{what}: exit code {process.returncode}, {told} frames told of, {found} kept: {said[-200:]}"
        elif still := leftovers(folder):
            yield f"{what}: {still[:3]} are left"
        else:
            kept += 1
    print(f"camera: {rounds} interrupts, everything seen is kept in {kept}", flush=True)


def frames_of(path: Path) -> int:
    """The frames of a film; 0 where there is none."""
    from edge.camera.sources.opening import open_source

    if not path.exists():
        return 0
    return len(list(open_source(str(path)).frames()))


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=108, help="over all verbs")
    parser.add_argument("--interrupts", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verb", action="append", choices=list(TARGETS), help="only this one; repeatable")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    from conftest import TINY_RECIPE

    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "work"
        (folder / "tmp").mkdir(parents=True)
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
        (folder / "tiny.toml").write_text(TINY_RECIPE)
        for arguments in (
            ("train", "tiny.toml", "-o", "run", "--threads", "1"),
            ("convert", "run/qat.safetensors", "-o", "art", "--no-verify"),
            ("bench", "art", "--engine", "null", "-o", "old.jsonl", *QUICK),
        ):
            subprocess.run([sys.executable, "-m", "edge", *arguments], cwd=folder, check=True, capture_output=True)
        chosen = [writing for writing in WRITINGS if given.verb is None or writing.name in given.verb]
        for writing in chosen if given.kills else ():
            with contextlib.suppress(ImportError):  # imported once, here, for all forks
                __import__(f"edge.cli.{writing.arguments[0]}")
            for failure in killed(folder, writing, max(2, given.kills // len(chosen))):
                failures += 1
                print(failure, flush=True)
        for failure in interrupted(folder, given.interrupts, given.seed):
            failures += 1
            print(failure, flush=True)
    print(f"{failures} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
