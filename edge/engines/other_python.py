"""Sessions in another Python: another environment, another version, or an emulated machine of another architecture.

The other side needs Python 3.10, numpy and a runtime; the product is not installed there: its engine modules are sent.
"""

import os
import platform
import shutil
import subprocess
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import numpy.typing as npt

from edge.engines.agent_code import AGENT, agent_archive, start_arguments
from edge.engines.engine import EngineInfo
from edge.engines.framing import pack_arrays, read_message, unpack_arrays, write_message
from edge.engines.reply_fields import read_info, read_port, read_text, read_texts
from edge.engines.session import EngineSession
from edge.errors import EngineError, ModelFileError, UsageError
from edge.port import Port

START_SECONDS = 120.0
REPLY_SECONDS = 600.0
KEPT_STDERR_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class PythonInfo:
    """What another Python says about itself.

    Attributes:
        python, numpy: versions. machine: as `platform.machine()` says there. emulated: what plays it, None if real.
        engines: keys of ENGINES whose runtime is installed there.
    """

    python: str
    machine: str
    emulated: str | None
    numpy: str
    engines: tuple[str, ...]


class OtherPython:
    """A running Python interpreter that opens and runs model files; a context manager that ends it.

    It may be asked from any thread of the process that started it: the questions wait for one another.

    Args:
        python: path of an interpreter, or a command on PATH.
        reply_seconds: how long one answer may take before the process is ended; the first at most 120 s.

    Raises:
        UsageError: there is no such interpreter. EngineError: it does not start, or lacks numpy.
    """

    def __init__(self, python: str | Path, *, reply_seconds: float = REPLY_SECONDS) -> None:
        self.python = str(python)
        self._reply_seconds = min(START_SECONDS, reply_seconds)
        self._stale: list[int] = []
        self._lock, self._asker = threading.Lock(), os.getpid()
        self._said = b""
        archive = agent_archive(AGENT)
        # What steers the Python that runs here must not reach the other one.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        try:
            self._process = subprocess.Popen(
                [_executable(self.python), *start_arguments(archive)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**environment, "PYTHONDONTWRITEBYTECODE": "1"},
            )
        except OSError as error:  # an executable of another machine, for example
            raise EngineError(f"{self.python}: cannot be started: {error.strerror}") from error
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        try:
            header, _ = self._ask({"do": "probe"}, before=archive)
            self.info = PythonInfo(
                python=read_text(header, "python"),
                machine=read_text(header, "machine"),
                emulated=read_text(header, "emulated") if header.get("emulated") is not None else None,
                numpy=read_text(header, "numpy"),
                engines=read_texts(header, "engines"),
            )
            self._reply_seconds = reply_seconds
        except BaseException:
            self.close()
            raise

    @property
    def words(self) -> str:
        """Where it is: `on aarch64 (qemu-aarch64)` for another machine, else `of PATH`."""
        if self.info.machine == platform.machine():
            return f"of {self.python}"
        return f"on {self.info.machine}" + (f" ({self.info.emulated})" if self.info.emulated else "")

    def __enter__(self) -> "OtherPython":
        """Itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process."""
        self.close()

    def open_session(
        self,
        engine: str,
        path: str | Path,
        *,
        threads: int = 1,
        kernels: str | None = None,
        data: bytes | None = None,
    ) -> "OtherSession":
        """Send a model file there and load it; arguments and refusals as in `edge.engines.engine.open_session`."""
        try:
            data = Path(path).read_bytes() if data is None else data
        except OSError as error:
            raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
        request = {"do": "open", "engine": engine, "threads": threads, "kernels": kernels}
        header, _ = self._ask({**request, "format": Path(path).suffix.removeprefix(".")}, data)
        number = header.get("session")
        if type(number) is not int or not isinstance(header.get("info"), dict):
            raise EngineError(f"{self.python}: an answer without a session")
        ports = [[read_port(entry) for entry in header.get(name, ())] for name in ("inputs", "outputs")]
        model = OpenModel(self, number)
        # The other side forgets the model with the next request after nobody here holds it any more.
        weakref.finalize(model, self._stale.append, number)
        return OtherSession(model, read_info(header["info"]), tuple(ports[0]), tuple(ports[1]))

    def run(self, number: int, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run an open model once; see `OtherSession.run`."""
        described, payload = pack_arrays(inputs)
        header, data = self._ask({"do": "run", "session": number, "arrays": described}, payload)
        return unpack_arrays(header.get("arrays"), data)

    def close(self) -> None:
        """End the process and free what it holds; nothing in the child of a fork, to which it does not belong."""
        if self._asker != os.getpid():
            return
        process = self._process
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                _close_quietly(stream)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._listener.join(timeout=5)
        if process.stderr is not None and not self._listener.is_alive():
            process.stderr.close()

    def _ask(
        self, request: Mapping[str, Any], payload: bytes = b"", *, before: bytes = b""
    ) -> tuple[dict[str, Any], bytes]:
        """Send one request and wait for its answer; `before` goes ahead of the request as it is."""
        if self._asker != os.getpid():
            raise EngineError(f"{self.python}: was started by process {self._asker}, not by this fork of it")
        with self._lock:
            return self._ask_alone(request, payload, before)

    def _ask_alone(self, request: Mapping[str, Any], payload: bytes, before: bytes) -> tuple[dict[str, Any], bytes]:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        release, self._stale[:] = list(self._stale), []
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(self._reply_seconds, end)
        timer.start()
        try:
            process.stdin.write(before)
            write_message(cast(BinaryIO, process.stdin), {**request, "release": release}, payload)
            header, data = read_message(cast(BinaryIO, process.stdout))
        except (OSError, ValueError, EngineError) as error:
            raise EngineError(f"{self.python}: {self._reason(error, late.is_set())}") from error
        finally:
            timer.cancel()
        if "error" in header:
            told = f"{self.python}: {read_text(header, 'error')}"
            raise UsageError(told) if header.get("kind") == "UsageError" else EngineError(told)
        return header, data

    def _reason(self, error: Exception, late: bool) -> str:
        """Why there is no answer, with the last line that the other side wrote to standard error; it is ended."""
        process = self._process
        try:
            ended = f" (exit code {process.wait(timeout=1)})"
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            ended = ""
        self._listener.join(timeout=5)
        lines = self._said.decode("utf-8", "replace").strip().splitlines()
        said = f"; it said: {lines[-1].strip()}" if lines else ""
        if late:
            return f"no answer within {self._reply_seconds:g} s{said}"
        told = str(error) if isinstance(error, EngineError) else "it ended without an answer"
        return f"{told}{ended}{said}"

    def _listen(self) -> None:
        assert self._process.stderr is not None
        while block := os.read(self._process.stderr.fileno(), 1 << 16):
            self._said = (self._said + block)[-KEPT_STDERR_BYTES:]


class OpenModel:
    """A model that is open in another Python, by its number there; forgotten there when nobody here holds it."""

    def __init__(self, owner: OtherPython, number: int) -> None:
        self.owner, self.number = owner, number


class OtherSession(EngineSession):
    """A model that is loaded in another Python; see `edge.engines.engine.Session`."""

    def __init__(self, model: OpenModel, info: EngineInfo, inputs: tuple[Port, ...], outputs: tuple[Port, ...]) -> None:
        super().__init__(info.engine, model, inputs, outputs)
        self._info = info

    @property
    def info(self) -> EngineInfo:
        """What really runs there."""
        return self._info

    def _compute(self, model: OpenModel, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        outputs = model.owner.run(model.number, inputs)
        told = [(array.dtype.name, array.shape) for array in outputs]
        if told != [(port.dtype, port.shape) for port in self._outputs]:
            raise EngineError(f"{model.owner.python}: answers {told} do not fit the model's outputs")
        return outputs


def _executable(python: str) -> str:
    found = shutil.which(python)
    if found is None:
        raise UsageError(f"--python {python}: no such interpreter; give the path of an executable")
    return os.path.abspath(found)


def _close_quietly(stream: IO[bytes]) -> None:
    """Close a pipe whose other end may be gone: what was not delivered is lost on purpose."""
    try:
        stream.close()
    except OSError:
        return
