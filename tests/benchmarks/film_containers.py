"""What `kill -9` leaves of a film in each container: `python -m tests.benchmarks.film_containers [--frames 200]`.

A process writes frames of 480x640 (height x width) and kills itself after the last; then the frames that FFmpeg still
reads are counted. Another writes the same film to its end, for its bytes and the time of a frame.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np

from edge.camera.mjpeg_film import MjpegFilm
from edge.camera.segments import JPEG_QUALITY

SIZE_WH = (640, 480)
RATE = 25.0
FRAGMENTED = "movflags;frag_every_frame+empty_moov+default_base_moof|flush_packets;1"
# file name -> FOURCC of OpenCV's writer, its options; None: the films of `edge camera --segment`
CONTAINERS: Mapping[str, tuple[str, str] | None] = {
    "plain.mp4": ("mp4v", ""),
    "fragmented.mp4": ("mp4v", FRAGMENTED),
    "mpeg4.mkv": ("mp4v", ""),
    "mpeg4.ts": ("mp4v", ""),
    "mpeg4.avi": ("mp4v", ""),
    "jpeg.avi": ("MJPG", ""),
    "segment.avi": None,
}


def writer(path: Path) -> tuple[Callable[[np.ndarray], object], Callable[[], None]]:
    """What adds a BGR frame to a new film, and what finishes it."""
    told = CONTAINERS[path.name]
    if told is None:
        film = MjpegFilm(path, SIZE_WH, RATE)
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        return lambda image: film.add(cv2.imencode(".jpg", image, quality)[1].tobytes()), film.close
    if told[1]:
        os.environ["OPENCV_FFMPEG_WRITER_OPTIONS"] = told[1]
    video = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*told[0]), RATE, SIZE_WH)
    return lambda image: video.write(image), video.release


def write(path: Path, frames: int, *, killed: bool) -> None:
    """Write a film of blobs that drift; prints the milliseconds of a frame."""
    add, finish = writer(path)
    noise = np.random.default_rng(0).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    scene = cv2.resize(noise, SIZE_WH)
    start = time.perf_counter()
    for index in range(frames):
        add(np.ascontiguousarray(np.roll(scene, 2 * index, axis=1)))
    print((time.perf_counter() - start) / frames * 1e3, flush=True)
    if killed:
        os.kill(os.getpid(), signal.SIGKILL)
    finish()


def readable(path: Path) -> int:
    """How many frames FFmpeg reads."""
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    frames = 0
    while capture.isOpened() and capture.read()[0]:
        frames += 1
    return frames


def main() -> None:
    """Print a line per container."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--write", nargs=2, metavar=("PATH", "ENDING"), help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.write:
        write(Path(asked.write[0]), asked.frames, killed=asked.write[1] == "killed")
        return
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    for name in CONTAINERS:
        with tempfile.TemporaryDirectory() as folder:
            path, row = Path(folder) / name, {}
            for ending in ("killed", "whole"):
                path.unlink(missing_ok=True)
                words = ["--frames", str(asked.frames), "--write", str(path), ending]
                command = [sys.executable, "-m", "tests.benchmarks.film_containers", *words]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                row[ending] = (readable(path), path.stat().st_size, float(done.stdout))
        (left, *_), (_, size_bytes, frame_ms) = row["killed"], row["whole"]
        print(f"{name:16} {left:4} of {asked.frames}  {size_bytes / 1e6:5.1f} MB  {frame_ms:5.1f} ms/frame")


if __name__ == "__main__":
    main()
