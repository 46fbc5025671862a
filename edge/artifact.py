"""The artifact: a folder of model files with a manifest that says everything a device needs, checked by hash.

ARTIFACT/
  model.tflite and/or model.onnx   what devices run
  source.onnx                      the QDQ (or float) ONNX they were written from
  manifest.json                    see Manifest; JSON Schema in docs/manifest.schema.json
  selftest.npz                     a few inputs and the expected outputs of each file
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edge.errors import ArtifactError
from edge.vision.preprocess import Preprocess

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
SELFTEST_NAME = "selftest.npz"
MAX_MANIFEST_BYTES = 16 * 1024 * 1024

Task = Literal["classify", "segment", "detect"]
Meaning = Literal["image", "logits", "probabilities", "class_map", "boxes", "scores"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    """Frozen, and every unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorInfo(Strict):
    """An input or output of a model file.

    `layout` is the axis order (`nhwc`, `nchw`, `nc`, `nhw`); `scale` and `zero_point` are given for quantized tensors;
    `stride` says that one output cell stands for stride x stride input pixels (1 at full resolution). A uint8 image
    without a scale takes the pixels as they are.
    """

    name: str
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    dtype: Literal["float32", "int8", "uint8", "int16", "int32", "int64"]
    layout: str
    meaning: Meaning
    scale: float | None = None
    zero_point: int | None = None
    stride: int | None = None


class ModelFile(Strict):
    """One model file: format_version is the opset of an ONNX file or the schema version of a TFLite file."""

    path: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*$")]
    format: Literal["tflite", "onnx"]
    role: Literal["run", "source"]
    sha256: Sha256
    size_bytes: Count
    format_version: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]


class Labels(Strict):
    """Class names in index order; palette: one RGB colour per class, for a segmenter; ignore_index of its training."""

    names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...] | None = None
    ignore_index: int | None = None


class DerivedRange(Strict):
    """Scale and zero point (of signed integers) that a foreign file did not state, and where they come from."""

    tensor: str
    scale: float
    zero_point: int
    how: str


class QuantizationInfo(Strict):
    """How the integers came to be: `qat`, `ptq`, `foreign` (a QDQ file made elsewhere) or `none` (float).

    `ptq (onnx2tf)`: onnx2tf chose them, so they are not held to the integer simulation.
    `weights` says how a file that computes in float stores its weights, where that is not float32.
    For a foreign file `derived` lists the parameters that it left open, and `notes` what else a person should know.
    """

    method: Literal["qat", "ptq", "ptq (onnx2tf)", "foreign", "none"]
    scheme: dict[str, Any] | None = None
    calibration_sha256: Sha256 | None = None
    calibration_images: Count | None = None
    ranges: str | None = None
    weights: Literal["int8", "float16"] | None = None
    derived: tuple[DerivedRange, ...] = ()
    notes: tuple[str, ...] = ()


class Cost(Strict):
    """Counts from the file itself. An operator without a rule is named in `unruled`, never counted as zero silently."""

    multiply_adds: Count
    parameters: Count
    weights_bytes: Count
    peak_activation_bytes: Count
    unruled: tuple[str, ...] = ()


class Accuracy(Strict):
    """A metric (`top1`, `top5`, `miou`, in [0, 1]) of one file, or of the float parent, on a split."""

    subject: str
    metric: str
    value: float
    split: str
    split_sha256: Sha256
    images: Count


class Fidelity(Strict):
    """What verify measured: values of `engine` on `machine` that differ from the integer simulation, end to end."""

    subject: str
    engine: str
    kernels: str
    version: str
    machine: str | None = None
    images: Count
    values: Count
    differing: Count
    largest_quanta: float


class Provenance(Strict):
    """Where the artifact comes from. `parent` is the float parent's file name and hash; `road` made the TFLite file."""

    recipe: dict[str, Any] | None
    checkpoint_sha256: Sha256 | None
    source_path: str
    parent_path: str | None = None
    parent_sha256: Sha256 | None = None
    commit: str | None
    dirty: bool | None
    versions: dict[str, str]
    command: str
    time_utc: str
    road: Literal["writer", "onnx2tf"] = "writer"


class Selftest(Strict):
    """selftest.npz: `images` and `output_FILE_K`. Largest difference allowed in quanta, per file and kernel set.

    For float files the difference is absolute, in the output's units.
    """

    sha256: Sha256
    samples: Annotated[int, Field(ge=1)]
    allowed: dict[str, dict[str, float]]


class Manifest(Strict):
    """Everything about an artifact.

    `precision`: int16x8 is int16 activations with int8 weights; `head` says what a segmenter ends in.
    """

    schema_version: Literal[1]
    name: str
    task: Task
    head: Literal["logits", "full_logits", "class_map", "full"] | None = None
    precision: Literal["int8", "int16x8", "float32"]
    files: tuple[ModelFile, ...]
    preprocess: Preprocess
    labels: Labels
    quantization: QuantizationInfo
    cost: Cost
    accuracy: tuple[Accuracy, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
    provenance: Provenance
    selftest: Selftest

    @model_validator(mode="after")
    def _one_of_each(self) -> "Manifest":
        names = [file.path for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two files of the same name")
        if not any(file.role == "run" for file in self.files):
            raise ValueError("no file to run")
        return self


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """An opened artifact whose hashes all matched."""

    folder: Path
    manifest: Manifest

    def file(self, name: str) -> Path:
        """Path of a file of the manifest. Refuses (ArtifactError) a name that it does not list."""
        if name not in {file.path for file in self.manifest.files}:
            raise ArtifactError(self.folder, f"holds no '{name}'")
        return self.folder / name

    def model_file(self, name: str) -> ModelFile:
        """The manifest's entry for a file. Refuses (ArtifactError) a name that it does not list."""
        for file in self.manifest.files:
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
    """Read an artifact folder and check the hash and size of every file.

    Raises:
        ArtifactError: not a folder, no manifest, a manifest that does not hold, a file missing or changed.
    """
    root = Path(folder)
    path = root / MANIFEST_NAME
    if not root.is_dir():
        raise ArtifactError(root, "is not an artifact folder" if root.exists() else "no such artifact folder")
    if not path.is_file():
        raise ArtifactError(path, "no such file; not an artifact folder")
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise ArtifactError(path, f"{path.stat().st_size} bytes; a manifest has at most {MAX_MANIFEST_BYTES}")
    manifest = parse_manifest(path.read_bytes(), path)
    expected = [(file.path, file.sha256) for file in manifest.files]
    for name, sha256 in [*expected, (SELFTEST_NAME, manifest.selftest.sha256)]:
        if not (root / name).is_file():
            raise ArtifactError(root / name, "missing, but the manifest lists it")
        if (found := file_sha256(root / name)) != sha256:
            raise ArtifactError(root / name, f"changed: sha256 is {found[:12]}..., the manifest says {sha256[:12]}...")
    return Artifact(folder=root, manifest=manifest)


def parse_manifest(data: bytes, path: str | Path) -> Manifest:
    """Read a manifest from JSON. Refuses (ArtifactError) what does not hold, naming the first wrong key."""
    try:
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise ArtifactError(path, f"{where}: {first['msg']}") from error


def manifest_json(manifest: Manifest) -> str:
    """The manifest as indented JSON text with a final newline."""
    return manifest.model_dump_json(indent=2) + "\n"
