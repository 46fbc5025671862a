"""Weight decay goes where the recipe says, and ranges learn at their own rate."""

from collections.abc import Callable

import torch

from edge.recipe.recipe import Recipe
from edge.training.network import float_module, prepared_module
from edge.training.optimizer import build_optimizer, set_learning_rate


def _groups(optimizer: torch.optim.Optimizer) -> dict[tuple[float, float], set[int]]:
    return {
        (group["weight_decay"], group["rate"]): {id(parameter) for parameter in group["params"]}
        for group in optimizer.param_groups
    }


def test_norm_bias_and_depthwise_do_not_decay(classifier: Callable[..., Recipe]) -> None:
    recipe = classifier(train__weight_decay=0.01)
    model = float_module(recipe)
    groups = _groups(build_optimizer(model, recipe.train))
    named = dict(model.named_parameters())
    decaying = {name for name, parameter in named.items() if id(parameter) in groups[(0.01, 1.0)]}
    assert decaying == {
        name
        for name, parameter in named.items()
        if parameter.ndim >= 2 and not (parameter.ndim == 4 and parameter.shape[1] == 1)
    }
    assert sum(map(len, groups.values())) == len(named)


def test_everything_decays_without_exemptions(classifier: Callable[..., Recipe]) -> None:
    recipe = classifier(train__weight_decay=0.01, train__decay_exempt=[])
    assert _groups(build_optimizer(float_module(recipe), recipe.train)).keys() == {(0.01, 1.0)}


def test_ranges_never_decay_and_have_their_own_rate(classifier: Callable[..., Recipe]) -> None:
    recipe = classifier(qat__weight_decay=0.01, qat__ranges_learning_rate=0.1, qat__decay_exempt=[])
    assert recipe.qat is not None
    model = prepared_module(recipe, float_module(recipe))
    optimizer = build_optimizer(model, recipe.qat)
    groups = _groups(optimizer)
    ranges = {id(parameter) for name, parameter in model.named_parameters() if name.startswith("quantizers.")}
    assert ranges
    assert groups[(0.0, 0.1)] == ranges
    set_learning_rate(optimizer, 0.5)
    assert {(group["rate"], group["lr"]) for group in optimizer.param_groups} == {(1.0, 0.5), (0.1, 0.05)}
