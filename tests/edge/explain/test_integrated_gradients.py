"""Integrated Gradients: the axioms of its paper, on networks whose attributions have a closed form, and on others."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.explain.integrated_gradients import SMALLEST_CHANGE, Attribution, Score, integrated_gradients, midpoints

SHAPE = (3, 6, 5)


def random_image(seed: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 4, 3), nn.ReLU6(), nn.Flatten()
    )
    norm = layers[1]
    assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    nn.init.normal_(norm.weight)
    return nn.Sequential(*layers, nn.Linear(4 * 4 * 3, 5)).double().eval()


def probability(model: nn.Module, index: int = 1) -> Score:
    def of_images(images: Tensor) -> Tensor:
        scores: Tensor = model(images).softmax(dim=1)
        return scores[:, index]

    return of_images


def attributions(score: Score, seed: int = 1, steps: int = 60) -> Attribution:
    image = random_image(seed)
    return integrated_gradients(score, image, torch.zeros_like(image), first_steps=steps, most_steps=steps)


def test_a_square_has_its_closed_form() -> None:
    """Of sum(w x^2), the midpoint rule is exact: w x^2, less w b^2 where the path is straight."""
    image, baseline, weights = random_image(1), random_image(2), random_image(3)
    found = integrated_gradients(lambda x: (weights * x * x).sum(dim=(1, 2, 3)), image, baseline)
    np.testing.assert_allclose(found.values, (weights * (image**2 - baseline**2)).numpy(), rtol=1e-12, atol=1e-12)
    assert found.steps == 20 and found.complete


def test_sensitivity_sees_what_gradients_do_not() -> None:
    """Section 2.1's example: 1 - relu(1 - x) is flat at x = 2, whose gradient is 0; the attribution is 1."""
    image = torch.zeros(SHAPE, dtype=torch.float64)
    image[0, 0, 0] = 2.0
    found = integrated_gradients(
        lambda x: 1 - torch.relu(1 - x[:, 0, 0, 0]), image, torch.zeros_like(image), most_steps=60
    )
    assert found.values[0, 0, 0] == pytest.approx(1.0)
    assert np.count_nonzero(found.values) == 1


def test_what_the_score_does_not_depend_on_has_no_attribution() -> None:
    found = attributions(lambda x: torch.relu(x[:, :, :3]).sum(dim=(1, 2, 3)))
    assert not found.values[:, 3:].any() and found.values[:, :3].any()


def test_two_implementations_of_one_function_have_the_same_attributions() -> None:
    """Implementation invariance: the batch norm as a layer of its own, and folded into the convolution before it."""
    model = network()
    folded = nn.Sequential(nn.utils.fuse_conv_bn_eval(model[0], model[1]), *model[2:])
    first, second = attributions(probability(model)), attributions(probability(folded))
    np.testing.assert_allclose(first.values, second.values, rtol=0, atol=1e-13)
    assert np.abs(first.values).max() > 1e-4


def test_completeness_grows_with_the_steps() -> None:
    errors = [attributions(probability(network()), steps=steps).error for steps in (5, 50, 500, 5000)]
    assert errors[3] < 1e-5 and errors[3] < errors[1] < errors[0]


def test_linearity() -> None:
    first, second = probability(network(0)), probability(network(7), index=3)
    both = attributions(lambda x: 2 * first(x) - 3 * second(x)).values
    np.testing.assert_allclose(both, 2 * attributions(first).values - 3 * attributions(second).values, atol=1e-13)


def test_symmetric_variables_with_equal_values_have_equal_attributions() -> None:
    image = random_image(4)
    image[:, 0, 0] = image[:, 0, 1] = 0.7

    def score(x: Tensor) -> Tensor:
        return torch.tanh(x[:, :, 0, 0].sum(dim=1) * x[:, :, 0, 1].sum(dim=1) + x[:, :, 2:].sum(dim=(1, 2, 3)))

    values = integrated_gradients(score, image, torch.zeros_like(image), most_steps=60).values
    np.testing.assert_array_equal(values[:, 0, 0], values[:, 0, 1])
    assert values[0, 0, 0] != 0


def test_steps_are_raised_three_times_until_the_sum_holds() -> None:
    """A step at 0.013 of the path is missed by 20 and 60 steps, and its kink by few."""
    score = lambda x: torch.sigmoid((x.mean(dim=(1, 2, 3)) - 0.013) * 800)  # noqa: E731
    image = torch.ones(SHAPE, dtype=torch.float64)
    found = integrated_gradients(score, image, torch.zeros_like(image))
    assert found.complete and found.steps in (180, 540)
    at_once = integrated_gradients(score, image, torch.zeros_like(image), first_steps=found.steps)
    np.testing.assert_allclose(found.values, at_once.values, rtol=1e-12)


@pytest.mark.parametrize(("most", "taken"), [(7, 7), (20, 20), (59, 20), (60, 60), (200, 180)])
def test_the_cap_is_never_passed(most: int, taken: int) -> None:
    """The sum over a step function never comes: its gradient is 0 where it has one."""
    found = attributions_of_a_step(most)
    assert found.steps == taken and not found.complete and found.error == 1.0


def attributions_of_a_step(most: int) -> Attribution:
    def score(x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2, 3))
        return (mean > 0.5).double() + 0 * mean

    image = torch.ones(SHAPE, dtype=torch.float64)
    return integrated_gradients(score, image, torch.zeros_like(image), most_steps=most)


def test_midpoints_of_n_steps_are_among_those_of_three_times_n() -> None:
    np.testing.assert_allclose(midpoints(60)[1::3], midpoints(20), rtol=1e-12)


def test_a_tiny_change_is_held_to_the_floor() -> None:
    values = np.full(SHAPE, 0.0)
    values[0, 0, 0] = 2e-5
    found = Attribution(values=values, score=0.5, baseline_score=0.49999, steps=20)
    assert found.error == pytest.approx(1e-5 / SMALLEST_CHANGE) and found.complete


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_no_more_points_than_the_batch_are_held_at_once(batch_size: int) -> None:
    model, sizes = network(), []

    def score(x: Tensor) -> Tensor:
        if x.requires_grad:
            sizes.append(len(x))
        return probability(model)(x)

    image = random_image(1)
    found = integrated_gradients(score, image, torch.zeros_like(image), most_steps=20, batch_size=batch_size)
    assert max(sizes) == batch_size and sum(sizes) == 20
    np.testing.assert_allclose(found.values, attributions(probability(model), steps=20).values, atol=1e-14)
