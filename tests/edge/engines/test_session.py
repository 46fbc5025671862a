"""One session of every engine: the same answers from many threads, one end, and one line in a fork."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from converters.onnx.file import onnx_bytes
from converters.tflite.writer import tflite_bytes
from edge.engines.engine import Session, open_session
from edge.engines.null_session import NullSession
from edge.engines.other_python import OtherPython
from edge.engines.session import EngineSession
from edge.engines.table import ENGINES
from edge.errors import EngineError
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.importers.tflite.parsing.schema import pack, schema
from tests.benchmarks.threads import session_call, wrong_outputs
from tests.support.one_operator import Parameters, activation, conv_graph, graph_of

THREADS, CALLS = 8, 20
SIDE, CHANNELS = 24, 32
# engine, kernels, format
SESSIONS = (
    ("litert", "xnnpack", "tflite"),
    ("litert", "builtin", "tflite"),
    ("litert", "reference", "tflite"),
    ("onnxruntime", "mlas", "onnx"),
    ("torch", "aten", "tflite"),
    ("torch", "eager", "onnx"),
    ("torch", "eager-channels-last", "onnx"),
    ("torch", "bf16", "onnx"),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A convolution that keeps several threads busy: INT8 as a TFLite file, float as an ONNX file."""
    folder = tmp_path_factory.mktemp("files")
    random = np.random.default_rng(1)
    weight, bias = random.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)), random.integers(-99, 99, CHANNELS)
    source = activation("x", (1, SIDE, SIDE, CHANNELS), Parameters(scale=0.1, zero_point=3))
    target = activation("y", (1, SIDE, SIDE, CHANNELS), Parameters(scale=2.0, zero_point=-5))
    scale = np.array([0.01], np.float32)
    int8 = conv_graph(source, target, weight, scale, bias, pads=(1, 1, 1, 1))
    (folder / "int8.tflite").write_bytes(tflite_bytes(int8))
    tensors = [Tensor(name=name, shape=(1, CHANNELS, SIDE, SIDE), dtype="float32") for name in "xy"]
    tensors += [
        Tensor(name=name, shape=array.shape, dtype="float32", data=array.astype(np.float32))
        for name, array in (("weight", weight), ("bias", bias))
    ]
    conv = Operator(
        kind="Conv",
        name="conv",
        inputs=("x", "weight", "bias"),
        outputs=("y",),
        attributes=int8.operators[0].attributes,
    )
    float32 = Graph(
        name="conv",
        layout="nchw",
        operators=(conv,),
        tensors={tensor.name: tensor for tensor in tensors},
        inputs=("x",),
        outputs=("y",),
    )
    (folder / "float.onnx").write_bytes(onnx_bytes(float32))
    return {"tflite": folder / "int8.tflite", "onnx": folder / "float.onnx"}


def frames(session: Session, count: int) -> list[list[np.ndarray]]:
    """Inputs that all differ."""
    random = np.random.default_rng(0)
    return [
        [random.integers(-100, 100, port.shape).astype(port.dtype) for port in session.inputs] for _ in range(count)
    ]


@pytest.mark.parametrize(("engine", "kernels", "form"), SESSIONS)
@pytest.mark.parametrize("kernel_threads", [2])
def test_answers_from_many_threads_are_those_of_one(
    files: dict[str, Path], engine: str, kernels: str, form: str, kernel_threads: int
) -> None:
    with open_session(engine, files[form], threads=kernel_threads, kernels=kernels) as session:
        assert wrong_outputs(session_call(session, THREADS), threads=THREADS, calls=CALLS) == []


@pytest.mark.unhurried
def test_sessions_of_one_other_python_may_be_asked_at_once(files: dict[str, Path]) -> None:
    with OtherPython(sys.executable) as python:
        sessions = [python.open_session("litert", files["tflite"]) for _ in range(THREADS)]
        calls = [session_call(session, THREADS) for session in sessions]
        assert wrong_outputs(lambda number: calls[number](number), threads=THREADS, calls=CALLS) == []


