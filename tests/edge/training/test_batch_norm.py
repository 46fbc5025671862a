"""Weights whose batch norm was folded are recognized, and training them starts where they are."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from edge.models.pretrained import load_pretrained
from edge.recipe.recipe import Recipe
from edge.training.batch_norm import estimate_statistics, hold_still, norms, without_statistics
from edge.training.checkpoint import read_checkpoint, restore_module
from edge.training.network import float_module
from edge.training.progress import Silent
from edge.training.run import Request, train
from tests.support.networks import with_statistics

Make = Callable[..., Recipe]


@pytest.fixture
def folded_file(classifier: Make, tmp_path: Path) -> Path:
    """The small classifier's weights, folded, as published files hold them."""
    tensors: dict[str, Tensor] = {}
    model = with_statistics(classifier())
    for path, module in model.named_modules():
        if hasattr(module, "norm"):
            norm = module.norm
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            name = "stem.conv" if path == "stem" else path
            tensors[f"{name}.weight"] = (module.conv.weight * gain[:, None, None, None]).detach().contiguous()
            tensors[f"{name}.bias"] = (norm.bias - norm.running_mean * gain).detach()
    tensors["classifier.weight"] = model.classifier.linear.weight.detach()
    tensors["classifier.bias"] = model.classifier.linear.bias.detach()
    save_file(tensors, tmp_path / "folded.safetensors")
    return tmp_path / "folded.safetensors"


@pytest.fixture
def loaded(classifier: Make, folded_file: Path) -> nn.Module:
    """The network that the folded file becomes."""
    model = float_module(classifier())
    load_pretrained(model, folded_file)
    return model.eval()


def _images() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(5)
    return (torch.randn(16, 3, 32, 32, generator=generator) for _ in range(2))


def test_folded_weights_are_told_from_those_with_statistics(classifier: Make, loaded: nn.Module) -> None:
    assert len(without_statistics(loaded)) == len(list(norms(loaded))) > 20
    assert without_statistics(with_statistics(classifier())) == []
    assert without_statistics(float_module(classifier())) == []  # random weights train with live batch norm


@torch.no_grad()
def test_taking_statistics_changes_no_answer_and_lets_batch_norm_live(
    classifier: Make, folded_file: Path, loaded: nn.Module
) -> None:
    x = torch.cat(list(_images()))
    before = loaded(x)
    dead = float_module(classifier(model__dropout=0.0))
    load_pretrained(dead, folded_file)
    alive = float_module(classifier(model__dropout=0.0))
    load_pretrained(alive, folded_file)
    estimate_statistics(alive, _images())
    assert without_statistics(alive) == []
    torch.testing.assert_close(alive.eval()(x), before, rtol=1e-3, atol=1e-4)
    assert (alive.train()(x) - before).abs().mean() < 0.05 * before.std()
    assert (dead.train()(x) - before).abs().mean() > 0.5 * before.std()


def test_frozen_batch_norm_learns_its_scale_only(loaded: nn.Module) -> None:
    loaded.train()
    hold_still(norms(loaded))
    loaded(torch.randn(4, 3, 32, 32)).sum().backward()
    assert len(without_statistics(loaded)) == len(list(norms(loaded)))
    assert all(norm.weight.grad is not None for norm in norms(loaded))


@pytest.mark.unhurried
@pytest.mark.parametrize("live", [None, 2])
def test_training_folded_weights_starts_where_they_are(
    classifier: Make, folded_file: Path, loaded: nn.Module, tmp_path: Path, live: int | None
) -> None:
    """At a rate of nearly 0 both phases end as they began, whatever the recipe says of batch norm."""
    frozen = {} if live is None else {"train__freeze_batch_norm_epoch": live, "qat__freeze_batch_norm_epoch": live}
    recipe = classifier(
        train__init=str(folded_file),
        train__learning_rate=1e-9,
        train__epochs=1,
        train__ema_decay=0.0,
        qat__learning_rate=1e-9,
        qat__epochs=1,
        **frozen,
    )
    train(Request(recipe=recipe, folder=tmp_path / "run", threads=1), Silent())
    x = next(_images()).clamp(-1, 1)
    with torch.no_grad():
        before = loaded(x)
        after = restore_module(read_checkpoint(tmp_path / "run" / "float.safetensors"))(x)
        quantized = restore_module(read_checkpoint(tmp_path / "run" / "qat.safetensors"))(x)
    assert (after - before).abs().mean() < 0.25 * before.std()
    assert (quantized - before).abs().mean() < 0.4 * before.std()


@pytest.mark.unhurried
def test_a_new_head_on_a_folded_backbone_gets_statistics_and_the_backbone_keeps_its_own(
    segmenter: Make, folded_file: Path, tmp_path: Path
) -> None:
    """With `freeze_batch_norm_epoch` unsaid what was folded stands still in both phases; the head must not."""
    model = {"name": "deeplab_mobilenet_v1", "classes": 8, "width": 0.25, "resolution_hw": [64, 64]}
    changes = {"model": model, "train__init": str(folded_file), "train__reset_head": True}
    recipe = segmenter(**changes, train__auxiliary_weight=None)
    train(Request(recipe=recipe, folder=tmp_path / "run", threads=1), Silent())
    trained = restore_module(read_checkpoint(tmp_path / "run" / "float.safetensors"))
    assert without_statistics(trained) == [*norms(trained.stem), *norms(trained.blocks)]
    for norm in norms(trained.classifier):
        assert norm.running_mean.abs().max() > 0 and int(norm.num_batches_tracked) > 0
    assert (tmp_path / "run" / "qat.safetensors").is_file()
