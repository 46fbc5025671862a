"""Where PointRend's head is trained: mostly at uncertain points, on the class of the pixel that each lies in."""

import torch

from edge.training.losses import NO_CLASS
from edge.training.point_sampling import point_loss, sample_points, targets_at, training_points, with_points


def coarse() -> torch.Tensor:
    """Certain of class 0 on the left, of class 1 on the right, uncertain in between."""
    x = torch.linspace(-8, 8, 16).expand(16, 16)
    return torch.stack([-x, x])[None]


def test_three_quarters_are_the_most_uncertain_of_three_times_as_many_and_the_rest_is_anywhere() -> None:
    torch.manual_seed(0)
    points = training_points(coarse(), 400)
    assert points.shape == (1, 400, 2) and points.min() >= 0 and points.max() <= 1
    off = (points[0, :, 0] - 0.5).abs()
    # 300 of 1200 candidates lie within an eighth of the width on either side of the edge
    assert off[:300].max() < 0.16 and off[300:].max() > 0.4
    assert abs(float(off[300:].mean()) - 0.25) < 0.05


def test_the_same_seed_draws_the_same_points() -> None:
    def drawn(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return training_points(coarse(), 64)

    assert torch.equal(drawn(3), drawn(3)) and not torch.equal(drawn(3), drawn(4))


def test_a_target_is_the_class_of_the_pixel_that_the_point_lies_in() -> None:
    target = torch.arange(12).reshape(1, 3, 4)
    points = torch.tensor([[[0.0, 0.0], [0.26, 0.34], [0.99, 0.99], [1.0, 1.0]]])
    assert targets_at(target, points).tolist() == [[0, 5, 11, 11]]
    centres = torch.tensor([[[0.375, 0.5]]])
    assert float(sample_points(target[:, None].float(), centres)) == 5


def test_void_points_do_not_count() -> None:
    logits = torch.randn(1, 3, 4, 1, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[0, 1], [NO_CLASS, 2]]])
    points = torch.tensor([[[0.2, 0.2], [0.7, 0.2], [0.2, 0.7], [0.7, 0.7]]])
    rows = logits[0, :, [0, 1, 3], 0].T
    expected = torch.nn.functional.cross_entropy(rows, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(point_loss(logits, points, target, None), expected)
    assert float(point_loss(logits, points, torch.full_like(target, NO_CLASS), None)) == 0


def test_a_head_sees_both_maps_at_the_same_points_and_auxiliary_logits_stay() -> None:
    torch.manual_seed(0)
    fine, auxiliary = torch.randn(1, 5, 32, 32), torch.randn(1, 2, 4, 4)
    seen: list[torch.Tensor] = []

    def head(features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        seen.extend((features, logits))
        return logits

    main, beside, at_points, points = with_points((coarse(), fine, auxiliary), head, 50)
    assert main.shape[1] == 2 and beside is auxiliary and at_points is seen[1]
    torch.testing.assert_close(seen[0], sample_points(fine, points))
    torch.testing.assert_close(seen[1], sample_points(coarse(), points))
