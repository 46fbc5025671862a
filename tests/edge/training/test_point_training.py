"""A network with a point head in training: both phases, the head alone, a resumed run, and what ships of it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from converters.convert.convert import convert_source
from edge.errors import UsageError
from edge.explain.explained import open_explained
from edge.predictor.predictor import Predictor
from edge.quantization.qat.point_rend import QuantizedPointRend
from edge.recipe.recipe import Recipe
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.network import float_module
from edge.training.progress import Silent
from edge.training.run import Request, train

pytestmark = pytest.mark.unhurried

Make = Callable[..., Recipe]
HEAD = {"model__point_head": 8, "model__points": 64, "model__point_steps": 1}


class Cut(Silent):
    """Ends the run, as Ctrl-C does, when it is told of so many units done."""

    def __init__(self, units: int) -> None:
        self.left = units

    def advance(self, count: int, note: str = "") -> None:
        """One fewer."""
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt


def test_both_phases_train_and_a_cut_run_goes_on_exactly_to_files_that_agree(segmenter: Make, tmp_path: Path) -> None:
    recipe = segmenter(**HEAD, train__state_steps=1, qat__state_steps=1)
    train(Request(recipe=recipe, folder=tmp_path / "whole", threads=1), Silent())
    for units in (2, 1 + 2 + 2):  # in the second batch; after its rest and an evaluation of two images, in QAT's second
        with pytest.raises(KeyboardInterrupt):
            train(Request(recipe=recipe, folder=tmp_path / "cut", threads=1, resume=units > 2), Cut(units))
    train(Request(recipe=recipe, folder=tmp_path / "cut", threads=1, resume=True), Silent())
    for name in ("float.safetensors", "qat.safetensors"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert isinstance(restore_module(read_checkpoint(tmp_path / "whole/qat.safetensors")), QuantizedPointRend)
    explained = open_explained(tmp_path / "whole/qat.safetensors")  # by the network's own map
    assert explained.kind == "int8" and explained.probabilities(torch.zeros(1, 3, 64, 64)).shape[:2] == (1, 8)
    artifact = convert_source(tmp_path / "whole/qat.safetensors", tmp_path / "int8")
    assert artifact.manifest.selftest.allowed["point_head.tflite"]["litert/xnnpack/x86_64"] == 0
    Predictor.load(artifact, engine="litert").close()  # its self-test of both files holds


def test_the_head_alone_is_trained_and_the_rest_stays_to_the_bit(segmenter: Make, tmp_path: Path) -> None:
    plain = segmenter(qat=None, train__bf16=False)
    train(Request(recipe=plain, folder=tmp_path / "plain", threads=1), Silent())
    start = str(tmp_path / "plain/float.safetensors")
    # the head gets no weight decay and no average here: what moves is what was trained
    alone = {"train__init": start, "train__point_head_only": True, "train__ema_decay": 0.0}
    recipe = segmenter(**HEAD, **alone, qat=None)
    train(Request(recipe=recipe, folder=tmp_path / "head", threads=1), Silent())
    before = read_checkpoint(start).tensors
    after = read_checkpoint(tmp_path / "head/float.safetensors").tensors
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items() if "num_batches" not in name)
    assert float(after["point_head.coarse_logits.weight"].flatten(1).sub(torch.eye(8)).abs().max()) > 0


def test_point_head_only_is_refused_where_there_is_none(segmenter: Make, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_file(float_module(segmenter()).state_dict(), start)
    recipe = segmenter(train__init=str(start), train__point_head_only=True)
    with pytest.raises(UsageError, match=r"\[train\] point_head_only: FastScnn was built without one"):
        train(Request(recipe=recipe, folder=tmp_path / "run", threads=1), Silent())
