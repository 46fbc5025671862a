"""ONNX files with ONNX Runtime's CPU kernels (MLAS)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy.typing as npt

from edge.errors import EngineError, ModelFileError, UsageError, unknown_name
from edge.runtime.cpu_features import kernels_isa
from edge.runtime.engine import EngineInfo, Port, Session
from edge.runtime.inputs import check_inputs
from edge.runtime.package_facts import installed_package, wheel_tag

DTYPES: Mapping[str, str] = MappingProxyType(
    {
        "tensor(float)": "float32",
        "tensor(float16)": "float16",
        "tensor(double)": "float64",
        "tensor(uint8)": "uint8",
        "tensor(int8)": "int8",
        "tensor(int16)": "int16",
        "tensor(int32)": "int32",
        "tensor(int64)": "int64",
        "tensor(bool)": "bool",
    }
)
KERNELS = ("mlas",)
PROVIDER = "CPUExecutionProvider"
ERRORS_ONLY = 3
# Packages that bring the module `onnxruntime`; which of them is installed decides the providers.
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml", "onnxruntime-qnn")


def open_onnxruntime(path: Path, *, threads: int = 1, kernels: str | None = None) -> Session:
    """Load an ONNX file with ONNX Runtime on the CPU.

    Ports carry no scale: an ONNX file does not state the parameters of an integer input or output; an artifact's
    manifest does. A symbolic batch size is taken as 1.

    Raises:
        EngineError: onnxruntime is not installed, refuses the file, or the file leaves a size open.
        ModelFileError: the file is missing.
        UsageError: a kernel set other than `mlas`.
    """
    if kernels is not None and kernels not in KERNELS:
        raise UsageError(unknown_name("kernel set of onnxruntime", kernels, KERNELS))
    try:
        import onnxruntime
    except ImportError as error:
        raise EngineError(
            f"onnxruntime: it is not installed here; pip install 'edge-deploy[onnxruntime]' ({error})"
        ) from error
    if not path.is_file():
        raise ModelFileError(path, "no such file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(str(path), sess_options=options, providers=[PROVIDER])
    except Exception as error:  # the runtime's exceptions share no base class below Exception
        raise EngineError(f"onnxruntime: {path}: refused by the runtime: {_one_line(error)}") from error
    version = str(onnxruntime.__version__)
    package = installed_package(PACKAGES, version)
    info = EngineInfo(
        engine="onnxruntime",
        version=version,
        kernels="mlas",
        delegate=str(session.get_providers()[0]),
        operators=None,
        delegated_operators=None,
        threads=int(session.get_session_options().intra_op_num_threads),
        package=package,
        wheel_tag=wheel_tag(package),
        kernels_isa=kernels_isa("mlas"),
    )
    return OnnxSession(session, info, path)


class OnnxSession:
    """A loaded ONNX model; owns the runtime's session."""

    def __init__(self, session: Any, info: EngineInfo, path: Path) -> None:
        self._session = session
        self._info = info
        self._inputs = tuple(_port(value, path) for value in session.get_inputs())
        self._outputs = tuple(_port(value, path) for value in session.get_outputs())
        self._output_names = [port.name for port in self._outputs]

    @property
    def inputs(self) -> tuple[Port, ...]:
        """The model's inputs, in the file's order."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The model's outputs, in the file's order."""
        return self._outputs

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return self._info

    def run(self, inputs: Sequence[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        """Run once; arrays as in the file. Refuses (EngineError) other shapes or dtypes."""
        check_inputs("onnxruntime", self._inputs, inputs)
        feed = {port.name: array for port, array in zip(self._inputs, inputs, strict=True)}
        try:
            return list(self._session.run(self._output_names, feed))
        except Exception as error:  # the runtime's exceptions share no base class below Exception
            raise EngineError(f"onnxruntime: the model failed: {_one_line(error)}") from error


def _port(value: Any, path: Path) -> Port:
    if value.type not in DTYPES:
        raise EngineError(f"onnxruntime: {path}: '{value.name}' is a {value.type}; only plain tensors can be run")
    sizes = [1 if axis == 0 and not isinstance(size, int) else size for axis, size in enumerate(value.shape)]
    if any(not isinstance(size, int) for size in sizes):
        shown = ", ".join(str(size) for size in value.shape)
        raise EngineError(f"onnxruntime: {path}: '{value.name}' has an open size ({shown}); export it with fixed sizes")
    return Port(name=value.name, shape=tuple(sizes), dtype=DTYPES[value.type])


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
