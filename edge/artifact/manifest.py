"""The artifact: a folder of model files with a manifest that says everything a device needs, checked by hash.

```text
ARTIFACT/
  model.tflite and/or model.onnx   what devices run
  source.onnx                      the QDQ (or float) ONNX they were written from
  point_head.tflite, .onnx, point_head_source.onnx   the same of a segmenter's point head, where there is one
  manifest.json                    see Manifest; JSON Schema in docs/manifest.schema.json
  selftest.npz                     a few inputs and the expected outputs of each file
```
"""

import hashlib
import json
from codecs import BOM_UTF8
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from edge.artifact.detection import Detection
from edge.artifact.model_file import Labels, ModelFile, Part, Scale, Sha256, Text
from edge.artifact.output_form import OUTPUT_FORMS, form_problem, score_count
from edge.artifact.point_head import PointHeadFiles, point_head_problem
from edge.artifact.quantization_steps import QuantizationSteps
from edge.errors import ArtifactError
from edge.files.bounded_file import check_file, exists, is_dir, is_file, read_bytes
from edge.strict import first_problem
from edge.vision.preprocess import Preprocess

SCHEMA_VERSION: Literal[2] = 2
MANIFEST_NAME = "manifest.json"
SELFTEST_NAME = "selftest.npz"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024
MAX_SELFTEST_BYTES = 2**31

Task = Literal["classify", "segment", "detect"]
Head = Literal["logits", "full_logits", "class_map", "full", "raw", "postprocess"]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
NotNegative = Annotated[float, Field(ge=0)]
Side = Annotated[int, Field(ge=1, le=16384)]


class DerivedRange(Part):
    """Scale and zero point (of signed integers) that a foreign file did not state, and where they come from."""

    tensor: Text
    scale: Scale
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
    how: Text


class QuantizationInfo(Part):
    """How the integers came to be: `qat`, `ptq`, `foreign` (a QDQ file made elsewhere) or `none` (float).

    `ptq (onnx2tf)`: onnx2tf chose them, so they are not held to the integer simulation.
    `weights` says how a file that computes in float stores its weights, where that is not float32.
    `steps` tells what was done after training beside ranges and rounding to the nearest.
    For a foreign file `derived` lists the parameters that it left open, and `notes` what else a person should know.
    """

    method: Literal["qat", "ptq", "ptq (onnx2tf)", "foreign", "none"]
    scheme: dict[str, Any] | None = None
    calibration_sha256: Sha256 | None = None
    calibration_images: Count | None = None
    ranges: Text | None = None
    weights: Literal["int8", "float16"] | None = None
    steps: QuantizationSteps | None = None
    derived: tuple[DerivedRange, ...] = ()
    notes: tuple[Text, ...] = ()


class Cost(Part):
    """Counts from the file itself, of an artifact that was converted multiply-adds and parameters of the network.

    An operator without a rule is named in `unruled`, never counted as zero silently.
    """

    multiply_adds: Count
    parameters: Count
    weights_bytes: Count
    peak_activation_bytes: Count
    unruled: tuple[Text, ...] = ()


class Accuracy(Part):
    """A metric (`top1`, `miou`, `mean_average_precision`, in [0, 1]) of one file or the float parent on a split."""

    subject: Text
    metric: Text
    value: float
    split: Text
    split_sha256: Sha256
    images: Count


class Fidelity(Part):
    """What verify measured: values of `engine` on `machine` that differ from the integer simulation, end to end."""

    subject: Text
    engine: Text
    kernels: Text
    version: Text
    machine: Text | None = None
    images: Count
    values: Count
    differing: Count
    largest_quanta: NotNegative


