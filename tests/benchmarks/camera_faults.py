"""Every fault of a live source again and again: noticed and recovered when, and what is left behind.

`python -m tests.benchmarks.camera_faults --cycles 100`: a table of the faults with the times from the fault to its
notice and from its end to the next frame, and of what the process holds more after the last cycle than after a tenth
of them. Frame numbers drawn in the pixels show that no frame came twice, and the counts that none was lost track of.
With `--speeds`: the age of what a consumer gets that takes five times as long as a frame.
"""

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click
import cv2

from edge.camera.backoff import Backoff
from edge.camera.capture import MOST_STUCK, Capture, Counts
from edge.camera.sources.network import UrlSource
from edge.camera.sources.options import SourceOptions
from edge.camera.sources.source import Broken, Source
from edge.camera.sources.video4linux import CameraSource
from edge.percentile import nearest_rank
from edge.vision.frame import Frame, Pixels
from tests.support.mjpeg_server import MjpegServer
from tests.support.numbered_frames import number_of, numbered
from tests.support.rtsp_server import RtspServer, is_there

MILLISECOND = 1_000_000
OPTIONS = SourceOptions(open_timeout_ns=3000 * MILLISECOND, read_timeout_ns=400 * MILLISECOND)
BACKOFF_FIRST_S, BACKOFF_CAP_S = 0.05, 0.4
PERIOD_S = 0.02
HUNG_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A source that can be made to fail.

    Args:
        strike: makes it fail.
        is_noticed: whether the capture, or the last frame, shows it; None: when the capture has said `offline`.
        mend: ends the fault.
        numbered: whether its frames show their number.
    """

    source: Source
    strike: Callable[[], None]
    is_noticed: Callable[[Capture, Frame], bool] | None = None
    mend: Callable[[], None] = lambda: None
    numbered: bool = True


@dataclass(frozen=True, kw_only=True)
class Held:
    """What the process holds."""

    threads: int
    files: int
    memory_bytes: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Times per cycle, what was held after a tenth of them and after the last, and what became of the frames."""

    noticed_ns: Sequence[int]
    recovered_ns: Sequence[int]
    before: Held
    after: Held
    frames_in: int
    answered: int
    dropped: Mapping[str, int]


def held() -> Held:
    """As Linux says it."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        threads=threading.active_count(),
        files=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - as many as there are, and no path of them
        memory_bytes=pages * os.sysconf("SC_PAGE_SIZE"),
    )


class HangingDriver:
    """A camera whose read hangs, longer than anybody waits for it, until the driver gives up."""

    live, pictures, timed = True, False, True
    name, frames_per_second = "hanging driver", None

    def __init__(self) -> None:
        self.number = 0
        self.hangs = threading.Event()
        self.periods_ns = list[int]()

    def frames(self) -> Iterator[Frame | Broken]:
        """Frames, and a wait that ends 1.5 times later than the time-out."""
        while True:
            if self.hangs.is_set():
                self.hangs.clear()
                time.sleep(1.5 * 1.25 * OPTIONS.read_timeout_ns / 1e9)
            self.number += 1
            start_ns = time.monotonic_ns()
            yield Frame(image=numbered(self.number), format="bgr", name=str(self.number))
            time.sleep(PERIOD_S)
            self.periods_ns.append(time.monotonic_ns() - start_ns)

    def close(self) -> None:
        """Nothing is held."""


class Plugged:
    """What OpenCV reads from a device whose node comes and goes."""

    def __init__(self, node: Path) -> None:
        self.node, self.number = node, 0

    def __call__(self, device: Path, settings: Sequence[int]) -> "Plugged":
        """The capture of it, opened."""
        return self

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        """Whether it is plugged in."""
        return self.node.exists()

    def get(self, key: int) -> float:
        """A camera of 64x64 pixels in BGR."""
        sizes = {cv2.CAP_PROP_FRAME_HEIGHT: 64.0, cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FPS: 50.0}
        return sizes.get(key, float(int.from_bytes(b"BGR3", "little")) if key == cv2.CAP_PROP_FOURCC else 0.0)

    def set(self, key: int, value: float) -> bool:
        """Taken."""
        return True

    def read(self) -> tuple[bool, Pixels | None]:
        """A frame, as long as it is plugged in."""
        time.sleep(PERIOD_S)
        if not self.node.exists():
            return False, None
        self.number += 1
        return True, numbered(self.number)

    def release(self) -> None:
        """Nothing is held."""


@contextmanager
def endless_read() -> Iterator[Fault]:
    """A driver that does not come back from a read in time."""
    driver = HangingDriver()
    yield Fault(source=driver, strike=driver.hangs.set)


@contextmanager
def silent_server() -> Iterator[Fault]:
    """A server that keeps the connection and sends no more."""
    server = MjpegServer(PERIOD_S)
    try:
        source = UrlSource(server.url, OPTIONS)
        yield Fault(source=source, strike=server.silent.set, mend=server.silent.clear)
    finally:
        server.kill()


@contextmanager
def unplugged() -> Iterator[Fault]:
    """A USB camera that is pulled out and put in again; OpenCV's capture is stood in for."""
    with tempfile.TemporaryDirectory() as folder:
        node = Path(folder) / "video0"
        node.touch()
        source = CameraSource(node, OPTIONS, opened=Plugged(node))
        yield Fault(source=source, strike=node.unlink, mend=node.touch)


