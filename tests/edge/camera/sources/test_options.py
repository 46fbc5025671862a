"""What no source can do is refused where it is asked for."""

from typing import Any

import pytest

from edge.camera.sources.options import SourceOptions
from edge.errors import UsageError


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"rotate": 45}, "rotate: 45 degrees; known: 0, 90, 180, 270"),
        ({"format": "mjpeg"}, "unknown camera format 'mjpeg'; did you mean 'mjpg'?"),
        ({"size_hw": (0, 640)}, "size_hw: 0x640: height and width must be positive"),
        ({"rate": 0.0}, "rate: 0.0 must be positive"),
        ({"max_age_ns": -1}, "max_age_ns: -1 must be positive"),
        ({"rate": float("nan")}, "rate: nan must be positive"),
    ],
)
def test_an_option_that_cannot_hold_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        SourceOptions(**wrong)
    assert str(caught.value) == told
