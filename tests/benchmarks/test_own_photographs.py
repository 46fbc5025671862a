"""The folds hold every photograph once, each fold its share of every class."""

from collections import Counter
from pathlib import Path

from tests.benchmarks.own_photographs import CLASSES, FOLDS, folds, grouped


def test_images_are_grouped_by_their_imagenet_index() -> None:
    assert grouped("a.jpg\t7\nb.jpg\t25\nc.jpg\t69\nd.jpg\t957\ne.jpg\t268\n") == [
        ("a.jpg", "bird"),
        ("b.jpg", "reptile"),
        ("d.jpg", "fruit"),
        ("e.jpg", "dog"),
    ]


def test_every_photograph_is_tested_once_and_every_fold_has_its_share(test_data: Path) -> None:
    images = grouped((test_data / "imagenet_samples" / "dev_labels.txt").read_text())
    parts = folds(images)
    assert sorted(image for part in parts for image in part) == sorted(images)
    assert {len(part) for part in parts} <= {len(images) // FOLDS, len(images) // FOLDS + 1}
    whole = Counter(name for _, name in images)
    assert set(whole) == set(CLASSES)
    for part in parts:
        found = Counter(name for _, name in part)
        assert all(abs(found[name] - count / FOLDS) < 1 for name, count in whole.items())
