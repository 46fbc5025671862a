"""What answers on a device over SSH: it takes files, starts jobs that outlive the connection, waits for them, collects.

Requests (`edge.engines.framing`), each answered by `{"answer": true}` with JSON as payload, or `{"error", "kind"}`:
`probe`; `need` (names) says which files are missing; `file` (name) keeps one; `start` (id, mode, names, who, timeout_s;
the job as payload); `wait` (id) tells progress and answers with the job's answer; `stop` (id); `forget` (id).
"""

import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from device_bench.agent.detached import read_report, reserve_report
from device_bench.agent.device_folder import (
    holder_text,
    is_held,
    job_folder,
    keep_file,
    root_folder,
    take_lock,
    unusable_files,
    wait_free,
    write_whole,
)
from device_bench.agent.run_job import probe
from edge.engines.framing import Ended, read_message, write_message
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.errors import EngineError

MODES = ("new", "resume", "attach")
START_JOB = """
import sys
sys.path.insert(0, sys.argv[1])
from device_bench.agent.detached import main
main(sys.argv[2], sys.argv[3])
"""


class JobServer:
    """The device's side of one connection.

    Args:
        archive: the agent's code, which jobs are started from.
    """

    def __init__(self, archive: str, source: BinaryIO, sink: BinaryIO) -> None:
        self._archive, self._source, self._sink = archive, source, sink
        self._root = root_folder()

    def probe(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """What this machine is, and what of ours lies there."""
        agents = sorted(path.name for path in self._root.glob("agent-*"))
        return {**probe(), "folder": str(self._root), "agents": agents}

    def need(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """Which of the named files must be sent."""
        return {"missing": unusable_files(self._root, header["names"])}

    def file(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """Keep a file."""
        keep_file(self._root, header["name"], payload)
        return {}

    def start(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """Start a job unless the mode finds it there.

        `new` always starts; `resume` collects one that runs or has an answer; `attach` one that was ever started.
        """
        folder, mode = job_folder(self._root, header["id"]), header["mode"]
        if mode not in MODES:
            raise EngineError(f"a mode that is {str(mode)[:80]!r}")
        running = is_held(folder / "lock")
        there = running or (folder / "answer.json").is_file() or (mode == "attach" and (folder / "report").is_file())
        if mode != "new" and there:
            return {"started": False}
        holder = {
            "job": header["id"],
            "who": header["who"],
            "since": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        device = take_lock(self._root / "lock", holder)
        if device is None:
            hint = "; --resume collects it" if running else ""
            raise EngineError(
                f"the device is taken by {holder_text(self._root / 'lock')}; wait until it has ended{hint}"
            )
        try:
            self._launch(folder, header, json.loads(payload), device)
        except Exception:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            os.close(device)
        return {"started": True}

    def wait(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """Sleep until a job has ended, then answer what it answered."""
        folder = job_folder(self._root, header["id"])
        if not (folder / "lock").exists():
            raise EngineError(f"there is no job {header['id'][:12]} on the device")
        self._sleep(folder)
        report = read_report(folder)
        if report.get("exit") == 0:
            reply: dict[str, Any] = json.loads((folder / "answer.json").read_bytes())
            return reply
        raise EngineError(_reason(report, folder))

    def stop(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """End a job, if it runs."""
        folder = job_folder(self._root, header["id"])
        stopped = is_held(folder / "lock") and (folder / "pid").is_file()
        if stopped:
            os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
            wait_free(folder / "lock")
        return {"stopped": stopped}

    def forget(self, header: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        """Remove a job that has ended."""
        folder = job_folder(self._root, header["id"])
        if is_held(folder / "lock"):
            raise EngineError(f"job {header['id'][:12]} still runs")
        shutil.rmtree(folder, ignore_errors=True)
        return {}

    def _launch(self, folder: Path, header: Mapping[str, Any], job: Any, device: int) -> None:
        """The job's folder, and the process that runs it, in a session of its own."""
        shutil.rmtree(folder, ignore_errors=True)
        spec = {"job": job, "files": header["names"], "timeout_s": float(header["timeout_s"])}
        write_whole(folder / "job.json", json.dumps(spec).encode())
        reserve_report(folder)
        os.mkfifo(folder / "progress", 0o600)
        lock = take_lock(folder / "lock", {})
        if lock is None:
            raise EngineError(f"job {header['id'][:12]} is held by another process")
        try:
            with (folder / "err.txt").open("wb") as said:
                subprocess.Popen(
                    [THIS_PYTHON, *code_arguments(START_JOB, [self._archive, str(self._root), header["id"]])],
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                    pass_fds=(device, lock),
                )
        finally:
            os.close(lock)

    def _sleep(self, folder: Path) -> None:
        """Until the job's lock is free; progress is told meanwhile, and a closed connection ends this process."""
        progress = os.open(folder / "progress", os.O_RDWR | os.O_NONBLOCK)
        ended, end = os.pipe()

        def watch() -> None:
            wait_free(folder / "lock")
            os.close(end)

        threading.Thread(target=watch, daemon=True).start()
        try:
            waited: list[Any] = [progress, ended, self._source]
            while True:
                ready, _, _ = select.select(waited, [], [])
                if ended in ready:
                    return
                if self._source in ready:
                    raise Ended("the connection was closed")
                for line in os.read(progress, 4096).split(b"\n")[:-1]:
                    write_message(self._sink, {"progress": [int(word) for word in line.split()]})
        finally:
            os.close(progress)
            os.close(ended)


def _reason(report: Mapping[str, Any], folder: Path) -> str:
    """Why a job has no answer, in one line."""
    if "error" in report:
        return str(report["error"])
    if "exit" not in report:
        return "the job ended without a report: the device was restarted, or its processes killed; run it again"
    lines = (folder / "err.txt").read_bytes()[-4096:].decode("utf-8", "replace").strip().splitlines()
    said = f"; it said: {lines[-1]}" if lines else ""
    begun = (folder / "subject").read_text() if (folder / "subject").is_file() else ""
    of = f"{begun}: " if begun else ""
    if report["exit"] >= 0:
        return f"{of}the job ended with exit code {report['exit']}{said}"
    number = -report["exit"]
    if number == signal.SIGALRM:
        seconds = json.loads((folder / "job.json").read_bytes())["timeout_s"]
        return f"the job was stopped after {seconds:g} s; give it more with --timeout"
    name = signal.Signals(number).name
    if number == signal.SIGKILL:
        reason = "most often the device ran out of memory; measure a smaller model, or fewer"
        return f"{of}the job was killed ({name}): {reason}"
    return f"{of}the job was ended by {name}{said}"


def serve(archive: str, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the connection closes. What goes wrong is answered in one line, with the error's name."""
    server = JobServer(archive, source, sink)
    requests: dict[str, Callable[[Mapping[str, Any], bytes], dict[str, Any]]] = {
        "probe": server.probe,
        "need": server.need,
        "file": server.file,
        "start": server.start,
        "wait": server.wait,
        "stop": server.stop,
        "forget": server.forget,
    }
    while True:
        try:
            header, payload = read_message(source)
            if header.get("do") not in requests:
                raise EngineError(f"a request to {str(header.get('do'))[:80]!r}")
            data = json.dumps(requests[header["do"]](header, payload)).encode()
        except Ended:
            return
        except Exception as error:  # the other side decides
            text = " ".join(str(error).split())
            write_message(sink, {"error": text or "no reason given", "kind": type(error).__name__})
        else:
            write_message(sink, {"answer": True}, data)