def test_the_engine_lends_its_model_to_one_thread_at_a_time() -> None:
    class Counting(NullSession):
        inside = most = 0

        def _compute(self, model, inputs):  # type: ignore[no-untyped-def]
            self.inside += 1
            self.most = max(self.most, self.inside)
            time.sleep(0.001)
            self.inside -= 1
            return super()._compute(model, inputs)

    session = Counting(inputs=(), outputs=())
    workers = [threading.Thread(target=session.run, args=([],)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert session.most == 1


def test_every_engine_shares_the_one_mechanism(files: dict[str, Path]) -> None:
    assert {engine for engine, _, _ in SESSIONS} | {"tflite-runtime", "null"} == set(ENGINES)
    for engine, kernels, form in SESSIONS:
        session = open_session(engine, files[form], kernels=kernels)
        assert isinstance(session, EngineSession)
        assert type(session).run is EngineSession.run and type(session).close is EngineSession.close


@pytest.mark.parametrize(("engine", "kernels", "form"), SESSIONS)
def test_a_closed_session_says_so_and_holds_nothing(
    files: dict[str, Path], engine: str, kernels: str, form: str
) -> None:
    session = open_session(engine, files[form], kernels=kernels)
    with session as same:
        assert same is session
        given = frames(session, 1)[0]
        session.run(given)
    session.close()
    with pytest.raises(EngineError, match=f"^{engine}: the session is closed; load the model again$"):
        session.run(given)


def test_a_session_of_another_python_is_forgotten_there_when_it_is_closed(files: dict[str, Path]) -> None:
    with OtherPython(sys.executable) as python:
        session = python.open_session("litert", files["tflite"])
        number = session._model.number
        session.close()
        gc.collect()
        with pytest.raises(EngineError):
            python.run(number, frames(session, 1)[0])
        with pytest.raises(EngineError, match="the session is closed"):
            session.run(frames(session, 1)[0])


# The model is loaded and run, then the process forks; the child says what happened and ends as told.
IN_A_FORK = """
import gc, os, sys
import numpy as np
from edge.errors import EngineError
from edge.engines.engine import open_session
from edge.engines.other_python import OtherPython

engine, kernels, path, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
if engine == "other":
    python = OtherPython(sys.executable)
    session = python.open_session("litert", path, threads=threads, kernels=kernels)
else:
    session = open_session(engine, path, threads=threads, kernels=kernels)
given = [np.ones(port.shape, port.dtype) for port in session.inputs]
expected = session.run(given)[0]
child = os.fork()
if child == 0:
    try:
        session.run(given)
    except EngineError as error:
        print(error, flush=True)
    if engine == "other":
        python.close()
    else:
        again = open_session(engine, path, threads=1, kernels=kernels)
        assert np.array_equal(again.run(given)[0], expected)
    session.close()
    del session
    gc.collect()
    sys.exit(7)  # the interpreter is taken down as ever
_, status = os.waitpid(child, 0)
assert np.array_equal(session.run(given)[0], expected)
sys.exit(os.waitstatus_to_exitcode(status))
"""


# With two threads: what the child must neither run nor free.
FORKED = [session for session in SESSIONS if session[1] in ("xnnpack", "builtin", "mlas", "eager")]


@pytest.mark.parametrize("threads", [2])
@pytest.mark.parametrize(("engine", "kernels", "form"), [*FORKED, ("other", "xnnpack", "tflite")])
def test_the_child_of_a_fork_is_refused_and_ends(
    files: dict[str, Path], engine: str, kernels: str, form: str, threads: int
) -> None:
    command = [sys.executable, "-c", IN_A_FORK, engine, kernels, str(files[form]), str(threads)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, _ = process.communicate(timeout=100)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 7, said
    assert "this is a fork of it" in said and said.count("\n") == 1


def test_torch_with_several_threads_is_refused_in_a_fork(files: dict[str, Path]) -> None:
    open_session("torch", files["tflite"])
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            open_session("torch", files["tflite"], threads=2)
        except EngineError as error:
            os.write(writer, str(error).encode())
        os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        assert "2 threads do not work in a fork" in said.read()


def test_a_file_that_xnnpack_cannot_prepare_is_refused_with_what_runs_it(tmp_path: Path) -> None:
    """A resize whose output has other parameters than its input."""
    given = activation("x", (1, 4, 4, 1), Parameters(scale=0.1, zero_point=3))
    made = activation("y", (1, 8, 8, 1), Parameters(scale=0.1, zero_point=3))
    attributes = {"mode": "linear", "coordinates": "half_pixel", "size_hw": (8, 8)}
    model = schema().ModelT.InitFromPackedBuf(tflite_bytes(graph_of("Resize", [given], made, attributes)), 0)
    model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].quantization.scale = [0.2]
    path = tmp_path / "resize.tflite"
    path.write_bytes(pack(model))
    with pytest.raises(EngineError, match="--kernels builtin"):
        open_session("litert", path)
    open_session("litert", path, kernels="builtin").run([np.zeros((1, 4, 4, 1), np.int8)])
