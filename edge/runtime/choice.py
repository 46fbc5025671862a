"""Which of an artifact's files an engine runs, and which installed engine to take when none is named."""

from collections.abc import Mapping
from types import MappingProxyType

from edge.artifact import Artifact, ModelFile
from edge.errors import EngineError, UsageError, unknown_name
from edge.runtime.engine import ENGINES, installed_engines

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


def file_for(artifact: Artifact, engine: str) -> ModelFile:
    """The file of an artifact that an engine runs: one that devices run, and only for torch else the source.

    Raises:
        UsageError: unknown engine.
        EngineError: the artifact holds no file in a format of the engine.
    """
    if engine not in FORMATS:
        raise UsageError(unknown_name("engine", engine, ENGINES))
    roles = ("run", "source") if engine == "torch" else ("run",)
    for role in roles:
        for wanted in FORMATS[engine]:
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
        "pip install 'edge-deploy[litert]' or 'edge-deploy[onnxruntime]'"
    )
