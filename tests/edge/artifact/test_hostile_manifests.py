"""A manifest that contradicts its file, its task or itself is refused when the artifact is opened, in one line."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.artifact.manifest import open_artifact
from edge.errors import ArtifactError
from edge.predictor.predictor import Predictor
from edge.predictor.selftest_archive import read_selftest

MakeArtifact = Callable[..., Path]
Tree = dict[str, Any]


def edited(folder: Path, edit: Callable[[Tree], object]) -> Path:
    """The artifact with another manifest; the files and their hashes stay."""
    path = folder / "manifest.json"
    tree = json.loads(path.read_text())
    edit(tree)
    path.write_text(json.dumps(tree))
    return folder


def output(**changes: Any) -> Callable[[Tree], object]:
    return lambda tree: tree["files"][0]["outputs"][0].update(changes)


def given(**changes: Any) -> Callable[[Tree], object]:
    return lambda tree: tree["files"][0]["inputs"][0].update(changes)


def of_file(**changes: Any) -> Callable[[Tree], object]:
    return lambda tree: tree["files"][0].update(changes)


def of_manifest(**changes: Any) -> Callable[[Tree], object]:
    return lambda tree: tree.update(changes)


def twice(tree: Tree) -> None:
    tree["files"][0]["outputs"] = tree["files"][0]["outputs"] * 2


REFUSED: dict[str, tuple[Callable[[Tree], object], str]] = {
    "a scale of 0": (output(scale=0), "outputs.0.scale"),
    "a negative scale": (output(scale=-1 / 256), "outputs.0.scale"),
    "a scale that is no number": (output(scale=float("nan")), "outputs.0.scale"),
    "an infinite scale": (output(scale=float("inf")), "outputs.0.scale"),
    "a scale that no float32 holds": (output(scale=1e-60), "outputs.0.scale"),
    "a zero point beyond any type": (output(zero_point=99999999999999), "outputs.0.zero_point"),
    "a zero point beyond its type": (output(zero_point=200), "zero point 200 is outside int8"),
    "an input's zero point": (given(zero_point=-129), "zero point -129 is outside int8"),
    "a zero point without a scale": (output(scale=None), "scale and zero_point belong together"),
    "a scale of a float": (output(dtype="float32"), "a float32 tensor has no scale"),
    "integers without a scale": (output(scale=None, zero_point=None), "int8 without a scale"),
    "no inputs": (of_file(inputs=[]), "files.0.inputs"),
    "no outputs": (of_file(outputs=[]), "files.0.outputs"),
    "two outputs": (twice, "1 inputs and 2 outputs; a predictor takes one each"),
    "a size of 400 digits": (of_file(size_bytes=10**400), "files.0.size_bytes"),
    "another size": (of_file(size_bytes=1), "changed: 8 bytes, the manifest says 1"),
    "a long name": (of_manifest(name="x" * 300), "name: "),
    "a long class name": (of_manifest(labels={"names": ["a" * 100000, "b", "c"]}), "labels.names.0"),
    "a colour that is none": (
        of_manifest(labels={"names": ["a", "b", "c"], "palette": [[-1, 300, 10**20]] * 3}),
        "labels.palette.0.0",
    ),
    "colours for other names": (
        of_manifest(labels={"names": ["a", "b", "c"], "palette": [[0, 0, 0]]}),
        "1 colours for 3 names",
    ),
    "names for other scores": (of_manifest(labels={"names": ["only one"]}), "3 classes in the output, 1 names"),
    "another input": (given(shape=[1, 9, 9, 3]), r"is \(1, 9, 9, 3\); by the preprocessing it is \(1, 8, 8, 3\)"),
    "an input that no frame fits": (given(dtype="int32"), "frames go in as float32, int8, uint8 or int16"),
    "boxes of a classifier": (output(meaning="boxes"), "output means 'boxes'; a task 'classify' ends in"),
    "a class map of a classifier": (output(meaning="class_map"), "output means 'class_map'"),
    "scores for every anchor": (output(shape=[1, 4, 3]), r"is \(1, 4, 3\); a classifier ends in \(1, classes\)"),
    "scores of no kind": (output(scores=None), "exclusive or independent"),
    "two paths in one": (of_file(path="a" * 5000), "files.0.path"),
    "no samples": (lambda tree: tree["selftest"].update(samples=0), "selftest.samples"),
    "any number of samples": (lambda tree: tree["selftest"].update(samples=10**6), "selftest.samples"),
    "an infinite difference": (
        lambda tree: tree["selftest"].update(allowed={"model.tflite": {"*": float("inf")}}),
        "selftest.allowed",
    ),
    "a negative difference": (lambda tree: tree["selftest"].update(allowed={"a": {"*": -1}}), "selftest.allowed"),
    "a mean of 0..1": (
        lambda tree: tree["preprocess"].update(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        r"probably meant: mean = \[123.675, 116.28, 103.53\], std = \[58.395, 57.12, 57.375\]",
    ),
    "a denormal deviation": (lambda tree: tree["preprocess"].update(std=[1e-320] * 3), "preprocess"),
    "an enormous mean": (lambda tree: tree["preprocess"].update(mean=[1e308] * 3), "preprocess"),
    "an older version of unknown meaning": (of_manifest(schema_version=1), "exclusive or independent"),
    "a version to come": (of_manifest(schema_version=3), "schema_version"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_contradicts_itself_is_refused_in_one_line(make_artifact: MakeArtifact, what: str) -> None:
    edit, message = REFUSED[what]
    folder = edited(make_artifact(), edit)
    with pytest.raises(ArtifactError, match=message) as caught:
        open_artifact(folder)
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(make_artifact: MakeArtifact) -> None:
    folder = make_artifact()
    text = (folder / "manifest.json").read_text()
    (folder / "manifest.json").write_text('{"name": "first",' + text.strip()[1:])
    with pytest.raises(ArtifactError, match="the key 'name' stands twice"):
        open_artifact(folder)


def test_what_this_product_trained_before_is_still_read(make_artifact: MakeArtifact) -> None:
    """Its classes exclude each other; of other models of that time nobody knows."""

    def older(tree: Tree) -> None:
        tree["schema_version"] = 1
        del tree["files"][0]["outputs"][0]["scores"]
        tree["provenance"]["checkpoint_sha256"] = "0" * 64

    assert open_artifact(edited(make_artifact(), older)).manifest.files[0].outputs[0].scores == "exclusive"


def test_one_score_takes_two_names_and_excludes_nothing(make_artifact: MakeArtifact) -> None:
    outputs = (np.zeros((2, 1), np.int8),)
    with pytest.raises(ValueError, match="one score in the output, 1 names; it takes two, of no and of yes"):
        make_artifact("one", outputs=outputs, output={"scores": "independent"})
    with pytest.raises(ValueError, match="nothing that it could exclude"):
        make_artifact("two", outputs=outputs, labels={"names": ["no", "yes"]})


def with_selftest(folder: Path, data: bytes) -> Path:
    """The artifact with another self-test, whose hash is right."""
    (folder / "selftest.npz").write_bytes(data)
    return edited(folder, lambda tree: tree["selftest"].update(sha256=hashlib.sha256(data).hexdigest()))


def archive(**arrays: Any) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


IMAGES, EXPECTED = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 3), np.int8)
NAME = "output_model.tflite_0"
SELFTESTS = {
    "no images": ({NAME: EXPECTED}, "no images in it"),
    "an empty list of images": ({"images": IMAGES[:0], NAME: EXPECTED[:0]}, r"'images' is uint8 \(0, 8, 8, 3\)"),
    "more images than are told": ({"images": np.zeros((5000, 8, 8, 3), np.uint8), NAME: EXPECTED}, "'images' is uint8"),
    "another type": ({"images": IMAGES, NAME: EXPECTED.astype(np.int16)}, r"is int16 \(2, 3\), by the manifest int8"),
    "objects": ({"images": np.array([{}], object), NAME: EXPECTED}, "'images' is object"),
    "no expected output": ({"images": IMAGES}, "holds no expected output 0"),
}


@pytest.mark.parametrize("what", SELFTESTS)
def test_a_self_test_of_another_form_is_refused(make_artifact: MakeArtifact, what: str) -> None:
    arrays, message = SELFTESTS[what]
    folder = with_selftest(make_artifact(), archive(**arrays))
    with pytest.raises(ArtifactError, match=message):
        Predictor.load(folder, engine="null")


def test_what_the_manifest_does_not_speak_of_is_not_expanded(make_artifact: MakeArtifact) -> None:
    """The outputs of a file that was taken out for a device, or a gigabyte of zeros."""
    folder = with_selftest(make_artifact(), archive(images=IMAGES, zeros=IMAGES, **{NAME: EXPECTED}))
    assert set(read_selftest(open_artifact(folder))) == {"images", NAME}


@pytest.mark.parametrize("place", [10, 60, 100, 140, 200])
def test_a_damaged_self_test_is_one_line(make_artifact: MakeArtifact, place: int) -> None:
    data = bytearray(archive(images=IMAGES, **{NAME: EXPECTED}))
    data[place] ^= 0xFF
    folder = with_selftest(make_artifact(), bytes(data))
    try:
        read_selftest(open_artifact(folder))
    except ArtifactError as error:
        assert "\n" not in str(error)


def test_a_difference_that_proves_nothing_is_refused(make_artifact: MakeArtifact) -> None:
    """An int8 output has 256 values: by a difference of 1e9, or of 200, anything would pass."""
    for allowed in (1e9, 200.0):
        folder = make_artifact(str(allowed))
        edited(folder, lambda tree, most=allowed: tree["selftest"].update(allowed={"model.tflite": {"*": most}}))  # type: ignore[misc]
        with pytest.raises(ArtifactError, match="over 128 it proves nothing"):
            Predictor.load(folder, engine="null")
