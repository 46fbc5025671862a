"""The options of `edge camera` that say how it runs, and what it tells of itself."""

from typing import TYPE_CHECKING

import click

from edge.artifact.units import duration_ns
from edge.cli.bounded_number import whole
from edge.cli.frame_region import FrameRegion
from edge.cli.option_group import together

if TYPE_CHECKING:
    from edge.camera.loop import LoopOptions

loop_options = together(
    click.option(
        "--region",
        type=FrameRegion(),
        help="What the model is given of every frame, in pixels: 120,40:240x320; the rest is darkened.",
    ),
    click.option("--frames", type=whole(1), help="Stop after this many answers."),
    click.option(
        "--latency-budget",
        help="Of a camera: how old an answer may be (100ms); what cannot hold it is dropped: the rate falls.",
    ),
    click.option(
        "--stall-after", help="How long a prediction may take (10s) before its worker is replaced; 3 times at most."
    ),
    click.option(
        "--log",
        type=click.Choice(("text", "json")),
        default="text",
        show_default=True,
        help="Standard error: lines for people, or an object per event.",
    ),
    click.option("--metrics", metavar="[HOST:]PORT", help="Serve /metrics for Prometheus, on 127.0.0.1 by default."),
)


def loop_of(
    frames: int | None,
    latency_budget: str | None,
    stall_after: str | None,
    region: tuple[int, int, int, int] | None = None,
) -> "LoopOptions":
    """`edge.camera.loop.LoopOptions` of what was asked for. Refuses (UsageError) what is no duration."""
    from edge.camera.loop import LoopOptions

    return LoopOptions(
        frames=frames,
        latency_budget_ns=None if latency_budget is None else duration_ns(latency_budget),
        stall_after_ns=None if stall_after is None else duration_ns(stall_after),
        region=region,
    )
