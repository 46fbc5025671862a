"""Whether `edge camera` stays as it is: `python -m tests.benchmarks.camera_soak [--minutes 30]`; leaves with 1 if not.

A small network, trained for a moment on the generated objects, runs on a network camera: an HTTP server that sends the
pictures of calibration_data as Motion JPEG, and hangs up once a minute. The run draws, records films of which three are
kept, tells every answer, serves its metrics and is watched as systemd watches it. From outside, its memory (RSS), file
descriptors, threads and the age of its answers are read every few seconds. Each must be flat from a sixth of the time
on: the median of all slopes between two readings (Theil, 1950; Sen, 1968), over that time, within the tolerance
printed. At the end SIGTERM must end it within 2 s (without the interpreter's own end, which a loaded machine makes
long), every film must play, and frames must be answered + dropped.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations, count
from pathlib import Path
from statistics import median
from threading import Thread

import click

from edge.camera.sources.film import open_film
from tests.conftest import TINY_RECIPE
from tests.support.prometheus_text import parse

PICTURES = Path(__file__).resolve().parents[2] / "calibration_data" / "segment" / "images"
HANGS_UP_S = 60.0
WARMUP_SHARE = 1 / 6
ENDS_WITHIN_S = 2.0
MEBIBYTE = 1 << 20
# reading -> its unit, and by how much it may grow over the time that counts: a share of its median, and so much more
TOLERANCES: Mapping[str, tuple[str, float, float]] = {
    "memory": ("MiB", 0.0, 4.0),
    "file descriptors": ("", 0.0, 0.5),
    "threads": ("", 0.0, 0.5),
    "age of answers, p50": ("ms", 0.5, 1.0),
}


@dataclass(frozen=True, kw_only=True)
class Flatness:
    """One reading over the time that counts: its median, its growth over that time, and how much that may be."""

    name: str
    median: float
    growth: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it does not grow by more."""
        return self.growth <= self.tolerance


def flatness(name: str, readings: Sequence[tuple[float, float]]) -> Flatness:
    """Of readings (seconds, value) after the warm-up."""
    middle = median(value for _, value in readings)
    slope = median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(readings, 2))
    _, share, more = TOLERANCES[name]
    return Flatness(
        name=name,
        median=middle,
        growth=slope * (readings[-1][0] - readings[0][0]),
        tolerance=share * middle + more,
    )


