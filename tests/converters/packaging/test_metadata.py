"""The metadata in a TFLite file: what was described comes back, readers of the model do not notice it."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converters.packaging.metadata import label_text, with_metadata
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import Artifact, open_artifact
from edge.artifact.model_file import Labels
from edge.cli.main import main
from edge.engines.engine import open_session
from edge.errors import EdgeError, ModelFileError, UsageError
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.metadata import SEGMENTER_NAME, metadata_entry, read_metadata
from edge.graph.importers.tflite.metadata_flatbuffer import decode, encode
from edge.graph.importers.tflite.metadata_schema import (
    ALIGNMENTS,
    MODEL_IDENTIFIER,
    SEGMENTER_IDENTIFIER,
    TABLES,
    UNIONS,
)
from edge.graph.importers.tflite.reader import read_tflite
from edge.predictor.selftest import run_selftest
from tests.support.metadata_schema import Schema


@pytest.fixture(scope="module")
def int8(road: Path) -> Artifact:
    """The INT8 artifact of the road."""
    return open_artifact(road / "int8")


def test_normalization_and_labels_are_those_of_the_manifest(int8: Artifact) -> None:
    """Mean, std and every class name, in order."""
    found = read_metadata(int8.file("model.tflite"))
    assert found is not None
    preprocess = int8.manifest.preprocess
    assert found.labels == int8.manifest.labels.names
    assert found.normalization == (list(preprocess.mean), list(preprocess.std))
    size = found.tensors("input")[0]["content"]["content_properties"]["ImageProperties"]["default_size"]
    assert size == {"width": preprocess.width, "height": preprocess.height}


def test_the_model_behind_it_is_the_same(int8: Artifact) -> None:
    """The reader sees one graph, the runtime gives the self-test's answers."""
    graph = read_tflite(int8.file("model.tflite"))
    assert [graph.tensors[name].dtype for name in graph.inputs] == ["int8"]
    session = open_session("litert", int8.file("model.tflite"))
    assert run_selftest(int8, "model.tflite", session).largest == 0


def test_the_label_file_is_a_stored_zip_with_a_fixed_time(int8: Artifact) -> None:
    """So that the same labels give the same bytes."""
    with zipfile.ZipFile(int8.file("model.tflite")) as archive:
        (entry,) = archive.infolist()
    assert (entry.filename, entry.date_time, entry.compress_type) == ("labels.txt", (1980, 1, 1, 0, 0, 0), 0)


def test_inspect_prints_it(int8: Artifact, capsys: pytest.CaptureFixture[str]) -> None:
    """One line for people, one object for programs."""
    assert main(["inspect", str(int8.file("model.tflite"))]) == 0
    assert "metadata: name image classifier" in capsys.readouterr().out
    assert main(["inspect", str(int8.file("model.tflite")), "--json"]) == 0
    assert '"entry": "metadata"' in capsys.readouterr().out


def test_logits_of_a_segmenter_say_that_no_activation_follows(int8: Artifact) -> None:
    """The embedded options open as a flatbuffer of their own, aligned to 16 bytes for readers in place."""
    file = int8.model_file("model.tflite")
    bare = tflite_bytes(to_nhwc(read_onnx(int8.file("source.onnx"))))
    assert read_metadata(bare) is None
    data = with_metadata(
        bare,
        task="segment",
        preprocess=int8.manifest.preprocess,
        labels=int8.manifest.labels,
        given=file.inputs[0],
        outputs=[file.outputs[0].model_copy(update={"meaning": "logits"})],
    )
    found = read_metadata(data)
    assert found is not None and found.model["min_parser_version"] == "1.5.0"
    (custom,) = found.model["subgraph_metadata"][0]["custom_metadata"]
    assert custom["name"] == SEGMENTER_NAME
    assert decode("ImageSegmenterOptions", custom["data"], SEGMENTER_IDENTIFIER) == {"min_parser_version": "1.0.0"}


@pytest.mark.parametrize("name", ["two\nlines", "tab\t", " blank", "", "bell\x07"])
def test_a_name_that_is_not_one_line_is_refused(name: str) -> None:
    """A label file has one name a line."""
    with pytest.raises(UsageError, match="class name 1"):
        label_text(Labels(names=("cat", name)))


def test_labels_are_utf8() -> None:
    """Any letters."""
    assert label_text(Labels(names=("Straße", "猫"))) == "Straße\n猫\n".encode()


