"""The engines: one row each with all that is known of one before it is opened, and `NAME:KERNELS` read by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.engines.kernel_sets import LITERT, NULL, PROVIDERS, TFLITE_RUNTIME, TORCH, KernelSet
from edge.errors import UsageError, unknown_name


@dataclass(frozen=True, kw_only=True)
class Engine:
    """One engine.

    Attributes:
        opener: module and function, which takes (path, *, threads: int = 1, kernels: str | None = None).
        formats: of the files that it runs, the preferred one first.
        kernel_sets: by name, the default one first.
        runtime: the module that is imported for it; '' where there is none. Its import is timed by itself.
        packages: that bring the runtime; which of several is installed decides what it can do.
        for_devices: taken where no engine is named, in the table's order, compared by `edge verify`, and taken apart
            by `edge bench --explain`.
        computes_nothing: it has an artifact's ports alone; nothing of it is tested, compared or judged. The opener of
            any other takes `data` too, a file's bytes.
        takes_sizes: its opener takes `batch` and `shapes` too, for inputs whose sizes a file leaves open.
        spins_ns: so long after a run the threads of its pool may spin; measured.
    """

    opener: tuple[str, str]
    formats: tuple[str, ...]
    kernel_sets: Mapping[str, KernelSet]
    runtime: str = ""
    packages: tuple[str, ...] = ()
    for_devices: bool = False
    computes_nothing: bool = False
    takes_sizes: bool = False
    spins_ns: int = 0

    @property
    def default_kernels(self) -> str:
        """Name of the kernel set that it takes by itself."""
        return next(iter(self.kernel_sets))

    @property
    def compared_kernels(self) -> tuple[str, ...]:
        """Names of the kernel sets that are compared, the default one first."""
        return tuple(name for name, kernels in self.kernel_sets.items() if kernels.compared)


ENGINES: Mapping[str, Engine] = MappingProxyType(
    {
        "litert": Engine(
            opener=("edge.engines.litert", "open_litert"),
            formats=("tflite",),
            kernel_sets=LITERT,
            runtime="ai_edge_litert.interpreter",
            packages=("ai-edge-litert",),
            for_devices=True,
        ),
        "tflite-runtime": Engine(
            opener=("edge.engines.litert", "open_tflite_runtime"),
            formats=("tflite",),
            kernel_sets=TFLITE_RUNTIME,
            runtime="tflite_runtime.interpreter",
            packages=("tflite-runtime",),
            for_devices=True,
        ),
        "onnxruntime": Engine(
            opener=("edge.engines.onnx_session", "open_onnxruntime"),
            formats=("onnx",),
            kernel_sets=PROVIDERS,
            runtime="onnxruntime",
            packages=(
                "onnxruntime",
                "onnxruntime-gpu",
                "onnxruntime-openvino",
                "onnxruntime-directml",
                "onnxruntime-qnn",
            ),
            for_devices=True,
            takes_sizes=True,
            spins_ns=50_000_000,
        ),
        "torch": Engine(
            opener=("edge.engines.torch.engine", "open_torch"),
            formats=("tflite", "onnx"),
            kernel_sets=TORCH,
            runtime="torch",
            packages=("torch",),
            takes_sizes=True,
        ),
        "null": Engine(
            opener=("edge.engines.null", "open_null"),
            formats=("tflite", "onnx"),
            kernel_sets=NULL,
            computes_nothing=True,
        ),
    }
)
COMPUTE_NOTHING = frozenset(name for name, engine in ENGINES.items() if engine.computes_nothing)
# Taken where none is named, the preferred one first.
DEVICE_ENGINES = tuple(name for name, engine in ENGINES.items() if engine.for_devices)
# format -> the engine that runs it where none is named: what `edge verify` and the writers of artifacts compare with.
PREFERRED: Mapping[str, str] = MappingProxyType(
    {form: next(name for name in DEVICE_ENGINES if form in ENGINES[name].formats) for form in ("tflite", "onnx")}
)
# `kernel_key`s for which an INT8 file is held to 0 quanta, whatever was measured.
EXACT_KERNELS = frozenset(
    f"{name}/{kernels}/{machine}"
    for name, engine in ENGINES.items()
    for kernels, known in engine.kernel_sets.items()
    for machine in known.exact_on
)


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """An engine and the kernel set asked of it; None leaves the set to the engine."""

    engine: str
    kernels: str | None

    @property
    def text(self) -> str:
        """As it is written: `torch:cuda-fp16`, or `torch`."""
        return self.engine if self.kernels is None else f"{self.engine}:{self.kernels}"


def engine_spec(text: str) -> EngineSpec:
    """Read `NAME` or `NAME:KERNELS`: `litert`, `litert:builtin`, `torch:cuda-fp16-compile`.

    Raises:
        UsageError: an unknown engine or kernel set, with the nearest known one; nothing after the colon.
    """
    engine, colon, kernels = text.partition(":")
    if engine not in ENGINES:
        raise UsageError(unknown_name("engine", engine, ENGINES))
    if not colon:
        return EngineSpec(engine=engine, kernels=None)
    if not kernels:
        raise UsageError(
            f"engine '{text}': no kernel set after the colon; known: {', '.join(ENGINES[engine].kernel_sets)}"
        )
    check_kernels(engine, kernels)
    return EngineSpec(engine=engine, kernels=kernels)


def check_kernels(engine: str, kernels: str | None) -> None:
    """Refuse (UsageError) a kernel set that an engine does not have; None is its default."""
    known = ENGINES[engine].kernel_sets
    if kernels is not None and kernels not in known:
        raise UsageError(unknown_name(f"kernel set of {engine}", kernels, known))


def known_kernels(engine: str, kernels: str | None) -> KernelSet:
    """What the table says of a kernel set; nothing is known of one that it does not hold. None is the default one."""
    row = ENGINES.get(engine)
    return KernelSet() if row is None else row.kernel_sets.get(kernels or row.default_kernels, KernelSet())
