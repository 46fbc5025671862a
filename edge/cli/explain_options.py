"""Options of `edge explain`: the class, the region of a segmenter, and how attributions are made."""

from typing import TYPE_CHECKING, Any

import click

from edge.cli.bounded_number import whole
from edge.cli.option_group import together
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.explain.target import Box


class Whole(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3 alone
    """Whole numbers with commas between them, at least 0 each: `120,80`."""

    def __init__(self, names: str) -> None:
        self.name = names
        self.count = names.count(",") + 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers."""
        parts = str(value).split(",")
        if len(parts) != self.count or not all(part.isdecimal() and len(part) < 7 for part in parts):
            self.fail(f"'{value}' is not {self.name}, in pixels of the image.", param, ctx)
        return tuple(int(part) for part in parts)


region_options = together(
    click.option("--class", "class_name", help="A class, by name or number; the predicted one if omitted."),
    click.option("--pixel", type=Whole("X,Y"), help="Of a segmenter: one pixel of the image."),
    click.option("--box", type=Whole("X,Y,WIDTH,HEIGHT"), help="Of a segmenter: a part of the image."),
)
method_options = together(
    click.option(
        "--baseline",
        type=click.Choice(("black", "mean", "blurred")),
        default="black",
        show_default=True,
        help="The image that says nothing: black, the preprocessing's mean, or the image itself, blurred.",
    ),
    click.option(
        "--max-steps",
        type=whole(1, 100_000),
        help="Steps are raised until the attributions sum to the score's change within 1 %, to this many at most; "
        "540 if omitted, for integers 180.",
    ),
)


def region(pixel: tuple[int, ...] | None, box: tuple[int, ...] | None) -> "Box | None":
    """The region that was asked for. Refuses (UsageError) two of them, or one without an area."""
    from edge.explain.target import Box

    if pixel is not None and box is not None:
        raise UsageError("--pixel and --box: give one of them")
    if pixel is not None:
        return Box(left=pixel[0], top=pixel[1])
    if box is None:
        return None
    left, top, width, height = box
    if not width * height:
        raise UsageError(f"--box {left},{top},{width},{height}: has no area")
    return Box(left=left, top=top, width=width, height=height)
