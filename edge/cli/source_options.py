"""The options of `edge camera` that say how its source is opened, and what it gives."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import click

from edge.artifact.units import duration_ns
from edge.cli.bounded_number import Number
from edge.cli.input_size import InputSize
from edge.cli.option_group import together

if TYPE_CHECKING:
    from edge.camera.sources.options import SourceOptions

FORMATS = ("mjpg", "yuyv", "nv12", "grey", "bgr")
ROTATIONS: Mapping[str, Literal[0, 90, 180, 270]] = {"0": 0, "90": 90, "180": 180, "270": 270}
source_options = together(
    click.option(
        "--source",
        required=True,
        help="Video, picture, folder, split, camera number, /dev/videoN, picamera2, a URL, gstreamer:...",
    ),
    click.option("--size", "size_hw", type=InputSize(), help="Asked of a camera, height x width: 720x1280."),
    click.option("--rate", type=Number(0, 1000, min_open=True), help="Frames per second asked of a camera."),
    click.option("--format", "format", type=click.Choice(FORMATS), help="How a USB camera is asked to send."),
    click.option("--rotate", type=click.Choice(tuple(ROTATIONS)), default="0", show_default=True, help="Clockwise."),
    click.option(
        "--max-age", help="Drop a frame of a camera or stream that is older (200ms) when the model could take it."
    ),
    click.option("--open-timeout", default="10s", show_default=True, help="For opening a camera or stream."),
    click.option("--read-timeout", default="5s", show_default=True, help="For the next frame of a camera or stream."),
    click.option("--wait-for-source", is_flag=True, help="Wait for a camera or stream that is not there at the start."),
    click.option("--give-up", help="End after this long (600s) without a camera or stream; default: wait for it."),
)


def source_options_of(options: dict[str, Any], network_size_hw: tuple[int, int] | None) -> "SourceOptions":
    """`edge.camera.sources.options.SourceOptions` of what was asked for. Refuses (UsageError) what is no duration."""
    from edge.camera.sources.options import SourceOptions

    times: dict[str, Any] = {
        f"{name}_ns": None if options[name] is None else duration_ns(options[name])
        for name in ("max_age", "open_timeout", "read_timeout", "give_up")
    }
    as_given: dict[str, Any] = {name: options[name] for name in ("size_hw", "rate", "format", "wait_for_source")}
    return SourceOptions(**as_given, **times, rotate=ROTATIONS[options["rotate"]], network_size_hw=network_size_hw)
