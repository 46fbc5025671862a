"""TFLite files: LiteRT (ai-edge-litert) and its predecessor tflite-runtime, with one and the same code."""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.engines.cpu_features import kernels_isa
from edge.engines.engine import EngineInfo, Session
from edge.engines.inputs import check_inputs
from edge.engines.kernel_sets import LITERT
from edge.engines.package_facts import wheel_tag
from edge.engines.selected_rows import blank_unselected, selected_places
from edge.engines.session import EngineSession
from edge.engines.table import ENGINES, check_kernels
from edge.errors import EngineError, ModelFileError
from edge.files.quiet import quiet_native_log
from edge.installation import needs
from edge.port import Port

BUILTIN_HINT = "XNNPACK cannot prepare this file; --kernels builtin (bench: --engine {engine}:builtin) runs without it"
IDENTIFIER = b"TFL3"  # bytes 4..8 of a TFLite flatbuffer


def open_litert(path: Path, *, threads: int = 1, kernels: str | None = None, data: bytes | None = None) -> Session:
    """Load a TFLite file with LiteRT.

    Args:
        data: the file's bytes, if they were read before.
        kernels: `xnnpack`, `builtin` or `reference`; None takes XNNPACK where the runtime applies it.

    Raises:
        EngineError: ai-edge-litert is not installed, refuses the file, or does not run XNNPACK when it was asked for.
        ModelFileError: the file is missing or is not a TFLite file.
    """
    return _open("litert", path, threads, kernels, data)


def open_tflite_runtime(
    path: Path, *, threads: int = 1, kernels: str | None = None, data: bytes | None = None
) -> Session:
    """Load a TFLite file with tflite-runtime, as `open_litert` does.

    Its last version (2.14) applies XNNPACK to float models only; INT8 models run on the built-in kernels.
    """
    return _open("tflite-runtime", path, threads, kernels, data)


def _open(engine: str, path: Path, threads: int, kernels: str | None, data: bytes | None) -> Session:
    check_kernels(engine, kernels)
    row = ENGINES[engine]
    try:
        module = import_module(row.runtime)
    except ImportError as error:
        raise EngineError(f"{engine}: {needs(row.runtime.partition('.')[0])} ({error})") from error
    _check_file(path, data)
    content = {"model_path": str(path)} if data is None else {"model_content": data}
    resolver = module.OpResolverType[LITERT[kernels or row.default_kernels].resolver]
    try:
        with quiet_native_log():
            interpreter = module.Interpreter(**content, num_threads=threads, experimental_op_resolver_type=resolver)
            operators = interpreter._get_ops_details()
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError, MemoryError) as error:
        told = " ".join(str(error).split())
        hint = f"; {BUILTIN_HINT.format(engine=engine)}" if kernels in (None, "xnnpack") and "delegate" in told else ""
        raise EngineError(f"{engine}: {path}: refused by the runtime: {told}{hint}") from error
    nodes = interpreter._get_ops_details()
    taken = _delegated(len(operators), nodes)
    delegated = sum(taken)
    if kernels == "xnnpack" and delegated == 0:
        raise EngineError(
            f"{engine}: {path}: XNNPACK took none of {len(operators)} operators here "
            "(an old runtime, or /sys is not mounted); leave the kernels open or ask for 'builtin'"
        )
    applied = "reference" if kernels == "reference" else "xnnpack" if delegated else "builtin"
    info = EngineInfo(
        engine=engine,
        version=metadata.version(row.packages[0]),
        kernels=applied,
        delegate="XNNPACK" if delegated else None,
        operators=len(operators),
        delegated_operators=delegated,
        threads=threads,
        package=row.packages[0],
        wheel_tag=wheel_tag(row.packages[0]),
        kernels_isa=kernels_isa(row.kernel_sets[applied].family),
    )
    session = LiteRtSession(interpreter, info, delegated=taken, partitions=len(nodes) - len(operators))
    session.selected = selected_places(operators, [int(d["index"]) for d in interpreter.get_output_details()])
    return session


def _check_file(path: Path, data: bytes | None) -> None:
    """Refuse (ModelFileError) what cannot be a TFLite file before native code maps it."""
    try:
        if data is None:
            with path.open("rb") as handle:
                head = handle.read(8)
        else:
            head = data[:8]
    except OSError as error:
        raise ModelFileError(path, f"cannot be read: {error.strerror}") from error
    if len(head) < 8 or head[4:8] != IDENTIFIER:
        raise ModelFileError(path, f"is not a TFLite file: bytes 4 to 8 are {head[4:8]!r}, not {IDENTIFIER!r}")


