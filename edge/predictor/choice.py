"""Which of an artifact's files an engine runs, and which installed engine to take when none is named."""

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.engine import installed_engines
from edge.engines.table import ENGINES
from edge.errors import EngineError, UsageError, unknown_name


def file_for(artifact: Artifact, engine: str, kernels: str | None = None) -> ModelFile:
    """The file of an artifact that an engine runs: one that devices run, and only for torch else the source.

    torch's native kernel sets take the ONNX file first: its layout is torch's own.

    Raises:
        UsageError: unknown engine.
        EngineError: the artifact holds no file in a format of the engine.
    """
    if engine not in ENGINES:
        raise UsageError(unknown_name("engine", engine, ENGINES))
    roles = ("run", "source") if engine == "torch" else ("run",)
    formats = ENGINES[engine].formats
    if engine == "torch" and kernels not in (None, ENGINES[engine].default_kernels):
        formats = tuple(sorted(formats))  # onnx, tflite
    for role in roles:
        for wanted in formats:
            for file in artifact.manifest.files:
                if file.role == role and file.format == wanted:
                    return file
    held = ", ".join(file.path for file in artifact.manifest.files)
    raise EngineError(
        f"{artifact.folder}: no {' or '.join(ENGINES[engine].formats)} file for {engine}; it holds {held}"
    )


def choose_engine(artifact: Artifact) -> str:
    """The preferred engine that is installed and for which the artifact has a file.

    Raises:
        EngineError: there is none.
    """
    formats = {file.format for file in artifact.manifest.files if file.role == "run"}
    for engine in installed_engines():
        if formats.intersection(ENGINES[engine].formats):
            return engine
    installed = ", ".join(installed_engines()) or "none"
    raise EngineError(
        f"{artifact.folder}: no engine here runs its {' or '.join(sorted(formats))} file (installed: {installed}); "
        "pip install ai-edge-litert or onnxruntime"
    )
