"""Which of an artifact's files an engine runs, and which installed engine to take when none is named."""

from collections.abc import Mapping
from types import MappingProxyType

from edge.artifact.manifest import Artifact, ModelFile
from edge.engines.engine import ENGINES, installed_engines
from edge.engines.kernel_sets import KERNEL_SETS
from edge.errors import EngineError, UsageError, unknown_name

# engine -> formats it reads, the preferred one first.
FORMATS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "litert": ("tflite",),
        "tflite-runtime": ("tflite",),
        "onnxruntime": ("onnx",),
        "torch": ("tflite", "onnx"),
        "null": ("tflite", "onnx"),
    }
)
# The kernel set of torch that executes either format as it is stored; see `edge.engines.torch.engine`.
TORCH_DEFAULT = KERNEL_SETS["torch"][0]


def file_for(artifact: Artifact, engine: str, kernels: str | None = None) -> ModelFile:
    """The file of an artifact that an engine runs: one that devices run, and only for torch else the source.

    torch's native kernel sets take the ONNX file first: its layout is torch's own.

    Raises:
        UsageError: unknown engine.
        EngineError: the artifact holds no file in a format of the engine.
    """
    if engine not in FORMATS:
        raise UsageError(unknown_name("engine", engine, ENGINES))
    roles = ("run", "source") if engine == "torch" else ("run",)
    formats = FORMATS[engine]
    if engine == "torch" and kernels not in (None, TORCH_DEFAULT):
        formats = tuple(sorted(formats))  # onnx, tflite
    for role in roles:
        for wanted in formats:
            for file in artifact.manifest.files:
                if file.role == role and file.format == wanted:
                    return file
    held = ", ".join(file.path for file in artifact.manifest.files)
    raise EngineError(f"{artifact.folder}: no {' or '.join(FORMATS[engine])} file for {engine}; it holds {held}")


def choose_engine(artifact: Artifact) -> str:
    """The preferred engine that is installed and for which the artifact has a file.

    Raises:
        EngineError: there is none.
    """
    formats = {file.format for file in artifact.manifest.files if file.role == "run"}
    for engine in installed_engines():
        if formats.intersection(FORMATS[engine]):
            return engine
    installed = ", ".join(installed_engines()) or "none"
    raise EngineError(
        f"{artifact.folder}: no engine here runs its {' or '.join(sorted(formats))} file (installed: {installed}); "
        "pip install ai-edge-litert or onnxruntime"
    )
