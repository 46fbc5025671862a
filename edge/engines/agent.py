"""What runs inside another Python: opens model files and runs them, told by messages on standard input.

It needs the standard library, numpy and one runtime; Python 3.10 and newer. `edge.engines.other_python` sends this
module and the engine modules there: nothing has to be installed, and both sides are of one version.
"""

import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from edge.engines.emulation import emulator
from edge.engines.engine import Session, installed_engines, open_session
from edge.engines.framing import Ended, pack_arrays, read_message, unpack_arrays, write_message
from edge.engines.table import PREFERRED
from edge.errors import EngineError
from edge.files.leftovers import temporary_folder

Reply = tuple[dict[str, Any], bytes]
FORMATS = tuple(PREFERRED)  # of the files that may be sent here


class Agent:
    """The models that are open in this process, by number; their files lie in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened = 0
        self._sessions: dict[int, Session] = {}

    def probe(self, header: Mapping[str, Any], payload: bytes) -> Reply:
        """What this Python is and which engines it has."""
        told = {
            "python": platform.python_version(),
            "machine": platform.machine(),
            "emulated": emulator(),
            "numpy": np.__version__,
            "engines": list(installed_engines()),
        }
        return told, b""

    def open(self, header: Mapping[str, Any], payload: bytes) -> Reply:
        """Load the model file that the payload holds."""
        if header["format"] not in FORMATS:
            raise EngineError(f"a file of format {header['format']}; known: {', '.join(FORMATS)}")
        self._opened += 1
        path = self._folder / f"model_{self._opened}.{header['format']}"
        path.write_bytes(payload)
        session = open_session(header["engine"], path, threads=header["threads"], kernels=header["kernels"])
        self._sessions[self._opened] = session
        ports = {
            "inputs": [port.plain for port in session.inputs],
            "outputs": [port.plain for port in session.outputs],
        }
        return {"session": self._opened, "info": asdict(session.info), **ports}, b""

    def run(self, header: Mapping[str, Any], payload: bytes) -> Reply:
        """Run an open model once."""
        outputs = self._sessions[header["session"]].run(unpack_arrays(header["arrays"], payload))
        described, data = pack_arrays(outputs)
        return {"arrays": described}, data

    def release(self, numbers: list[int]) -> None:
        """Forget models that nobody asks for any more."""
        for number in numbers:
            self._sessions.pop(number, None)
            for form in FORMATS:
                path = self._folder / f"model_{number}.{form}"
                if path.exists():
                    path.unlink()


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer messages until there are no more. What goes wrong is answered in one line, with the error's name."""
    with temporary_folder() as folder:
        agent = Agent(folder)
        requests: dict[str, Callable[[Mapping[str, Any], bytes], Reply]] = {
            "probe": agent.probe,
            "open": agent.open,
            "run": agent.run,
        }
        while True:
            try:
                header, payload = read_message(source)
            except Ended:
                return
            try:
                agent.release(header.get("release", []))
                reply, data = requests[header["do"]](header, payload)
            except Exception as error:  # whatever a native runtime raises: the other side decides
                text = " ".join(str(error).split()).replace(f"{folder}{os.sep}", "")
                write_message(sink, {"error": text or "no reason given", "kind": type(error).__name__})
            else:
                write_message(sink, reply, data)
