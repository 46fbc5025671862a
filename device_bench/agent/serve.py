"""Answer messages on standard input: probe this machine, take files, run a job.

A message is framed by `edge.engines.framing`. Requests: `{"do": "probe"}`, `{"do": "file", "name": ...}` with the
file as payload, `{"do": "run"}` with the job's JSON as payload, `{"do": "end"}`, the last. Answers: `{"answer": true}`
with JSON as payload, `{"progress": [done, total]}` and `{"subject": HASH.FORMAT}` before it, or
`{"error": ..., "kind": ...}`.
"""

import hashlib
import json
import os
import re
import select
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from device_bench.agent.run_job import probe, run_job
from edge.engines.framing import Ended, read_message, write_message
from edge.errors import EngineError
from edge.files.leftovers import temporary_folder

FOLDER = "EDGE_AGENT_FOLDER"  # names the folder for our files, where whoever asks has made one
GONE_SECONDS = 0.5
FILE_NAME = re.compile(r"([0-9a-f]{64})\.(tflite|onnx|npz|jpg)")


def keep_file(folder: Path, name: Any, data: bytes) -> None:
    """Write one of the job's files. Refuses (EngineError) another name than HASH.FORMAT, and another content."""
    matched = FILE_NAME.fullmatch(name) if isinstance(name, str) else None
    if matched is None:
        raise EngineError(f"a file named {str(name)[:80]!r}; it must be HASH.FORMAT")
    if hashlib.sha256(data).hexdigest() != matched.group(1):
        raise EngineError(f"{name} arrived damaged: its SHA-256 is another")
    (folder / name).write_bytes(data)


def serve(source: BinaryIO, sink: BinaryIO, run: Callable[..., dict[str, Any]] = run_job) -> None:
    """Answer messages until the last. What goes wrong is answered in one line, with the error's name.

    Args:
        run: called with a job's document, the folder of its files, `progress` and `begins`; `run_job` is ended when
            the other side is gone.
    """

    def tell(done: int, total: int) -> None:
        write_message(sink, {"progress": [done, total]})

    def begins(file: str) -> None:
        write_message(sink, {"subject": file})

    given = os.environ.get(FOLDER)
    with temporary_folder(None if given is None else Path(given)) as folder:
        if run is run_job:
            _end_with(source, folder)
        while True:
            try:
                header, payload = read_message(source)
            except Ended:
                return
            try:
                told: dict[str, Any] = {}
                if header.get("do") == "file":
                    keep_file(folder, header.get("name"), payload)
                elif header.get("do") == "run":
                    told = run(json.loads(payload), folder, progress=tell, begins=begins)
                elif header.get("do") == "probe":
                    told = probe()
                elif header.get("do") != "end":
                    raise EngineError(f"a request to {str(header.get('do'))[:80]!r}")
                data = json.dumps(told).encode()
            except Exception as error:  # whatever a native runtime raises: the other side decides
                text = " ".join(str(error).split()).replace(f"{folder}{os.sep}", "")
                write_message(sink, {"error": text or "no reason given", "kind": type(error).__name__})
            else:
                write_message(sink, {"answer": True}, data)
                if header.get("do") == "end":
                    return


def _end_with(source: BinaryIO, folder: Path) -> None:
    """End this process soon after the other side has gone: what it measures then is for nobody.

    A thread sleeps until the pipe is closed, at no cost. Where the source is no pipe nothing is watched.
    """
    try:
        watched = select.poll()
        watched.register(source.fileno(), 0)  # closed is always told
    except (OSError, AttributeError):  # bytes in memory; a system without poll
        return

    def wait() -> None:
        watched.poll()
        time.sleep(GONE_SECONDS)  # whoever waits for a message sees the end itself
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def main() -> None:
    """Answer on the real standard streams; what native code prints to standard output goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
