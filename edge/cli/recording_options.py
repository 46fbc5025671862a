"""The options of `edge camera` that make its output a recording without end."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.artifact.units import duration_ns, size_bytes
from edge.cli.bounded_number import whole
from edge.cli.option_group import together
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.camera.segments import Segments

WHEN_FULL = ("go-on", "end")
recording_options = together(
    click.option(
        "--segment", help="Record films of this length (60s) into the folder --out; each plays up to where it is cut."
    ),
    click.option("--keep-segments", type=whole(1), help="Delete the oldest films beyond so many."),
    click.option("--keep-size", help="Delete the oldest films beyond this size of all: 2GB."),
    click.option(
        "--when-full",
        type=click.Choice(WHEN_FULL),
        help="A full disk ends the recording alone (go-on, the default), or the run.",
    ),
)


def recording_of(
    out: Path | None, segment: str | None, keep_segments: int | None, keep_size: str | None, when_full: str | None
) -> "Segments | None":
    """`edge.camera.segments.Segments` of what was asked for; None where it was not.

    Refuses (UsageError) an option that means nothing without the others.
    """
    if segment is None:
        named = {"--keep-segments": keep_segments, "--keep-size": keep_size, "--when-full": when_full}
        if given := next((name for name, value in named.items() if value is not None), None):
            raise UsageError(f"{given}: only films of a recording are counted; add --segment 60s")
        return None
    if out is None or out.suffix:
        raise UsageError(f"--segment {segment}: name a folder for the films with --out")
    from edge.camera.segments import Segments

    return Segments(
        length_ns=duration_ns(segment),
        keep=keep_segments,
        keep_bytes=None if keep_size is None else size_bytes(keep_size),
        end_when_full=when_full == "end",
    )