@contextmanager
def network_camera(rate: float) -> Iterator[str]:
    """A server of Motion JPEG that hangs up now and then; gives its URL."""
    pictures = [path.read_bytes() for path in sorted(PICTURES.glob("*.jpg"))]

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace;boundary=frame")
            self.end_headers()
            start = time.monotonic()
            for number in count():
                data = pictures[number % len(pictures)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + data + b"\r\n")
                except OSError:  # the other side went
                    return
                rest = start + (number + 1) / rate - time.monotonic()
                time.sleep(max(0.0, rest))
                if time.monotonic() - start > HANGS_UP_S:
                    return

        def log_message(self, format: str, *arguments: object) -> None:
            """Requests are no news."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def small_artifact(folder: Path) -> Path:
    """MobileNetV2 0.25 at 32x32, INT8."""
    (folder / "tiny.toml").write_text(TINY_RECIPE)
    for words in (
        ("train", "tiny.toml", "-o", "run", "--threads", "1"),
        ("convert", "run/qat.safetensors", "-o", "artifact", "--no-verify"),
    ):
        subprocess.run([sys.executable, "-m", "edge", *words], cwd=folder, check=True, capture_output=True)
    return folder / "artifact"


class Watched:
    """A run of `edge camera`, its answers and events, and what the system says of it."""

    def __init__(self, artifact: Path, url: str, folder: Path) -> None:
        self.films = folder / "films"
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(folder / "notify"))
        self._notify.setblocking(False)
        words = ["camera", str(artifact), "--source", url, "--out", str(self.films), "--segment", "10s"]
        words += ["--keep-segments", "3", "--json", "--log", "json", "--metrics", "0", "--stall-after", "10s"]
        environment = {"NOTIFY_SOCKET": str(folder / "notify"), "WATCHDOG_USEC": "8000000", "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge", *words, "--latency-budget", "500ms"],
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.ages_ms: list[float] = []
        self.events: list[dict[str, object]] = []
        self.readers = [Thread(target=target, daemon=True) for target in (self._answers, self._events)]
        for reader in self.readers:
            reader.start()

    def _answers(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            if told["kind"] == "frame":
                self.ages_ms.append(told["age_ns"] / 1e6)

    def _events(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.events.append(json.loads(line))

    def read(self) -> dict[str, float]:
        """Every reading of TOLERANCES, the ages those since the last time."""
        folder = Path("/proc") / str(self.process.pid)
        found = re.search(r"VmRSS:\s+(\d+) kB", (folder / "status").read_text())
        assert found is not None
        ages, self.ages_ms = self.ages_ms, []
        readings = {
            "memory": int(found[1]) * 1024 / MEBIBYTE,
            "file descriptors": float(len(list((folder / "fd").iterdir()))),
            "threads": float(len(list((folder / "task").iterdir()))),
        }
        return readings | ({"age of answers, p50": median(ages)} if ages else {})

    def notices(self) -> list[str]:
        """What a service manager got."""
        found: list[str] = []
        while True:
            try:
                found += self._notify.recv(4096).decode().split("\n")
            except BlockingIOError:
                return found

    def metrics(self) -> float:
        """Frames answered, as the page of metrics says."""
        (port,) = (event["port"] for event in self.events if event["event"] == "metrics")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as page:
            return parse(page.read().decode())["edge_camera_answered_total"].value()

    def last(self, event: str) -> dict[str, object]:
        """The last event of a name."""
        return next(told for told in reversed(self.events) if told["event"] == event)

    def end(self) -> tuple[float, float]:
        """Send SIGTERM. Returns the seconds until everything was closed and told, and until the process was gone."""
        start = time.time()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        gone_s = time.time() - start
        for reader in self.readers:
            reader.join()
        for stream in (self.process.stdout, self.process.stderr, self._notify):
            assert stream is not None
            stream.close()
        return datetime.fromisoformat(str(self.last("counts")["time"])).timestamp() - start, gone_s


def soak(folder: Path, minutes: float, rate: float, every_s: float) -> tuple[list[Flatness], list[str], list[str]]:
    """Run for so long. Returns the readings, lines to print, and what is wrong."""
    artifact = small_artifact(folder)
    readings: dict[str, list[tuple[float, float]]] = {name: [] for name in TOLERANCES}
    notices: list[str] = []
    with network_camera(rate) as url:
        run = Watched(artifact, url, folder)
        while not run.ages_ms:
            time.sleep(0.1)
            assert run.process.poll() is None, run.events
        start = time.monotonic()
        while (passed := time.monotonic() - start) < minutes * 60:
            time.sleep(every_s)
            notices += run.notices()
            for name, value in run.read().items():
                if passed > minutes * 60 * WARMUP_SHARE:
                    readings[name].append((passed, value))
        scraped = run.metrics()
        ended_s, gone_s = run.end()
    counts = run.last("counts")
    dropped = counts["dropped"]
    assert isinstance(dropped, dict) and isinstance(counts["frames"], int) and isinstance(counts["answered"], int)
    films = sorted(run.films.glob("*.avi"))
    playing = [sum(1 for _ in open_film(path).frames()) for path in films]
    flat = [flatness(name, values) for name, values in readings.items()]
    told = [
        f"frames {counts['frames']} = answered {counts['answered']} + dropped {dropped}; "
        f"reconnected {counts['reconnects']} times",
        f"WATCHDOG=1 {notices.count('WATCHDOG=1')} times, READY=1 {notices.count('READY=1')} times",
        f"SIGTERM: everything closed in {ended_s:.2f} s, gone in {gone_s:.2f} s, exit code {run.process.returncode}",
        f"films play: {playing} frames",
    ]
    wrong = [f"{entry.name} grew by {entry.growth:.2f}" for entry in flat if not entry.holds]
    if counts["frames"] != counts["answered"] + sum(dropped.values()):
        wrong.append("frames are not answered + dropped")
    if run.process.returncode != 0 or ended_s > ENDS_WITHIN_S:
        wrong.append(f"SIGTERM took {ended_s:.2f} s, exit code {run.process.returncode}")
    if not films or not all(playing):
        wrong.append("a film does not play")
    if notices.count("READY=1") != 1 or not notices.count("WATCHDOG=1"):
        wrong.append(f"a service manager heard {notices[:9]}")
    if not 0 < scraped <= counts["answered"]:
        wrong.append(f"the page of metrics told of {scraped} answers")
    return flat, told, wrong


@click.command()
@click.option("--minutes", type=float, default=30.0, show_default=True)
@click.option("--rate", type=float, default=10.0, show_default=True, help="Of the camera, frames per second.")
@click.option("--every", "every_s", type=float, default=5.0, show_default=True, help="Seconds between two readings.")
def main(minutes: float, rate: float, every_s: float) -> None:
    """Soak."""
    with tempfile.TemporaryDirectory() as name:
        flat, told, wrong = soak(Path(name), minutes, rate, every_s)
    for entry in flat:
        unit = TOLERANCES[entry.name][0]
        print(
            f"{entry.name}: median {entry.median:.2f} {unit}, growth {entry.growth:+.2f}, allowed {entry.tolerance:.2f}"
        )
    print(*told, *(f"NOT FLAT: {line}" for line in wrong), sep="\n", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