class Provenance(Part):
    """Where the artifact comes from. `parent` is the float parent's file name and hash; `road` made the TFLite file.

    `trained_resolution_hw`: height and width of the training, where the model's input has another size.
    By the road `as is` nothing made it: somebody's finished file, wrapped byte for byte.
    """

    recipe: dict[str, Any] | None
    trained_resolution_hw: tuple[Side, Side] | None = None
    checkpoint_sha256: Sha256 | None
    source_path: Text
    parent_path: Text | None = None
    parent_sha256: Sha256 | None = None
    commit: Text | None
    dirty: bool | None
    versions: dict[Text, Text]
    command: Text
    time_utc: Text
    road: Literal["writer", "onnx2tf", "as is"] = "writer"


class Selftest(Part):
    """selftest.npz: `images` and `output_FILE_K`. Largest difference allowed in quanta, per file and kernel set.

    For class maps it is a share of the cells, for float files absolute, in the output's units. One that half of all
    that an output can be would pass proves nothing, and is refused; see `edge.predictor.selftest`.
    """

    sha256: Sha256
    samples: Annotated[int, Field(ge=1, le=256)]
    allowed: dict[Text, dict[Text, NotNegative]]


class Manifest(Part):
    """Everything about an artifact.

    `precision`: int16x8 is int16 activations with int8 weights, from the input on (an int8 model may compute parts over
    int16: `quantization.steps.mixed`); `head` says what a segmenter or a detector ends in;
    `detection` says how a detector's outputs become boxes; `point_head` lists the files of a segmenter's head.
    """

    schema_version: Literal[2]
    name: Annotated[str, Field(min_length=1, max_length=255)]
    task: Task
    head: Head | None = None
    precision: Literal["int8", "int16x8", "float32"]
    files: Annotated[tuple[ModelFile, ...], Field(max_length=64)]
    preprocess: Preprocess
    labels: Labels
    detection: Detection | None = None
    point_head: PointHeadFiles | None = None
    quantization: QuantizationInfo
    cost: Cost
    accuracy: tuple[Accuracy, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
    provenance: Provenance
    selftest: Selftest

    @model_validator(mode="after")
    def _one_of_each(self) -> "Manifest":
        names = [file.path for file in self.every_file]
        if len(set(names)) != len(names):
            raise ValueError("two files of the same name")
        if not any(file.role == "run" for file in self.files):
            raise ValueError("no file to run")
        if self.detection is None and len({file.told for file in self.files}) != 1:
            raise ValueError("files whose outputs mean something at different places")
        for file in self.files:
            if problem := form_problem(self.task, self.labels, self.preprocess, file, self.detection):
                raise ValueError(f"{file.path}: {problem}")
        if problem := point_head_problem(self.point_head, self.task, self.files):
            raise ValueError(problem)
        return self

    @property
    def every_file(self) -> tuple[ModelFile, ...]:
        """The network's files, and those of its point head."""
        return (*self.files, *(() if self.point_head is None else self.point_head.files))


def has_independent_labels(manifest: Manifest) -> bool:
    """Whether an artifact is a classifier of several labels that do not exclude each other."""
    output = manifest.files[0].outputs[manifest.files[0].answer]
    form = OUTPUT_FORMS.get(manifest.task)
    several = form is not None and not form.per_cell and score_count(manifest.task, output) > 1
    return several and output.scores == "independent"


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An opened artifact whose hashes all matched."""

    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of a file of the manifest. Refuses (ArtifactError) a name that it does not list."""
        return self.folder / self.model_file(name).path

    def read(self, name: str) -> bytes:
        """The bytes of a file of the manifest, or of the self-test: those whose hash the manifest holds.

        Raises:
            ArtifactError: the file has changed since the artifact was opened, or the manifest does not list it.
        """
        if name == SELFTEST_NAME:
            sha256, most_bytes = self.manifest.selftest.sha256, MAX_SELFTEST_BYTES
        else:
            file = self.model_file(name)
            sha256, most_bytes = file.sha256, file.size_bytes
        path = self.folder / name
        data = read_bytes(path, most_bytes=most_bytes, what="file of this artifact", error=ArtifactError)
        _require_hash(path, hashlib.sha256(data).hexdigest(), sha256)
        return data

    def model_file(self, name: str) -> ModelFile:
        """The manifest's entry for a file. Refuses (ArtifactError) a name that it does not list."""
        for file in self.manifest.every_file:
            if file.path == name:
                return file
        raise ArtifactError(self.folder, f"holds no '{name}'")


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, lower-case hex, read in blocks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_artifact(folder: str | Path) -> Artifact:
    """Read an artifact folder and check the size and hash of every file.

    What a file holds is held to the manifest where an engine loads it; see `edge.predictor.artifact_session`.

    Raises:
        ArtifactError: not a folder, no manifest, a manifest that does not hold, a file missing or changed.
    """
    root = Path(folder)
    path = root / MANIFEST_NAME
    if not is_dir(root):
        raise ArtifactError(root, "is not an artifact folder" if exists(root) else "no such artifact folder")
    if not exists(path):
        raise ArtifactError(path, "no such file; not an artifact folder")
    data = read_bytes(path, most_bytes=MAX_MANIFEST_BYTES, what="manifest", error=ArtifactError)
    manifest = parse_manifest(data, path)
    for file in manifest.every_file:
        if not is_file(root / file.path):
            raise ArtifactError(root / file.path, "missing, but the manifest lists it")
        size = check_file(root / file.path, error=ArtifactError).st_size
        if size != file.size_bytes:
            raise ArtifactError(root / file.path, f"changed: {size} bytes, the manifest says {file.size_bytes}")
        _require_hash(root / file.path, file_sha256(root / file.path), file.sha256)
    selftest = root / SELFTEST_NAME
    if not is_file(selftest):
        raise ArtifactError(selftest, "missing, but the manifest lists it")
    if check_file(selftest, error=ArtifactError).st_size > MAX_SELFTEST_BYTES:
        raise ArtifactError(selftest, f"a self-test has at most {MAX_SELFTEST_BYTES} bytes")
    _require_hash(selftest, file_sha256(selftest), manifest.selftest.sha256)
    return Artifact(folder=root, manifest=manifest)


def _require_hash(path: Path, found: str, told: str) -> None:
    if found != told:
        raise ArtifactError(path, f"changed: sha256 is {found[:12]}..., the manifest says {told[:12]}...")


def parse_manifest(data: bytes, path: str | Path) -> Manifest:
    """Read a manifest from JSON. Refuses (ArtifactError) what does not hold, naming the first wrong key."""
    data = data.removeprefix(BOM_UTF8)
    try:
        tree = json.loads(data, object_pairs_hook=_without_duplicates)
        if not isinstance(tree, dict):
            raise ValueError("it holds no object")
        return Manifest.model_validate_json(json.dumps(_version_2(tree)) if _is_version_1(tree) else data)
    except ValidationError as error:
        raise ArtifactError(path, first_problem(error, Manifest)) from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(path, f"is not a manifest: {error}") from error


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice[:100]}' stands twice in one object")
    return found


def _is_version_1(tree: Any) -> bool:
    return isinstance(tree, dict) and tree.get("schema_version") == 1


def _version_2(tree: dict[str, Any]) -> dict[str, Any]:
    """A manifest of version 1, which did not say whether scores exclude each other, where that is known.

    What this product trained has classes that do. Refuses (ValueError) any other: nothing is guessed.
    """
    provenance = tree.get("provenance")
    if not isinstance(provenance, dict) or provenance.get("checkpoint_sha256") is None:
        raise ValueError(
            "schema_version 1 does not say whether scores are exclusive or independent; make the artifact again"
        )
    files = tree.get("files")
    outputs = [
        output
        for file in (files if isinstance(files, list) else [])
        if isinstance(file, dict) and isinstance(file.get("outputs"), list)
        for output in file["outputs"]
        if isinstance(output, dict) and output.get("meaning") in ("logits", "probabilities")
    ]
    for output in outputs:
        output.setdefault("scores", "exclusive")
    return {**tree, "schema_version": SCHEMA_VERSION}


def manifest_json(manifest: Manifest) -> str:
    """The manifest as indented JSON text with a final newline."""
    return manifest.model_dump_json(indent=2) + "\n"
