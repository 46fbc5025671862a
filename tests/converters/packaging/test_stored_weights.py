"""Weights stored as int8 or float16: every runtime and reader sees the same float32 numbers."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.convert.build import build_artifact
from converters.onnx.file import onnx_bytes
from converters.packaging.description import Description
from converters.packaging.provenance import provenance
from converters.packaging.stored_weights import Form, onnx_with_stored_weights, stored, tflite_with_stored_weights
from converters.passes.layout.nhwc import to_nhwc
from converters.tflite.writer import tflite_bytes
from edge.artifact.manifest import QuantizationInfo
from edge.artifact.model_file import Labels
from edge.errors import UsageError
from edge.graph.importers.onnx.reader import read_onnx
from edge.graph.importers.tflite.parsing.file import parse
from edge.graph.importers.tflite.reader import read_tflite
from edge.verification.verify import Request, verify
from tests.converters.convert.test_int16 import float_of, pixels, preprocess_for, quantized
from tests.support.examples import examples

FORMS: tuple[Form, ...] = ("int8", "float16")


@given(seed=st.integers(0, 2**32 - 1), form=st.sampled_from(FORMS), axis=st.integers(0, 3))
@examples(60)
def test_storing_stored_weights_changes_nothing(seed: int, form: Form, axis: int) -> None:
    """integer * scale is exact in float32, and gives back the same integers and scales."""
    random = np.random.default_rng(seed)
    weight = (random.normal(size=(4, 3, 2, 5)) * 2.0 ** random.uniform(-12, 3)).astype(np.float32)
    values, scale = stored(weight, form, axis)
    if scale is None:
        assert np.array_equal(stored(values.astype(np.float32), form, axis)[0], values)
        return
    shape = [1] * 4
    shape[axis] = -1
    exact = values.astype(np.float64) * scale.astype(np.float64).reshape(shape)
    real = values.astype(np.float32) * scale.reshape(shape)
    assert np.array_equal(exact, real.astype(np.float64)) and np.abs(values).max() <= 127
    again, again_scale = stored(real, form, axis)
    rows = np.abs(np.moveaxis(values, axis, 0).reshape(weight.shape[axis], -1).astype(int)).max(axis=1)
    assert (rows == 127).all()
    assert np.array_equal(again, values) and again_scale is not None and np.array_equal(again_scale, scale)
    assert np.abs(real - weight).max() <= float(scale.max()) / 2 * 1.0001


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("task", ["classify", "segment"])
def test_both_files_hold_the_same_weights(form: Form, task: str) -> None:
    """The weights read back from ONNX and TFLite are the same float32 numbers, of which no two files disagree."""
    source = onnx_with_stored_weights(onnx_bytes(float_of(task)), form)
    read = read_onnx(source)
    data = tflite_with_stored_weights(tflite_bytes(to_nhwc(read)), form)
    file = read_tflite(data)
    kinds = ("Conv", "Gemm")
    weights = [operator.inputs[1] for operator in read.operators if operator.kind in kinds]
    found = [operator.inputs[1] for operator in file.operators if operator.kind in kinds]
    assert len(weights) == len(found) > 10
    for here, there in zip(weights, found, strict=True):
        assert np.array_equal(read.constant(here), file.constant(there))
    codes = [operator.code for operator in parse(data, "file").operators]
    assert codes.count("DEQUANTIZE") == len(weights)
    assert len(data) < len(tflite_bytes(to_nhwc(read))) * (0.45 if form == "int8" else 0.65)
    dtypes = {constant.data_type for constant in onnx.load_from_string(source).graph.initializer}
    assert (onnx.TensorProto.INT8 if form == "int8" else onnx.TensorProto.FLOAT16) in dtypes


@pytest.mark.parametrize("form", FORMS)
def test_an_artifact_verifies_at_float_tolerance(form: Form, tmp_path: Path) -> None:
    """What runs is the float32 model with the stored weights, in LiteRT and in ONNX Runtime; the manifest says so."""
    description = Description(
        name="small",
        task="classify",
        head=None,
        preprocess=preprocess_for("classify"),
        labels=Labels(names=tuple("abcdef")),
        quantization=QuantizationInfo(method="none", weights=form),
        provenance=provenance(source=tmp_path, folder=tmp_path / "a", parent=None, parent_sha256=None),
        weights=form,
    )
    artifact = build_artifact(float_of("classify"), description, tmp_path / "a", images=pixels("classify", 2))
    assert artifact.manifest.precision == "float32" and artifact.manifest.quantization.weights == form
    assert verify(artifact, Request()).verdict.ship
    with pytest.raises(UsageError, match=f"--weights {form} is for float models; this one is int16x8"):
        build_artifact(quantized("classify"), description, tmp_path / "b", images=pixels("classify", 2))


def test_a_weight_beyond_float16_is_refused() -> None:
    """Never an infinite weight."""
    with pytest.raises(UsageError, match="beyond float16"):
        stored(np.full((1, 1), 1e5, np.float32), "float16", 0)
