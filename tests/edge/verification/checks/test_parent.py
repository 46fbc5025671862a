"""A float parent's outputs are paired with the artifact's by name, or by shape where that decides; never by place."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from converters.convert.convert import convert_source
from edge.artifact.manifest import Artifact
from edge.errors import UsageError
from edge.verification.checks.parent import find_parent
from tests.support.detectors import SIDE, detector_checkpoint

pytestmark = pytest.mark.unhurried

PIXELS = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A detector of three classes and the background: both its outputs are (1, 204, 4)."""
    checkpoint = detector_checkpoint(tmp_path_factory.mktemp("parent") / "float.safetensors")
    return convert_source(checkpoint, checkpoint.with_name("real"))


def other_order(artifact: Artifact, path: Path, names: dict[str, str] | None = None) -> Path:
    """Its ONNX file with the outputs in the other order, and other names."""
    model = onnx.load_from_string(artifact.read("model.onnx"))
    outputs = list(model.graph.output)[::-1]
    del model.graph.output[:]
    for output in outputs:
        if names is not None:
            model.graph.node.append(onnx.helper.make_node("Identity", [output.name], [names[output.name]]))
            output.name = names[output.name]
        model.graph.output.append(output)
    path.write_bytes(model.SerializeToString())
    return path


def test_a_parent_in_another_order_is_read_by_its_names(artifact: Artifact, tmp_path: Path) -> None:
    (tmp_path / "own.onnx").write_bytes(artifact.read("model.onnx"))
    own, other = (
        find_parent(artifact, path) for path in (tmp_path / "own.onnx", other_order(artifact, tmp_path / "other.onnx"))
    )
    assert own is not None and other is not None
    assert [info.meaning for info in other.infos] == ["box_codes", "logits"]
    for expected, found in zip(own.predict(PIXELS), other.predict(PIXELS), strict=True):
        assert np.array_equal(expected, found)
    codes, logits = own.predict(PIXELS)
    assert np.abs(codes - logits).max() > 0.1 * np.abs(codes).max()


def test_outputs_of_one_shape_and_other_names_are_refused(artifact: Artifact, tmp_path: Path) -> None:
    names = {output.name: f"head_{place}" for place, output in enumerate(artifact.model_file("model.onnx").outputs)}
    with pytest.raises(UsageError, match=r"'head_1' \(1, 204, 4\), 'head_0' \(1, 204, 4\), are the artifact's"):
        find_parent(artifact, other_order(artifact, tmp_path / "other.onnx", names))
