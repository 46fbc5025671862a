"""Which pixels a segmenter's map looks at, at another input size than it was trained at."""

from collections.abc import Sequence

SizeHw = Sequence[int]


def size_text(size_hw: SizeHw) -> str:
    """A size as the command line takes it: height x width."""
    return "x".join(str(side) for side in size_hw)


def displaced(size_hw: SizeHw, trained_hw: SizeHw, stride: int) -> str | None:
    """What to know of a size at which a map's positions lie elsewhere over the image than in training; None if nothing.

    SAME padding puts the odd pixel of an even side at its end. So where a position looks follows from the remainder
    of the side by the map's stride: sides that differ from the trained one by a multiple of it keep the place, others
    move the map against the image by up to half a position, which costs boundaries first.

    Args:
        stride: pixels of the input behind one position of the logits.
    """
    kept = [_nearest(side, trained, stride) for side, trained in zip(size_hw, trained_hw, strict=True)]
    moved = [
        f"{name} {side} ({' or '.join(str(near) for near in nearest)} keep it)"
        for name, side, nearest in zip(("height", "width"), size_hw, kept, strict=True)
        if side not in nearest
    ]
    if not moved:
        return None
    return f"the map of {stride} pixels a position moves against the image at {' and '.join(moved)}"


def _nearest(side: int, trained: int, stride: int) -> tuple[int, ...]:
    below = side - (side - trained) % stride
    return (below,) if below == side else (below, below + stride)
