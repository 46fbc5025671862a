"""Sessions in another Python: real interpreters, and programs that only pretend to be one."""

import ast
import gc
import io
import stat
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from converters.tflite.writer import tflite_bytes
from edge.engines.agent_code import AGENT, agent_archive, agent_files
from edge.engines.engine import open_session
from edge.engines.other_python import OtherPython
from edge.engines.output_difference import kernel_key
from edge.errors import EngineError, UsageError
from tests.support.oldest_python import OLDEST, oldest_python
from tests.support.one_operator import Parameters, activation, graph_of, random_input

pytestmark = pytest.mark.unhurried  # other interpreters are started

Pretend = Callable[..., str]
SHAPE = (1, 4, 4, 3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An INT8 file of one Add."""
    inputs = [activation(name, SHAPE, Parameters(scale=0.1, zero_point=3)) for name in "ab"]
    output = activation("y", SHAPE, Parameters(scale=0.17, zero_point=-5))
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(tflite_bytes(graph_of("Add", inputs, output, {"activation": "none"})))
    return path


@pytest.fixture(scope="module")
def other() -> Iterator[OtherPython]:
    with OtherPython(sys.executable) as python:
        yield python


@pytest.fixture
def pretend(tmp_path: Path) -> Pretend:
    """A function that makes an executable which takes the agent's code and then does something else."""

    def make(body: str) -> str:
        path = tmp_path / "python"
        head = f"#!{sys.executable}\nimport hashlib, os, struct, sys, time\nsys.stdin.buffer.read(int(sys.argv[3]))\n"
        path.write_text(head + body)
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return make


def arrays() -> list[np.ndarray]:
    tensor = activation("x", SHAPE, Parameters(scale=0.1, zero_point=0))
    random = np.random.default_rng(0)
    return [random_input(random, tensor), random_input(random, tensor)]


def test_it_says_what_it_is(other: OtherPython) -> None:
    assert other.info.python == sys.version.split()[0]
    assert other.info.numpy == np.__version__
    assert "litert" in other.info.engines and other.info.emulated is None
    assert other.words == f"of {sys.executable}"


@pytest.mark.parametrize("kernels", [None, "builtin", "reference"])
def test_a_session_there_answers_as_a_session_here(other: OtherPython, model: Path, kernels: str | None) -> None:
    here, there = open_session("litert", model, kernels=kernels), other.open_session("litert", model, kernels=kernels)
    assert there.info == here.info and kernel_key(there.info) == kernel_key(here.info)
    assert (there.inputs, there.outputs) == (here.inputs, here.outputs)
    inputs = arrays()
    assert all(np.array_equal(a, b) for a, b in zip(there.run(inputs), here.run(inputs), strict=True))


def test_refusals_come_back_as_one_line(other: OtherPython, model: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(model.read_bytes()[:64])
    with pytest.raises(EngineError, match="refused by the runtime") as refused:
        other.open_session("litert", damaged)
    assert "\n" not in str(refused.value) and str(refused.value).startswith(f"{sys.executable}: ")
    with pytest.raises(UsageError, match="did you mean 'litert'"):
        other.open_session("litrt", model)
    with pytest.raises(EngineError, match="1 input arrays for a model with 2"):
        other.open_session("litert", model).run(arrays()[:1])
    assert other.open_session("litert", model).run(arrays())[0].shape == SHAPE  # and it still answers


def test_a_model_that_nobody_holds_is_forgotten_there(other: OtherPython, model: Path) -> None:
    session = other.open_session("litert", model)
    number = session._model.number
    del session
    gc.collect()
    with pytest.raises(EngineError):
        other.run(number, arrays())


def test_what_steers_the_python_here_does_not_reach_the_other_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "numpy.py").write_text("raise RuntimeError('the wrong numpy')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with OtherPython(sys.executable) as python:
        assert python.info.numpy == np.__version__


REPLY = "sys.stdout.buffer.write({}); sys.stdout.flush()\n"
PREFIX = 'struct.pack(">4sIQ32s", b"EDGE", {}, {}, {})'


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("sys.exit('no space left')", r"ended without an answer \(exit code 1\); it said: no space left"),
        ("os.kill(os.getpid(), 11)", r"ended without an answer \(exit code -11\)"),
        (REPLY.format(PREFIX.format(100, 0, "bytes(32)") + "+b'{}'"), "cut off: 2 of 100 bytes"),
        (REPLY.format("b'EDGE'"), "a message of 4 bytes"),
        (REPLY.format(PREFIX.format(2, 0, "bytes(32)") + "+b'{}'"), "SHA-256"),
        (REPLY.format(PREFIX.format(2, "1 << 62", "bytes(32)") + "+b'{}'") + "time.sleep(60)", "are allowed"),
        (REPLY.format("b'welcome to this machine' * 10"), "starts with b'welc'"),
        (REPLY.format(PREFIX.format(2, 0, "hashlib.sha256(b'[]').digest()") + "+b'[]'"), "not an object but list"),
        (REPLY.format(PREFIX.format(2, 0, "hashlib.sha256(b'{}').digest()") + "+b'{}'"), "'python' is 'None'"),
    ],
)
def test_a_program_that_answers_wrongly_is_told_and_ended(pretend: Pretend, body: str, told: str) -> None:
    with pytest.raises(EngineError, match=told) as refused:
        OtherPython(pretend(body))
    assert "\n" not in str(refused.value)


def test_a_program_that_never_answers_is_ended(pretend: Pretend) -> None:
    with pytest.raises(EngineError, match=r"no answer within 0.5 s; it said: thinking"):
        OtherPython(pretend("print('thinking', file=sys.stderr, flush=True)\ntime.sleep(60)"), reply_seconds=0.5)


def test_code_that_arrives_damaged_is_not_run(tmp_path: Path) -> None:
    spoiling = tmp_path / "python"
    spoiling.write_text(f'#!/bin/sh\nexec {sys.executable} "$1" "$2" 1000 "$4"\n')
    spoiling.chmod(0o755)
    with pytest.raises(EngineError, match="the agent's code arrived damaged"):
        OtherPython(spoiling)


def test_what_is_no_interpreter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such interpreter"):
        OtherPython(tmp_path / "python")
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x7fELF" + bytes(60))
    foreign.chmod(0o755)
    with pytest.raises(EngineError, match="cannot be started"):
        OtherPython(foreign)


def test_a_model_that_ends_the_process_is_told_and_nothing_is_left(model: Path, tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())
    with OtherPython(sys.executable) as python:
        session = python.open_session("litert", model)
        python._process.kill()
        python._process.wait()
        with pytest.raises(EngineError, match="ended without an answer"):
            session.run(arrays())
    assert set(tmp_path.iterdir()) == before


def test_the_agent_needs_numpy_alone_and_is_written_for_python_3_10() -> None:
    with zipfile.ZipFile(io.BytesIO(agent_archive(AGENT))) as archive:
        assert archive.namelist() == list(agent_files(AGENT))
        for name in agent_files(AGENT):
            ast.parse(archive.read(name).decode(), feature_version=OLDEST)


def test_the_oldest_python_of_a_device_answers() -> None:
    """The real one: every module of the agent is imported there, and a probe is answered."""
    with OtherPython(oldest_python(with_numpy=True)) as python:
        assert python.info.python.startswith("{}.{}.".format(*OLDEST))