def _delegated(count: int, nodes: Sequence[Mapping[str, Any]]) -> tuple[bool, ...]:
    """Which of the file's `count` operators a delegate took.

    After allocation the runtime lists the file's nodes and then one DELEGATE node per delegated partition. A partition
    is every node that a delegate's outputs depend on, back to the delegate's inputs.
    """
    producer = {int(tensor): index for index, node in enumerate(nodes[:count]) for tensor in node["outputs"]}
    taken: set[int] = set()
    for node in nodes[count:]:
        outside = {int(tensor) for tensor in node["inputs"]}
        pending = [int(tensor) for tensor in node["outputs"]]
        while pending:
            tensor = pending.pop()
            index = producer.get(tensor)
            if index is None or index in taken or tensor in outside:
                continue
            taken.add(index)
            pending += [int(name) for name in nodes[index]["inputs"]]
    return tuple(index in taken for index in range(count))


class LiteRtSession(EngineSession):
    """A loaded TFLite model; owns the interpreter.

    Attributes:
        delegated: for every operator of the file, whether a delegate took it. partitions: parts that it took them in.
        selected: where the outputs of a detector's post-processing stand; see `edge.engines.selected_rows`.
    """

    selected: "tuple[int, ...] | None" = None

    def __init__(
        self, interpreter: Any, info: EngineInfo, *, delegated: tuple[bool, ...] = (), partitions: int = 0
    ) -> None:
        inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
        ports = [tuple(_port(detail) for detail in details) for details in (inputs, outputs)]
        super().__init__(info.engine, interpreter, ports[0], ports[1])
        self._info = info
        self.delegated, self.partitions = delegated, partitions
        self._input_indices = tuple(int(detail["index"]) for detail in inputs)
        self._output_indices = tuple(int(detail["index"]) for detail in outputs)

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return self._info

    @property
    def interpreter(self) -> Any:
        """The runtime's own interpreter; for one thread, as `prepared` is."""
        return self._alone(lambda interpreter: interpreter)

    def _compute(self, model: Any, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        try:
            for index, array in zip(self._input_indices, inputs, strict=True):
                model.set_tensor(index, array)
            model.invoke()
        except (ValueError, RuntimeError) as error:
            raise EngineError(f"{self._engine}: the model failed: {' '.join(str(error).split())}") from error
        try:
            found = [model.get_tensor(index) for index in self._output_indices]
        except ValueError:
            found = [self._copied(model, place) for place in range(len(self._outputs))]
        if self.selected is not None:
            blank_unselected(found, self.selected)
        return found

    def _copied(self, interpreter: Any, place: int) -> npt.NDArray[Any]:
        """An output as the caller's own; the runtime refuses to give one without elements, which is made here."""
        port = self._outputs[place]
        try:
            found: npt.NDArray[Any] = interpreter.get_tensor(self._output_indices[place])
        except ValueError as error:
            shape = tuple(int(size) for size in interpreter.get_output_details()[place]["shape"])
            if 0 not in shape:
                told = f"output '{port.name}' {shape} cannot be read: {' '.join(str(error).split())}"
                raise EngineError(f"{self._engine}: {told}") from error
            return np.zeros(shape, port.dtype)
        return found

    def separate(self, inputs: Sequence[npt.NDArray[Any]]) -> tuple[Callable[[], None], Callable[[], None]]:
        """Two functions: one hands the inputs over, one is the operators' work alone; no output is copied out."""
        check_inputs(self._engine, self._inputs, inputs)
        pairs = tuple(zip(self._input_indices, inputs, strict=True))
        interpreter = self.interpreter
        put = interpreter.set_tensor

        def hand_over() -> None:
            for index, array in pairs:
                put(index, array)

        hand_over()
        invoke: Callable[[], None] = interpreter.invoke
        return hand_over, invoke

    def prepared(self, inputs: Sequence[npt.NDArray[Any]]) -> Callable[[], list[npt.NDArray[Any]]]:
        """The inputs checked once; see `edge.engines.engine.PreparedSession`. A failing model raises as it does."""
        check_inputs(self._engine, self._inputs, inputs)
        interpreter = self.interpreter
        put, invoke, get = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
        outputs = self._output_indices
        if any(0 in port.shape for port in self._outputs):  # nothing is left to bind: each is made anew
            return lambda: self._compute(interpreter, inputs)
        if len(inputs) == len(outputs) == 1:
            (index,), (array,), (output,) = self._input_indices, inputs, outputs

            def run_one() -> list[npt.NDArray[Any]]:
                put(index, array)
                invoke()
                return [get(output)]

            return run_one
        pairs = tuple(zip(self._input_indices, inputs, strict=True))

        def run_all() -> list[npt.NDArray[Any]]:
            for place, value in pairs:
                put(place, value)
            invoke()
            return [get(place) for place in outputs]

        return run_all


def _port(detail: Mapping[str, Any]) -> Port:
    scales = detail["quantization_parameters"]["scales"]
    zero_points = detail["quantization_parameters"]["zero_points"]
    quantized = len(scales) == 1 and np.dtype(detail["dtype"]).kind in "iu"
    return Port(
        name=str(detail["name"]),
        shape=tuple(int(size) for size in detail["shape"]),
        dtype=np.dtype(detail["dtype"]).name,
        scale=float(scales[0]) if quantized else None,
        zero_point=int(zero_points[0]) if quantized else None,
    )
