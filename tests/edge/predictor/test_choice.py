"""Which file an engine runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edge.artifact.manifest import open_artifact
from edge.engines.engine import installed_engines
from edge.engines.table import ENGINES
from edge.errors import EngineError, UsageError
from edge.predictor.choice import choose_engine, file_for

MakeArtifact = Callable[..., Path]


def test_engines_get_the_file_of_their_format(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    assert {file_for(artifact, name).path for name in ("litert", "tflite-runtime", "null", "torch")} == {"model.tflite"}
    with pytest.raises(EngineError, match=r"no onnx file for onnxruntime; it holds model\.tflite"):
        file_for(artifact, "onnxruntime")
    with pytest.raises(UsageError, match="did you mean 'onnxruntime'"):
        file_for(artifact, "onnx-runtime")


def test_a_source_is_never_run_on_a_device(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    run = artifact.manifest.files[0]
    source = run.model_copy(update={"path": "source.onnx", "format": "onnx", "role": "source"})
    with_source = replace(artifact, manifest=artifact.manifest.model_copy(update={"files": (run, source)}))
    with pytest.raises(EngineError, match="no onnx file for onnxruntime"):
        file_for(with_source, "onnxruntime")
    alone = replace(artifact, manifest=artifact.manifest.model_copy(update={"files": (source,)}))
    assert file_for(alone, "torch").path == "source.onnx"


def test_native_torch_takes_the_layout_that_is_its_own(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    run = artifact.manifest.files[0]
    files = (run, run.model_copy(update={"path": "model.onnx", "format": "onnx"}))
    both = replace(artifact, manifest=artifact.manifest.model_copy(update={"files": files}))
    assert file_for(both, "torch").path == file_for(both, "torch", "aten").path == "model.tflite"
    assert file_for(both, "torch", "cuda-fp16").path == file_for(both, "torch", "eager").path == "model.onnx"
    assert file_for(artifact, "torch", "eager").path == "model.tflite"  # there is no other
    assert file_for(both, "litert", "builtin").path == "model.tflite"


def test_the_first_installed_engine_with_a_file_is_chosen(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    fitting = [engine for engine in installed_engines() if "tflite" in ENGINES[engine].formats]
    if fitting:
        assert choose_engine(artifact) == fitting[0]
    else:
        with pytest.raises(EngineError, match="no engine here runs its tflite file"):
            choose_engine(artifact)
