"""onnx2tf in a process of its own: an empty folder, a bare environment, no network, limits on time and memory."""

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.onnxruntime_module import NO_TELEMETRY
from edge.engines.python_child import file_arguments
from edge.errors import EngineError
from edge.files.leftovers import temporary_folder

AGENT = Path(__file__).with_name("agent.py")
TIME_LIMIT_S = 1800
MEMORY_LIMIT_BYTES = 32 * 1024**3  # of address space; TensorFlow reserves far more than it touches
MAX_MODEL_BYTES = 2**31 - 1
# Nothing listens there: what honours proxies fails at once where the network cannot be taken away.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, kw_only=True)
class Made:
    """What onnx2tf wrote.

    Attributes:
        tflite: the file's bytes. versions: of onnx2tf and TensorFlow.
        seconds: in onnx2tf and TensorFlow, their import included; conversion_seconds: without it.
        peak_bytes: largest resident size of the process; 0 where the system does not tell.
    """

    tflite: bytes
    versions: dict[str, str]
    seconds: float
    conversion_seconds: float
    peak_bytes: int


def run_onnx2tf(
    python: Path,
    source: bytes,
    *,
    calibration: tuple[str, npt.NDArray[np.float32]] | None = None,
    batch: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    memory_limit_bytes: int = MEMORY_LIMIT_BYTES,
) -> Made:
    """Convert an ONNX model. Nothing is left behind, whatever happens.

    Args:
        python: of the environment that has onnx2tf.
        source: an ONNX file's bytes, float.
        calibration: input name and normalized images (n, height, width, 3), for onnx2tf's own quantization to int8.
        batch: what an unknown first dimension becomes.

    Raises:
        EngineError: it failed, ran out of time or memory, or wrote no model of a sane size; with its last words.
    """
    with temporary_folder() as folder:
        work = Path(folder)
        (work / "model.onnx").write_bytes(source)
        job: dict[str, Any] = {
            "source": "model.onnx",
            "memory_bytes": memory_limit_bytes,
            "batch": batch,
            "calibration": None,
        }
        if calibration is not None:
            np.save(work / "images.npy", calibration[1])
            job["calibration"] = [calibration[0], "images.npy"]
        (work / "job.json").write_text(json.dumps(job), encoding="utf-8")
        _run([*_without_network(), str(python), *file_arguments(AGENT, ["job.json"])], work, time_limit_s)
        result = json.loads((work / "result.json").read_text(encoding="utf-8"))
        name = "model_full_integer_quant.tflite" if calibration is not None else "model_float32.tflite"
        path = work / "out" / name
        if not path.is_file() or not 0 < path.stat().st_size <= MAX_MODEL_BYTES:
            raise EngineError(f"onnx2tf ended without an error and wrote no {name}")
        return Made(
            tflite=path.read_bytes(),
            versions=dict(result["versions"]),
            seconds=float(result["seconds"]),
            conversion_seconds=float(result["conversion_seconds"]),
            peak_bytes=int(result["peak_bytes"]),
        )


def bare_environment(work: Path) -> dict[str, str]:
    """What the process sees: a home of its own, quiet libraries, proxies that lead nowhere."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "OMP_NUM_THREADS") if name in os.environ}
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), NOWHERE)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": "-1"}
    return {**kept, **proxies, **quiet, **dict([NO_TELEMETRY]), "HOME": str(work), "TMPDIR": str(work)}


def _without_network() -> list[str]:
    """The command that takes the network away, where an ordinary user may; else nothing, and the proxies must do."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return []
    command = [unshare, "--user", "--map-root-user", "--net"]
    allowed = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    return command if allowed else []


def _run(command: list[str], work: Path, time_limit_s: float) -> None:
    """Run to the end, or end the whole process group. Refuses (EngineError) anything but exit code 0."""
    log = work / "log.txt"
    with log.open("wb") as handle:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=bare_environment(work),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = process.wait(time_limit_s)
        except subprocess.TimeoutExpired:
            raise EngineError(f"onnx2tf was ended after {time_limit_s:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if status:
        raise EngineError(f"onnx2tf failed: {_last_words(log)}")


def _last_words(log: Path) -> str:
    """The last line of the log that says something, shortened."""
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [" ".join(line.split()) for line in text.splitlines() if any(letter.isalpha() for letter in line)]
    errors = [line for line in lines if "Error" in line or "ERROR" in line]
    last = (errors or lines or ["it said nothing"])[-1]
    return last if len(last) <= 300 else last[:300] + "..."
