"""Whether a mean and a deviation can be those of pixels 0..255: training frameworks write them on a scale of 0..1."""

from collections.abc import Sequence

Triple = tuple[float, float, float]
MOST = 1e6


def pixel_scale_problem(mean: Triple, std: Triple) -> str | None:
    """Why these cannot be mean and deviation of pixels 0..255, with what was probably meant; None if they can be.

    A deviation below 1 makes two neighbouring pixel values more than 1 apart: it is one of a scale of 0..1, or a factor
    (Caffe's 0.017) where a divisor is asked for. Three means that differ, all between 0 and 1, are measured on 0..1.
    """
    if any(abs(value) > MOST for value in (*mean, *std)):
        return f"mean = {_listed(mean)}, std = {_listed(std)}: pixels are 0..255"
    small = [value for value in std if value < 1]
    fractions = all(0 < value < 1 for value in mean) and len(set(mean)) > 1
    if not small and not fractions:
        return None
    if all(abs(value) <= 1 for value in mean):
        meant = _times_255(mean), std if not small else _times_255(std)
        return (
            f"mean = {_listed(mean)}, std = {_listed(std)} are on a scale of 0..1, and pixels here are 0..255; "
            f"probably meant: mean = {_listed(meant[0])}, std = {_listed(meant[1])}"
        )
    on_255, inverse = _listed(_times_255(std)), _listed(_inverse(std))
    return (
        f"std = {_listed(std)} cannot be that of pixels 0..255; probably meant: std = {on_255} (it was on a scale of "
        f"0..1), or {inverse} (it was a factor)"
    )


def pixel_scale_doubt(mean: Triple, std: Triple) -> str | None:
    """What to say of values that can be meant, but seldom are: pixels 0..255 reach the model nearly as they are."""
    if pixel_scale_problem(mean, std) or any(abs(value) >= 2 for value in (*mean, *std)):
        return None
    times = [_listed(tuple(255 * value for value in values)) for values in (mean, std)]
    return (
        f"mean = {_listed(mean)}, std = {_listed(std)}: the model gets pixels 0..255 nearly as they are; for one that "
        f"takes 0..1 they are mean = {times[0]}, std = {times[1]}"
    )


def _times_255(values: Triple) -> Triple:
    red, green, blue = (255 * value if abs(value) <= 1 else value for value in values)
    return red, green, blue


def _inverse(values: Triple) -> Triple:
    red, green, blue = (1 / value if value < 1 else value for value in values)
    return red, green, blue


def _listed(values: Sequence[float]) -> str:
    return f"[{', '.join(f'{value:.6g}' for value in values)}]"
