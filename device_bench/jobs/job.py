"""A job: everything that a target needs to measure, as one JSON document and files by their hashes."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from device_bench.agent.run_job import JOB_VERSION
from device_bench.explain.spec import ExplainSpec
from device_bench.jobs.subjects import Subject
from device_bench.records.plan import Plan
from edge.artifact.manifest import Artifact
from edge.artifact.model_file import ModelFile, TensorInfo
from edge.engines.table import COMPUTE_NOTHING
from edge.errors import FileError, printable
from edge.predictor.point_selftest import head_inputs
from edge.predictor.point_session import head_file
from edge.predictor.selftest import expected_outputs, model_input, selftest_images
from edge.predictor.selftest_archive import read_selftest
from edge.tasks.table import TASKS

SEED = 20260101
FRAME_WH = (1280, 720)
JPEG_QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class Job:
    """A measurement to be made.

    Attributes:
        document: JSON-ready; see `device_bench.agent.run_job`.
        files: HASH.FORMAT -> its path, or its bytes.
        subjects: what the host knows of the document's subjects, in the same order.
    """

    document: Mapping[str, Any]
    files: Mapping[str, Path | bytes]
    subjects: tuple[Subject, ...]
    plan: Plan
    jpeg: bytes | None = None

    @cached_property
    def id(self) -> str:
        """SHA-256 of the canonical document: the same job has the same id."""
        canonical = json.dumps(self.document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def without(self, file: str) -> "Job":
        """The job without the subjects of a model file, HASH.FORMAT."""
        return make_job([entry for entry in self.subjects if entry.file_name != file], self.plan, jpeg=self.jpeg)

    def named(self, text: str) -> str:
        """A device's words, in which a model file is named as the user did instead of as HASH.FORMAT."""
        for subject in self.subjects:
            text = text.replace(subject.file_name, printable(str(subject.path)))
        return text

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Every file's name and bytes. Refuses (FileError) one that can no longer be read."""
        for name, held in self.files.items():
            try:
                yield name, held if isinstance(held, bytes) else held.read_bytes()
            except OSError as error:
                raise FileError(str(held), f"cannot be read: {error.strerror}") from error


def make_job(subjects: Sequence[Subject], plan: Plan, *, jpeg: bytes | None = None) -> Job:
    """Put a job together.

    Args:
        subjects: at least one.
        jpeg: the picture for the end-to-end stages; None makes one of FRAME_WH from each artifact's self-test.

    Raises:
        ArtifactError: a self-test that does not fit its file.
    """
    files: dict[str, Path | bytes] = {}
    described = []
    for subject in subjects:
        entry = _spec(subject)
        if subject.engine not in COMPUTE_NOTHING:
            files[subject.file_name] = subject.path
        if subject.artifact is not None and subject.file is not None:
            archive = _selftest_archive(subject.artifact, subject.file)
            entry["inputs_sha256"] = _add(files, archive, "npz")
        if subject.explain is not None:
            entry["explain"] = _explain(subject, subject.explain, files)
        if plan.end_to_end:
            entry["end_to_end"] = _end_to_end(subject, jpeg, files)
        described.append(entry)
    document = {"job_version": JOB_VERSION, "plan": plan.model_dump(mode="json"), "subjects": described}
    return Job(document=document, files=files, subjects=tuple(subjects), plan=plan, jpeg=jpeg)


def _spec(subject: Subject) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "name": subject.measured.name,
        "file": subject.measured.file,
        "file_sha256": subject.measured.file_sha256,
        "format": subject.format,
        "engine": subject.engine,
        "kernels": subject.kernels,
        "seed": SEED,
        "inputs_sha256": None,
        "allowed": None,
        "meanings": None,
        "ports": None,
        "end_to_end": None,
        "explain": None,
    }
    artifact, file = subject.artifact, subject.file
    return spec if artifact is None or file is None else {**spec, **_told(artifact, file)}


def _told(artifact: Artifact, file: ModelFile) -> dict[str, Any]:
    """What a device holds a file of an artifact to."""
    return {
        "allowed": dict(artifact.manifest.selftest.allowed.get(file.path, {})),
        "meanings": [output.meaning for output in file.outputs],
        "ports": [[tensor.port.plain for tensor in ports] for ports in (file.inputs, file.outputs)],
    }