@contextmanager
def killed_server() -> Iterator[Fault]:
    """A server that dies with its connections, and starts again."""
    server = MjpegServer(PERIOD_S)
    try:
        source = UrlSource(server.url, OPTIONS)
        yield Fault(source=source, strike=server.kill, mend=server.start)
    finally:
        server.kill()


@contextmanager
def killed_rtsp_server() -> Iterator[Fault]:
    """GStreamer's RTSP server, killed and started again."""
    server = RtspServer()
    try:
        source = UrlSource(server.url, OPTIONS)
        yield Fault(source=source, strike=server.kill, mend=server.start, numbered=False)
    finally:
        server.kill()


@contextmanager
def new_size() -> Iterator[Fault]:
    """Frames of another size in the middle of a stream."""
    server = MjpegServer(PERIOD_S)

    def change() -> None:
        server.size_hw = (192 - server.size_hw[0], 192 - server.size_hw[1])

    try:
        noticed = lambda capture, frame: frame.size_hw == server.size_hw  # noqa: E731 - beside what it looks at
        yield Fault(source=UrlSource(server.url, OPTIONS), strike=change, is_noticed=noticed)
    finally:
        server.kill()


@contextmanager
def truncated_jpeg() -> Iterator[Fault]:
    """Three frames of which the second half is missing."""
    server = MjpegServer(PERIOD_S)
    cut = 0

    def strike() -> None:
        nonlocal cut
        cut += 3
        server.cut = 3

    def noticed(capture: Capture, frame: Frame) -> bool:
        return capture.counts.dropped.get("decode error", 0) == cut

    try:
        yield Fault(source=UrlSource(server.url, OPTIONS), strike=strike, is_noticed=noticed)
    finally:
        server.kill()


FAULTS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "endless read": endless_read,
        "silent server": silent_server,
        "device gone and back": unplugged,
        "HTTP server killed and back": killed_server,
        "RTSP server killed and back": killed_rtsp_server,
        "new frame size": new_size,
        "truncated JPEG": truncated_jpeg,
    }
)


def suffer(fault: Fault, cycles: int) -> Outcome:
    """Strike and mend so many times.

    Refuses (AssertionError) a frame that came twice or shows no number, a count that does not add up, and a cycle of
    more than HUNG_S.
    """
    noticed_ns, recovered_ns, warm = [], [], None
    last = -1
    backoff = Backoff(first_s=BACKOFF_FIRST_S, cap_s=BACKOFF_CAP_S)
    states: list[str] = []
    with Capture(fault.source, OPTIONS, backoff=backoff, on_state=lambda state, why: states.append(state)) as capture:

        def take(timeout_s: float) -> Frame | None:
            nonlocal last
            frame = capture.take(timeout_s)
            if frame is not None:
                number = number_of(frame.bgr()) if fault.numbered else int(frame.name)
                assert number > last, f"frame {number} after {last}"
                last = number
            return frame

        def next_frame() -> Frame:
            frame = take(HUNG_S)
            assert frame is not None, "no frame comes any more"
            return frame

        for cycle in range(cycles):
            frame = next_frame()
            struck_ns, before = time.monotonic_ns(), states.count("offline")
            fault.strike()
            while not (fault.is_noticed(capture, frame) if fault.is_noticed else states.count("offline") > before):
                frame = take(0.001) or frame
                assert time.monotonic_ns() - struck_ns < HUNG_S * 1e9, "the fault is not noticed"
            mended_ns = time.monotonic_ns()
            noticed_ns.append(mended_ns - struck_ns)
            fault.mend()
            next_frame()
            recovered_ns.append(time.monotonic_ns() - mended_ns)
            if cycle == cycles // 10:
                warm = settled()
        after = settled()
    counts = capture.counts
    dropped = dict(counts.dropped)
    assert counts.frames_in == counts.answered + sum(dropped.values()), counts
    assert warm is not None
    return Outcome(
        noticed_ns=noticed_ns,
        recovered_ns=recovered_ns,
        before=warm,
        after=after,
        frames_in=counts.frames_in,
        answered=counts.answered,
        dropped=dropped,
    )


