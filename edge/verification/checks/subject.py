"""An artifact opened for verification: the graphs of its files, held to what the manifest tells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile
from edge.engines.inputs import port_difference
from edge.engines.torch.engine import port_of_tensor
from edge.errors import ArtifactError, ModelFileError, UnsupportedError, UsageError
from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.reader import read_tflite
from edge.graph.importers.told_shapes import with_told_shapes
from edge.graph.passes.before_selection import before_selection
from edge.predictor.point_session import head_file, points_by
from edge.verification.checks.onnx_reference import OnnxReference
from edge.verification.checks.own_answers import OwnAnswers
from edge.vision.point_rend import Points


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An artifact with the graph of every file.

    Attributes:
        files: those of the network, or of its point head, as the manifest lists them.
        source: the manifest entry of the file that the others were written from: `source.onnx`, or the float ONNX. An
            artifact stripped for a device has neither, nor has a file that was wrapped as it is; then the run file is
            executed as it reads.
        graphs: file name -> its graph; without those of wrapped files that are not read here.
        reference: executes the source: the integer simulation, or float32. ONNX Runtime does for onnx2tf's artifacts,
            which may hold operators without a formula here; a wrapped file that holds one is its own reference.
        head: the files of the point head, a subject of their own; None of an artifact without one.
    """

    artifact: Artifact
    files: tuple[ModelFile, ...]
    source: ModelFile
    graphs: Mapping[str, Graph]
    reference: IntegerSimulation | FloatRun | OnnxReference | OwnAnswers
    head: "Subject | None" = None

    @property
    def is_integer(self) -> bool:
        """Whether the files are held to the integer simulation; not so where another tool chose the integers."""
        return isinstance(self.reference, IntegerSimulation)

    @property
    def points(self) -> Points | None:
        """The point head, executed as the source is; None of an artifact without one."""
        head = self.head
        if head is None:
            return None
        return points_by(self.artifact, self.source, lambda given: head.reference.run([given])[0])

    def answers(self, raw: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """What the reference makes of images (n, ...), stacked along the first axis, as the manifest tells shapes."""
        graph, outputs = self.graphs.get(self.source.path), self.source.outputs
        if graph is None or all(
            graph.tensors[name].shape == told.shape
            for name, told in zip((*graph.inputs, *graph.outputs), (*self.source.inputs, *outputs), strict=True)
        ):
            return self.reference.run([raw])
        shape = graph.tensors[graph.inputs[0]].shape
        each = [self.reference.run([image.reshape(shape)]) for image in raw]
        stacked = [np.stack([made[k] for made in each]) for k in range(len(outputs))]
        for k in self.source.told:
            stacked[k] = stacked[k].reshape(-1, *outputs[k].shape[1:])
        return stacked

    @property
    def run_files(self) -> tuple[ModelFile, ...]:
        """The files that devices run."""
        return tuple(file for file in self.files if file.role == "run")


def open_subject(artifact: Artifact) -> Subject:
    """Read every file of an artifact.

    Raises:
        ModelFileError: a file that does not hold. UnsupportedError: an operator that has no formula, by name.
    """
    files = artifact.manifest.files
    if artifact.manifest.provenance.road == "as is":
        return _wrapped(artifact, files[0])
    source = min(files, key=lambda file: (file.role != "source", file.format != "onnx"))
    graphs = {path: before_selection(graph) for path, graph in _graphs(artifact, files).items()}
    graph = graphs[source.path]
    if len(graph.outputs) != len(source.outputs):
        own = OwnAnswers(
            artifact, source, "the file that it was written from is not there, and it selects boxes itself"
        )
        return Subject(artifact=artifact, files=files, source=source, graphs=graphs, reference=own)
    return Subject(
        artifact=artifact,
        files=files,
        source=source,
        graphs=graphs,
        reference=_reference(artifact, source, graph),
        head=_head(artifact, source),
    )


def _graphs(artifact: Artifact, files: tuple[ModelFile, ...]) -> dict[str, Graph]:
    graphs = {}
    for file in files:
        data = artifact.read(file.path)
        graphs[file.path] = read_onnx(data) if file.format == "onnx" else read_tflite(data)
        _require_as_told(artifact, file, graphs[file.path])
    return graphs


def _head(artifact: Artifact, network: ModelFile) -> Subject | None:
    """The point head's files, of which the one beside the network's source is executed."""
    section, source = artifact.manifest.point_head, head_file(artifact, network)
    if section is None or source is None:
        return None
    graphs = _graphs(artifact, section.files)
    reference = _reference(artifact, source, graphs[source.path])
    return Subject(artifact=artifact, files=section.files, source=source, graphs=graphs, reference=reference)


def _wrapped(artifact: Artifact, file: ModelFile) -> Subject:
    """Somebody's file, held to the simulation where that covers it, a float file to float execution, else to itself."""
    data = artifact.read(file.path)
    reference: IntegerSimulation | FloatRun | OwnAnswers
    graphs: dict[str, Graph] = {}
    try:
        graph = read_onnx(data, batch=1) if file.format == "onnx" else read_tflite(data)
        graph = with_told_shapes(graph, [output.shape for output in file.outputs])
        _require_as_told(artifact, file, graph)
        graphs[file.path] = graph
        reference = FloatRun(graph) if artifact.manifest.precision == "float32" else IntegerSimulation(graph)
    except (UnsupportedError, ModelFileError, UsageError, ArtifactError) as error:
        reference = OwnAnswers(artifact, file, str(error))
    return Subject(artifact=artifact, files=(file,), source=file, graphs=graphs, reference=reference)


def _require_as_told(artifact: Artifact, file: ModelFile, graph: Graph) -> None:
    """Refuse (ArtifactError) a file whose inputs and outputs are not those of the manifest, ONNX files' scales too."""
    for kind, told, names in (("inputs", file.inputs, graph.inputs), ("outputs", file.outputs, graph.outputs)):
        found = [port_of_tensor(graph.tensors[name]) for name in names]
        problem = port_difference(kind, [tensor.port for tensor in told], found, scales_told=True)
        if problem is not None:
            raise ArtifactError(artifact.folder / file.path, problem)


def _reference(artifact: Artifact, source: ModelFile, graph: Graph) -> IntegerSimulation | FloatRun | OnnxReference:
    if artifact.manifest.provenance.road == "onnx2tf" and source.format == "onnx":
        return OnnxReference(artifact.file(source.path))
    return FloatRun(graph) if artifact.manifest.precision == "float32" else IntegerSimulation(graph)