def _explain(subject: Subject, spec: ExplainSpec, files: dict[str, Path | bytes]) -> dict[str, Any]:
    named = None if spec.onnx is None or spec.onnx.named is None else spec.onnx.named
    chains = () if spec.onnx is None else spec.onnx.chains
    return {
        "method": spec.method,
        "rounds": spec.rounds,
        "most_ns": spec.most_ns,
        "parts": None if spec.parts is None else [dict(part) for part in spec.parts],
        "inputs": list(spec.inputs),
        "call_sha256": None if spec.call is None else _add(files, spec.call, subject.format),
        "chains_sha256": [_add(files, data, "onnx") for data in chains],
        "named_sha256": None if named is None else _add(files, named, "onnx"),
        "peaks_sha256": {name: _add(files, file.data, subject.format) for name, file in spec.peaks.items()},
    }


def _add(files: dict[str, Path | bytes], data: bytes, form: str) -> str:
    sha256 = hashlib.sha256(data).hexdigest()
    files[f"{sha256}.{form}"] = data
    return sha256


def _selftest_archive(artifact: Artifact, file: ModelFile) -> bytes:
    """The self-test as raw inputs and expected outputs: `input_0`, `expected_K`; the same bytes every time."""
    arrays = read_selftest(artifact)
    images = selftest_images(artifact, arrays)
    held = {"input_0": model_input(images, file, artifact.manifest.preprocess)}
    held |= {
        f"expected_{k}": array for k, array in zip(file.told, expected_outputs(artifact, file, arrays), strict=True)
    }
    return pack_archive(held)


def pack_archive(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Arrays as an .npz archive without times in it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            plain = io.BytesIO()
            np.lib.format.write_array(plain, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), plain.getvalue())
    return buffer.getvalue()


def _point_head(
    subject: Subject, artifact: Artifact, file: ModelFile, head: ModelFile, files: dict[str, Path | bytes]
) -> dict[str, Any]:
    """The head beside a subject's file: a subject of its own, with how points are chosen."""
    section = artifact.manifest.point_head
    assert section is not None  # of an artifact with a head
    rule = section.rule((artifact.manifest.preprocess.height, artifact.manifest.preprocess.width))
    tests = None
    if subject.engine not in COMPUTE_NOTHING:
        arrays = read_selftest(artifact)
        network = [file.outputs[place] for place in file.told]
        given = head_inputs(expected_outputs(artifact, file, arrays), network, head.inputs[0], rule)
        held = {"input_0": given, "expected_0": expected_outputs(artifact, head, arrays)[0]}
        tests = _add(files, pack_archive(held), "npz")
    return {
        **_spec(subject),
        **_told(artifact, head),
        "file": head.path,
        "file_sha256": _add(files, artifact.read(head.path), head.format),
        "format": head.format,
        "inputs_sha256": tests,
        "rule": {**vars(rule), "size_hw": list(rule.size_hw)},
        "given": _tensor(head.inputs[0]),
        "answer": _tensor(head.outputs[0]),
    }


def _end_to_end(subject: Subject, jpeg: bytes | None, files: dict[str, Path | bytes]) -> dict[str, Any]:
    """What the stages need, or why there are none."""
    artifact, file = subject.artifact, subject.file
    if artifact is None or file is None:
        return {"missing": "a bare model file does not say how a picture becomes its input"}
    if artifact.manifest.task not in TASKS:
        return {"missing": f"a {artifact.manifest.task} model has no stages yet"}
    detection = artifact.manifest.detection
    picture = _own_picture(artifact) if jpeg is None else jpeg
    head = head_file(artifact, file)
    return {
        **({} if head is None else {"point_head": _point_head(subject, artifact, file, head, files)}),
        "jpeg_sha256": _add(files, picture, "jpg"),
        "preprocess": artifact.manifest.preprocess.model_dump(mode="json"),
        "input": _tensor(file.inputs[0]),
        "outputs": [_tensor(file.outputs[place]) for place in file.told],
        "told": list(file.told),
        "task": artifact.manifest.task,
        "classes": len(artifact.manifest.labels.names),
        "detection": None if detection is None else detection.model_dump(mode="json"),
    }


def _own_picture(artifact: Artifact) -> bytes:
    """The first self-test image at FRAME_WH as a JPEG: real content, so that decoding costs what it costs."""
    image = selftest_images(artifact, read_selftest(artifact))[0]
    frame = cv2.resize(image, FRAME_WH, interpolation=cv2.INTER_CUBIC)
    encoded = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return bytes(np.asarray(encoded).tobytes())


def _tensor(info: TensorInfo) -> dict[str, Any]:
    return info.model_dump(mode="json", include={"name", "dtype", "layout", "meaning", "scores", "scale", "zero_point"})
