import numpy as np

from edge.tasks.segment import SEGMENT, SegmentPrediction

NAMES = ("road", "tree", "sky", "car", "sign")


def prediction(pixels: list[int]) -> SegmentPrediction:
    """A map of 100 pixels, so many of each class."""
    model_map = np.repeat(np.arange(len(pixels), dtype=np.uint8), pixels).reshape(10, 10)
    return SegmentPrediction(model_map=model_map, names=NAMES, enlarge=lambda: model_map)


def test_a_line_shows_every_class_that_makes_another_answer() -> None:
    before, after = prediction([50, 30, 14, 4, 2]), prediction([50, 30, 12, 5, 3])
    assert SEGMENT.gist is not None and SEGMENT.gist(before) != SEGMENT.gist(after)
    assert SEGMENT.line(before) == "road 50.0 %, tree 30.0 %, sky 14.0 %"
    assert SEGMENT.line(after) == "road 50.0 %, tree 30.0 %, sky 12.0 %, car 5.0 %"


def test_a_line_shows_the_largest_classes_however_small() -> None:
    assert SEGMENT.line(prediction([96, 3, 1, 0, 0])) == "road 96.0 %, tree 3.0 %, sky 1.0 %"
