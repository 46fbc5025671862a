"""`edge models`: the networks that can be named, with what they cost."""

from dataclasses import asdict
from typing import Any

import click
from rich import box
from rich.table import Table

from edge.cli.fit_options import HEADINGS, asked_for, fit_options, refuse_without_fit
from edge.cli.grouped_help import GroupedCommand, examples
from edge.terminal import say, say_json, show

ATTENTION = ("gct", "cbam", "involution")  # of `edge.models.attention`, which brings torch
GRID: tuple[tuple[str, dict[str, Any]], ...] = (
    *(("mobilenet_v1", {"classes": 1000, "width": width, "resolution": 224}) for width in (1.0, 0.75, 0.5, 0.25)),
    ("mobilenet_v1", {"classes": 1000, "width": 1.0, "resolution": 128}),
    ("mobilenet_v1", {"classes": 1000, "width": 0.25, "resolution": 128}),
    ("mobilenet_v1", {"classes": 2, "width": 0.25, "resolution": 96, "activation": "relu"}),
    *(("mobilenet_v2", {"classes": 1000, "width": width, "resolution": 224}) for width in (1.4, 1.0, 0.75, 0.5, 0.35)),
    ("mobilenet_v2", {"classes": 1000, "width": 1.0, "resolution": 128}),
    ("mobilenet_v2", {"classes": 1000, "width": 1.0, "resolution": 96}),
    *(("mobilenet_v1", {"classes": 1000, "resolution": 224, "attention": name}) for name in ATTENTION),
    *(("mobilenet_v2", {"classes": 1000, "resolution": 224, "attention": name}) for name in ATTENTION),
    *(("rednet", {"classes": 1000, "depth": depth, "resolution": 224}) for depth in (26, 38, 50)),
    ("rednet", {"classes": 8, "depth": 26, "width": 0.25, "resolution": 64}),
    ("fast_scnn", {"classes": 19, "resolution_hw": (1024, 2048)}),
    ("fast_scnn", {"classes": 19, "resolution_hw": (512, 1024)}),
    ("fast_scnn", {"classes": 19, "resolution_hw": (256, 512)}),
    ("fast_scnn", {"classes": 11, "resolution_hw": (360, 480)}),
    *(("fast_scnn", {"classes": 11, "resolution_hw": (360, 480), "attention": name}) for name in ATTENTION),
    ("fast_scnn", {"classes": 11, "resolution_hw": (360, 480), "point_head": 64, "point_steps": 1}),
    ("deeplab_mobilenet_v2", {"classes": 21, "resolution_hw": (513, 513)}),
    ("deeplab_mobilenet_v2", {"classes": 21, "resolution_hw": (513, 513), "pyramid": True}),
    ("deeplab_mobilenet_v2", {"classes": 21, "resolution_hw": (513, 513), "output_stride": 8}),
    ("deeplab_mobilenet_v2", {"classes": 11, "resolution_hw": (368, 480)}),
    ("deeplab_mobilenet_v2", {"classes": 11, "resolution_hw": (368, 480), "point_head": 64}),
    *(("deeplab_mobilenet_v2", {"classes": 21, "resolution_hw": (513, 513), "attention": name}) for name in ATTENTION),
    ("deeplab_mobilenet_v1", {"classes": 21, "resolution_hw": (513, 513)}),
    ("deeplab_mobilenet_v1", {"classes": 21, "resolution_hw": (513, 513), "pyramid": True}),
    ("deeplab_mobilenet_v1", {"classes": 21, "resolution_hw": (513, 513), "output_stride": 8}),
    *(("deeplab_mobilenet_v1", {"classes": 21, "resolution_hw": (513, 513), "attention": name}) for name in ATTENTION),
    ("mobilenet_v2_ssdlite", {"classes": 80, "resolution": 320}),
    ("mobilenet_v2_ssdlite", {"classes": 90, "resolution": 300}),
    ("mobilenet_v1_ssdlite", {"classes": 80, "resolution": 320}),
)
"""Published sizes, and those of the recipes."""


@click.command(
    name="models",
    cls=GroupedCommand,
    headings=HEADINGS,
    epilog=examples(
        "edge models mobilenet_v2",
        "edge models --fit --on ssh://pi@raspberrypi.local --latency-budget 20ms --size-budget 2MB",
        "edge models --fit --task segment --classes 11 --latency-budget 10ms",
    ),
)
@click.argument("names", nargs=-1, metavar="[MODEL]...")
@fit_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def command(names: tuple[str, ...], fit: bool, as_json: bool, **options: Any) -> int | None:
    """List the networks with parameters and multiply-adds; with --fit, those that a device has room for.

    Parameters are counted with batch norm and without auxiliary heads; multiply-adds are those of one image. A point
    head counts with all its steps.

    --fit makes untrained INT8 networks of the models named, or of the task's, measures them where --on says, and lists
    what holds the budgets, the most capable first, with the line that trains it. Exit code 1: none does.
    """
    if fit:
        from edge.cli.fit_output import run_fit

        return run_fit(names, asked_for(options), options, as_json=as_json)
    refuse_without_fit()
    _list(names, as_json=as_json)
    return None


def _list(names: tuple[str, ...], *, as_json: bool) -> None:
    from edge.models.listing import list_models  # brings torch

    entries = list_models(GRID, names)
    if as_json:
        for entry in entries:
            say_json(asdict(entry))
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 0, 0, 1))
    table.add_column("model", no_wrap=True)
    table.add_column("arguments")
    for column in ("input, h x w", "parameters", "MAdds"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        width, height = entry.resolution_wh
        table.add_row(
            entry.model,
            " ".join(f"{name}={value}" for name, value in entry.arguments.items() if "resolution" not in name),
            f"{height}x{width}",
            f"{entry.parameters / 1e6:.3f} M",
            f"{entry.multiply_adds / 1e6:,.1f} M",
        )
    show(table)
    for entry in entries:
        if entry.unruled:
            say(f"{entry.model}: no rule for (not in the multiply-adds): {', '.join(entry.unruled)}")