def test_every_prefix_of_the_metadata_is_refused_or_read() -> None:
    """A cut buffer gives an error of the reader, never another one."""
    whole = encode("ModelMetadata", {"name": "n", "subgraph_metadata": [{"name": "s"}]}, MODEL_IDENTIFIER)
    assert decode("ModelMetadata", whole, MODEL_IDENTIFIER)["name"] == "n"
    for size in range(len(whole)):
        try:
            decode("ModelMetadata", whole[:size], MODEL_IDENTIFIER)
        except Exception as error:
            assert type(error).__name__ in ("ValueError", "error")


def test_damaged_metadata_of_a_file_is_one_error(int8: Artifact) -> None:
    """Bytes changed within the metadata or the zip: read, or refused as a damaged file."""
    data = int8.file("model.tflite").read_bytes()
    at = data.index(MODEL_IDENTIFIER)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        changed[at + int(random.integers(-4, 200))] = int(random.integers(256))
        changed[-int(random.integers(1, 150))] = int(random.integers(256))
        try:
            read_metadata(bytes(changed))
        except ModelFileError:
            refused += 1
    assert refused > 10


EXAMPLES = {"string": "x", "[string]": ["x", ""], "[ubyte]": b"abc", "[uint]": [1, 2**32 - 1], "[float]": [0.5, -2.0]}


def example(kind: str, member: int = 0) -> object:
    """A value of a type of the schema with every field of its tables, of each union the same member."""
    if kind in UNIONS:
        name = UNIONS[kind][member % len(UNIONS[kind])]
        return {name: example(name, member)}
    if kind in TABLES:
        return {name: example(of, member) for name, of in TABLES[kind]}
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    if kind.startswith("["):
        return [example(kind[1:-1], member)]
    return 0.5 if kind == "float" else 1


@pytest.mark.parametrize("member", range(max(map(len, UNIONS.values()))))
def test_every_field_of_the_schema_comes_back(member: int) -> None:
    """Every table and union member, once at least."""
    value = example("ModelMetadata", member)
    assert isinstance(value, dict)
    data = encode("ModelMetadata", value, MODEL_IDENTIFIER)
    assert decode("ModelMetadata", data, MODEL_IDENTIFIER) == value
    assert data.index(b"abc") % ALIGNMENTS["CustomMetadata.data"] == 0


SCHEMA = """
// Schema Semantic version: 1.2.3
file_identifier "X001";
enum Colour : byte { RED = 0, BLUE = 4, }
union Kind { Round, // the first
  Square }
table Round{ }
table Square { side:[float]; raw: [ubyte] (force_align: 8); kind:Kind; }
root_type Square;
"""


def test_a_published_schema_is_read_whole() -> None:
    schema = Schema()
    schema.read(SCHEMA)
    assert schema.tables == {"Round": (), "Square": (("side", "[float]"), ("raw", "[ubyte]"), ("kind", "Kind"))}
    assert (schema.unions, schema.enumerations) == ({"Kind": ("Round", "Square")}, {"Colour": {"RED": 0, "BLUE": 4}})
    assert (schema.alignments, schema.identifiers) == ({"Square.raw": 8}, {"Square": "X001"})
    with pytest.raises(ValueError, match="struct Point"):
        Schema().read(SCHEMA + "struct Point { x:int; }")
    with pytest.raises(ValueError, match="a field 'x:int = 3'"):
        Schema().read(SCHEMA + "table Default { x:int = 3; }")


def test_a_field_that_the_schema_does_not_have_is_refused() -> None:
    """A misspelt name never vanishes."""
    with pytest.raises(EdgeError, match="has no field 'nam'"):
        encode("ModelMetadata", {"nam": "x"}, MODEL_IDENTIFIER)


@pytest.mark.data
def test_published_files_are_read(test_data: Path) -> None:
    """An official classifier: its normalization and its 1001 labels; and one without metadata."""
    models = test_data / "models"
    entry = metadata_entry(models / "mobilenet_v1_0.25_224_quant.tflite")
    assert entry is not None
    assert (entry["mean"], entry["std"], len(entry["labels"])) == ([127.5], [127.5], 1001)
    assert metadata_entry(models / "vww_96_int8.tflite") is None


def test_a_file_without_a_zip_has_no_files(int8: Artifact) -> None:
    """Metadata alone is read too."""
    data = int8.file("model.tflite").read_bytes()
    start = min(entry.header_offset for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())
    found = read_metadata(data[:start])
    assert found is not None and found.files == {} and found.labels == ()