def settled() -> Held:
    """What is held once the reads that were given up, at most MOST_STUCK, have come back."""
    time.sleep(MOST_STUCK * OPTIONS.read_timeout_ns / 1e9)
    return held()


def ages(answers: int) -> tuple[list[int], list[int], list[int], Counts]:
    """A consumer that takes five times as long as a frame, at a live camera.

    Returns:
        The ages of its frames when they were taken, how long its answers took, the times between two frames of the
        camera, and what became of them.
    """
    driver = HangingDriver()
    taken_ns, answer_ns = [], []
    with Capture(driver, OPTIONS) as capture:
        for _ in range(answers):
            frame = capture.take(HUNG_S)
            assert frame is not None
            start_ns = time.monotonic_ns()
            taken_ns.append(start_ns - frame.captured_ns)
            time.sleep(5 * PERIOD_S)
            answer_ns.append(time.monotonic_ns() - start_ns)
    return taken_ns, answer_ns, driver.periods_ns, capture.counts


def _milliseconds(times_ns: Sequence[int]) -> str:
    ordered = sorted(times_ns)
    return f"{nearest_rank(ordered, 50) / 1e6:7.1f} {ordered[-1] / 1e6:8.1f}"


@click.command()
@click.option("--cycles", type=click.IntRange(1), default=100, show_default=True, help="Of every fault.")
@click.option("--fault", "names", multiple=True, type=click.Choice(list(FAULTS)), help="These alone.")
@click.option("--speeds", is_flag=True, help="The age of frames instead, at a consumer of a fifth of the speed.")
def main(cycles: int, names: tuple[str, ...], speeds: bool) -> None:
    """Print the table; exit code 1 where something is left behind."""
    if speeds:
        taken_ns, answer_ns, periods_ns, counts = ages(cycles)
        print(f"{cycles} answers, each five times as long as a frame; in ms, p50 and p99")
        for what, times_ns in (
            ("a frame of the camera", periods_ns),
            ("an answer", answer_ns),
            ("age of a frame when it is taken", taken_ns),
            ("age when it is answered", [sum(both) for both in zip(taken_ns, answer_ns, strict=True)]),
        ):
            ordered = sorted(times_ns)
            print(f"{what:34} {nearest_rank(ordered, 50) / 1e6:7.1f} {nearest_rank(ordered, 99) / 1e6:7.1f}")
        print(f"{counts.frames_in} frames in = {counts.answered} answered + dropped {dict(counts.dropped)}")
        return
    leaks = []
    print(f"{cycles} cycles; noticed and recovered in ms, then what is held more after the last than after a tenth")
    print(
        "fault                        noticed p50, max  recovered p50, max  threads files memory_KiB  frames in = out"
    )
    for name in names or FAULTS:
        if FAULTS[name] is killed_rtsp_server and not is_there():
            print(f"{name:28} not here: GStreamer's RTSP server is not installed")
            continue
        with FAULTS[name]() as fault:
            outcome = suffer(fault, cycles)
        threads = outcome.after.threads - outcome.before.threads
        files = outcome.after.files - outcome.before.files
        memory = (outcome.after.memory_bytes - outcome.before.memory_bytes) >> 10
        out = outcome.answered + sum(outcome.dropped.values())
        times = f"{_milliseconds(outcome.noticed_ns)}    {_milliseconds(outcome.recovered_ns)}"
        print(f"{name:28} {times}     {threads:7} {files:5} {memory:10}  {outcome.frames_in} = {out}", flush=True)
        if threads > 0 or files > 0:
            leaks.append(name)
    if leaks:
        sys.exit(f"left behind: {', '.join(leaks)}")


if __name__ == "__main__":
    main()
