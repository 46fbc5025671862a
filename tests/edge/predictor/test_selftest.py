"""The self-test: what is compared, and which bound holds for which kernels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.artifact.manifest import open_artifact
from edge.engines.null import NullSession
from edge.engines.output_difference import kernel_key, outputs_difference
from edge.errors import ArtifactError, EngineError
from edge.predictor.selftest import model_input, run_selftest
from edge.vision.pixels import normalize, quantize_table

MakeArtifact = Callable[..., Path]


def test_integers_differ_in_quanta_without_wrapping_round() -> None:
    low, high = np.full((1, 4), -128, np.int8), np.array([[-128, -127, 0, 127]], np.int8)
    assert outputs_difference([low], [high], ["logits"]) == 255


def test_class_maps_differ_by_the_share_of_cells() -> None:
    assert outputs_difference([np.array([[1, 2, 3, 4]])], [np.array([[1, 2, 3, 9]])], ["class_map"]) == 0.25


def test_floats_differ_absolutely_and_nan_is_never_right() -> None:
    expected = np.array([[1, 2, 3, 4]], np.float32)
    assert outputs_difference([expected], [expected + np.float32(0.5)], ["logits"]) == 0.5
    assert outputs_difference([expected], [expected * np.nan], ["logits"]) == float("inf")


def test_another_shape_is_never_right() -> None:
    assert outputs_difference([np.zeros((1, 4))], [np.zeros((1, 5))], ["logits"]) == float("inf")


@pytest.mark.parametrize("layout", ["nhwc", "nchw"])
def test_input_is_the_table_for_integers_and_normalized_for_floats(make_artifact: MakeArtifact, layout: str) -> None:
    shape = (1, 8, 8, 3) if layout == "nhwc" else (1, 3, 8, 8)
    images = np.random.default_rng(1).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    manifest = open_artifact(make_artifact("int8", input={"shape": shape, "layout": layout})).manifest
    raw = model_input(images, manifest.files[0], manifest.preprocess)
    table = quantize_table(manifest.preprocess, 1 / 255, -128, "int8")
    expected = np.stack([table[channel][images[..., channel]] for channel in range(3)], axis=-1)
    np.testing.assert_array_equal(raw if layout == "nhwc" else raw.transpose(0, 2, 3, 1), expected)
    given = {"shape": shape, "layout": layout, "dtype": "float32", "scale": None, "zero_point": None}
    manifest = open_artifact(make_artifact("float", input=given)).manifest
    raw = model_input(images, manifest.files[0], manifest.preprocess)
    plain = raw if layout == "nhwc" else raw.transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(plain, normalize(images, manifest.preprocess))


def test_an_input_that_no_image_fits_is_refused(make_artifact: MakeArtifact) -> None:
    manifest = open_artifact(make_artifact()).manifest
    given = manifest.files[0].inputs[0].model_copy(update={"dtype": "int32"})
    file = manifest.files[0].model_copy(update={"inputs": (given,)})
    with pytest.raises(EngineError, match="images go in as float32, int8, uint8 or int16"):
        model_input(np.zeros((1, 8, 8, 3), np.uint8), file, manifest.preprocess)


@pytest.mark.parametrize(
    ("bounds", "allowed", "passed"),
    [({}, 0.0, False), ({"*": 2.0}, 2.0, False), ({"*": 3.0}, 3.0, True), ({"*": 9.0, "null": 1.0}, 1.0, False)],
)
def test_the_bound_of_these_kernels_comes_before_that_of_any(
    make_artifact: MakeArtifact, bounds: dict[str, float], allowed: float, passed: bool
) -> None:
    folder = make_artifact(outputs=(np.full((2, 3), 3, np.int8),))
    artifact = open_artifact(folder)
    file = artifact.manifest.files[0]
    session = NullSession(inputs=(file.inputs[0].port,), outputs=(file.outputs[0].port,))
    named = {kernel_key(session.info) if key == "null" else key: value for key, value in bounds.items()}
    selftest = artifact.manifest.selftest.model_copy(update={"allowed": {"model.tflite": named}})
    manifest = artifact.manifest.model_copy(update={"selftest": selftest})
    result = run_selftest(type(artifact)(folder=folder, manifest=manifest), "model.tflite", session)
    assert (result.samples, result.largest, result.allowed, result.passed) == (2, 3.0, allowed, passed)


def test_a_self_test_of_another_size_is_refused(make_artifact: MakeArtifact) -> None:
    artifact = open_artifact(make_artifact())
    preprocess = artifact.manifest.preprocess.model_copy(update={"height": 9})
    other = type(artifact)(
        folder=artifact.folder, manifest=artifact.manifest.model_copy(update={"preprocess": preprocess})
    )
    session = NullSession(inputs=(), outputs=())
    with pytest.raises(ArtifactError, match=r"'images' is uint8 \(2, 8, 8, 3\), by the manifest uint8 \(2, 9, 8, 3\)"):
        run_selftest(other, "model.tflite", session)
