"""A checkpoint gives back the network that was written, or says why not."""

import re
from collections.abc import Callable
from json import dumps
from pathlib import Path
from typing import Any

import pytest
import torch

from edge.artifact.model_file import Labels
from edge.errors import CheckpointError
from edge.quantization.qat.phase import CALIBRATE, TRAIN_FOLDED
from edge.quantization.qat.prepare import QuantizedModel, set_phase
from edge.recipe.recipe import Recipe
from edge.training.checkpoint import Checkpoint, read_checkpoint, restore_module, write_checkpoint
from edge.training.network import float_module, prepared_module
from edge.training.tensor_file import read_tensors, write_tensors

LABELS = Labels(names=tuple("abcdefgh"), palette=None, ignore_index=None)
IMAGES = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)


def _float(recipe: Recipe) -> Checkpoint:
    torch.manual_seed(0)
    tensors = float_module(recipe).state_dict()
    return Checkpoint(kind="float", recipe=recipe, tensors=tensors, labels=LABELS, metrics={"top1": 0.1 + 0.2})


@pytest.mark.unhurried
def test_a_float_network_comes_back(classifier: Callable[..., Recipe], tmp_path: Path) -> None:
    written = _float(classifier())
    digest = write_checkpoint(tmp_path / "a", written)
    read = read_checkpoint(tmp_path / "a")
    assert (read.recipe, read.labels, read.metrics, read.kind) == (written.recipe, LABELS, written.metrics, "float")
    assert (read.sha256, read.path, read.task) == (digest, tmp_path / "a", "classify")
    with torch.no_grad():
        assert torch.equal(restore_module(read)(IMAGES), restore_module(written)(IMAGES))


@pytest.mark.unhurried
def test_a_prepared_network_comes_back_with_its_ranges(classifier: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = classifier()
    model = prepared_module(recipe, restore_module(_float(recipe)))
    set_phase(model, CALIBRATE)
    with torch.no_grad():
        model.train()(IMAGES)
    set_phase(model, TRAIN_FOLDED)
    model.eval()
    written = Checkpoint(
        kind="qat", recipe=recipe, tensors=model.state_dict(), labels=LABELS, metrics={}, parent_sha256="0" * 64
    )
    write_checkpoint(tmp_path / "a", written)
    read = read_checkpoint(tmp_path / "a")
    restored = restore_module(read)
    assert isinstance(restored, QuantizedModel)
    assert read.parent_sha256 == "0" * 64
    with torch.no_grad():
        assert torch.equal(restored(IMAGES), model(IMAGES))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "edge training state"}, "is not a checkpoint"),
        ({"version": 2}, "has checkpoint version 2; this program reads 1"),
        ({"kind": "ptq"}, "is of an unknown kind 'ptq'"),
        ({"classes": {}}, "is not a checkpoint"),
        ({"classes": None}, "is not a checkpoint"),
        ({"metrics": "x"}, "its metrics or versions are not a table"),
        ({"versions": None}, "its metrics or versions are not a table"),
        ({"recipe": 5}, "is not a checkpoint|its recipe"),
    ],
)
def test_foreign_content_is_refused(
    change: dict[str, object], message: str, classifier: Callable[..., Recipe], tmp_path: Path
) -> None:
    path = tmp_path / "a"
    write_checkpoint(path, _float(classifier()))
    tensors, content, _ = read_tensors(path)
    write_tensors(path, tensors, {**content, **change})
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert re.search(message, str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "9" * 5000, "[]"], ids=["cut", "nested", "digits", "list"])
def test_content_that_is_no_table_is_refused(
    text: str, classifier: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hash holds: anybody can compute one."""

    def written(value: Any, **options: Any) -> str:
        return text if "kind" in value else dumps(value, **options)

    monkeypatch.setattr("edge.training.tensor_file.json.dumps", written)
    write_checkpoint(tmp_path / "a", _float(classifier()))
    with pytest.raises(CheckpointError, match="is not a checkpoint: its content is no"):
        read_checkpoint(tmp_path / "a")


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
@pytest.mark.parametrize("name", ["stem.norm.running_mean", "classifier.linear.bias"])
def test_values_that_are_not_finite_are_refused_by_their_tensor(
    name: str, value: float, classifier: Callable[..., Recipe], tmp_path: Path
) -> None:
    whole = _float(classifier())
    name = next((own for own in whole.tensors if own.endswith(name.rpartition(".")[2])), name)
    whole.tensors[name][0] = value
    write_checkpoint(tmp_path / "a", whole)
    with pytest.raises(CheckpointError, match=f"tensor '{name}' holds values that are not finite"):
        read_checkpoint(tmp_path / "a")


def test_a_recipe_of_another_time_is_refused_by_its_key(classifier: Callable[..., Recipe], tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_checkpoint(path, _float(classifier()))
    tensors, content, _ = read_tensors(path)
    content["recipe"]["train"]["momentun"] = 1
    write_tensors(path, tensors, content)
    with pytest.raises(CheckpointError, match=r"its recipe: \[train\] unknown key 'momentun'; did you mean 'momentum'"):
        read_checkpoint(path)


def test_tensors_of_another_network_are_refused(classifier: Callable[..., Recipe]) -> None:
    whole = _float(classifier())
    fewer = dict(whole.tensors)
    del fewer["classifier.linear.bias"]
    renamed = {("x" if name == "classifier.linear.bias" else name): tensor for name, tensor in whole.tensors.items()}
    shaped = {**whole.tensors, "classifier.linear.bias": torch.zeros(3)}
    for tensors, message in ((fewer, "1 missing"), (renamed, "1 missing, 1 unknown"), (shaped, "is \\(3,\\)")):
        broken = Checkpoint(kind="float", recipe=whole.recipe, tensors=tensors, labels=LABELS, metrics={})
        with pytest.raises(CheckpointError, match=message):
            restore_module(broken)
