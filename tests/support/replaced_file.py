"""Artifacts one of whose files is another, hashes put right: what only verification notices."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.artifact.manifest import MANIFEST_NAME, Artifact, file_sha256, open_artifact
from edge.graph.graph import Graph


def replaced(artifact: Artifact, folder: Path, name: str, data: bytes) -> Artifact:
    """A copy whose file `name` is another, with its manifest put right."""
    shutil.copytree(artifact.folder, folder)
    (folder / name).write_bytes(data)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    head = manifest["point_head"] or {"files": []}
    for file in (*manifest["files"], *head["files"]):
        if file["path"] == name:
            file["sha256"], file["size_bytes"] = file_sha256(folder / name), len(data)
    manifest["provenance"]["parent_path"] = None
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return open_artifact(folder)


def with_bias_moved(graph: Graph, amount: int) -> Graph:
    """The first convolution's biases moved by some steps of the accumulator."""
    operator = next(operator for operator in graph.operators if operator.kind == "Conv")
    bias = graph.tensors[operator.inputs[2]]
    assert bias.data is not None
    return graph.with_tensors([replace(bias, data=(bias.data + amount).astype(np.int32))])
