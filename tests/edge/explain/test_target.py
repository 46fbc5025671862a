"""Which score is explained: of a class, over a region of a segmenter."""

import numpy as np
import pytest
import torch
from torch import Tensor

from edge.errors import UsageError
from edge.explain.explained import Explained
from edge.explain.target import Box, cells_of, class_index, find_target
from edge.vision.preprocess import Preprocess

NAMES = ("sky", "road", "car")


def preprocess(fit: str = "stretch", crop_fraction: float = 1.0) -> Preprocess:
    return Preprocess.model_validate(
        {
            "colour_order": "rgb",
            "height": 32,
            "width": 64,
            "interpolation": "bilinear",
            "fit": fit,
            "crop_fraction": crop_fraction,
            "mean": (127.5,) * 3,
            "std": (127.5,) * 3,
        }
    )


def segmenter(**geometry: object) -> Explained:
    """Cells of 8 pixels: sky above, road below, a car of two cells."""
    scores = torch.full((3, 4, 8), 0.1)
    scores[0, :2], scores[1, 2:] = 0.8, 0.8
    scores[2, 3, 5:7] = 0.9

    def probabilities(images: Tensor) -> Tensor:
        return scores[None].expand(len(images), -1, -1, -1) * images.mean(dim=(1, 2, 3)).reshape(-1, 1, 1, 1)

    return Explained(
        name="street",
        kind="float",
        task="segment",
        names=NAMES,
        preprocess=preprocess(**geometry),  # type: ignore[arg-type]  # handed over
        probabilities=probabilities,
    )


ONES = torch.ones(3, 32, 64)


def cells_at(*places: tuple[int, int]) -> np.ndarray:
    found = np.zeros((4, 8), bool)
    for row, column in places:
        found[row, column] = True
    return found


def test_a_class_is_explained_where_it_is_predicted() -> None:
    target = find_target(segmenter(), ONES, (64, 128), "car")
    assert target.index == 2 and target.cells is not None
    np.testing.assert_array_equal(target.cells, cells_at((3, 5), (3, 6)))
    assert target.score(segmenter())(torch.stack([ONES, ONES / 2])).tolist() == pytest.approx([0.9, 0.45])


def test_without_a_class_it_is_the_one_that_covers_the_most() -> None:
    assert find_target(segmenter(), ONES, (64, 128)).index == 0
    assert find_target(segmenter(), ONES, (64, 128), box=Box(left=80, top=48, width=32, height=16)).index == 2


def test_a_pixel_is_the_cell_it_lies_in() -> None:
    """The photograph is twice the input, whose cells are 8 pixels: 16 of the photograph."""
    target = find_target(segmenter(), ONES, (64, 128), box=Box(left=95, top=48))
    assert target.index == 2
    np.testing.assert_array_equal(target.cells, cells_at((3, 5)))


def test_a_box_takes_the_cells_whose_middles_it_holds() -> None:
    found = cells_of(Box(left=8, top=9, width=17, height=17), segmenter(), (64, 128), (4, 8))
    np.testing.assert_array_equal(found, cells_at((1, 0), (1, 1)))


def test_letterboxed_and_cropped_photographs_are_followed() -> None:
    """A square photograph of 64 in an input of 32x64: letterboxed it is 32 wide from 16 on, cropped its middle half."""
    boxed = cells_of(Box(left=0, top=0), segmenter(fit="letterbox"), (64, 64), (4, 8))
    np.testing.assert_array_equal(boxed, cells_at((0, 2)))
    cropped = cells_of(Box(left=0, top=16), segmenter(fit="crop"), (64, 64), (4, 8))
    np.testing.assert_array_equal(cropped, cells_at((0, 0)))
    with pytest.raises(UsageError, match="cropped"):
        cells_of(Box(left=0, top=0), segmenter(fit="crop"), (64, 64), (4, 8))


@pytest.mark.parametrize("box", [Box(left=120, top=0, width=9), Box(left=0, top=64), Box(left=-1, top=0)])
def test_a_region_outside_of_the_photograph_is_refused(box: Box) -> None:
    with pytest.raises(UsageError, match="128 pixels wide and 64 high"):
        find_target(segmenter(), ONES, (64, 128), box=box)


def test_a_class_that_is_nowhere_is_refused() -> None:
    nowhere = segmenter()
    with pytest.raises(UsageError, match="predicts 'car' nowhere"):
        find_target(
            Explained(
                name="street",
                kind="float",
                task="segment",
                names=NAMES,
                preprocess=nowhere.preprocess,
                probabilities=lambda images: nowhere.probabilities(images)[:, [0, 1]],
            ),
            ONES,
            (64, 128),
            "car",
        )


def test_classes_by_name_and_number() -> None:
    assert class_index(NAMES, "road") == 1 and class_index(NAMES, "2") == 2
    with pytest.raises(UsageError, match="did you mean 'road'"):
        class_index(NAMES, "raod")
    with pytest.raises(UsageError, match="0 to 2"):
        class_index(NAMES, "3")
    with pytest.raises(UsageError, match="0 and 2; give the number"):
        class_index(("crane", "car", "crane"), "crane")
