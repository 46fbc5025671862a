"""`edge explain --gates`: what attention modules do, as a table, an object and pictures."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from edge.errors import UsageError
from edge.files.atomic import make_folder
from edge.terminal import say, say_json, show

if TYPE_CHECKING:
    from edge.explain.gated import Gates
    from edge.explain.gates import Reals
    from edge.vision.pixels import Pixels
    from edge.vision.preprocess import Preprocess


def explain_gates(subject: Path, image: Path, frame: "Pixels", out: Path, *, as_json: bool) -> None:
    """Print the gates of a checkpoint or an artifact on a photograph, and write their pictures into a folder.

    Raises:
        UsageError: the network has no attention.
    """
    from edge.explain.gated import gates_on, open_gated

    gated = open_gated(subject)
    gates = gates_on(gated, frame)
    if not gates.channels and not gates.positions:
        raise UsageError(f"{subject}: has no gates; `edge train --set model.attention=gct` or `cbam` trains some")
    make_folder(out)
    pictures = _pictures(gates, frame, gated.preprocess, out, image.stem)
    if as_json:
        _object(subject, gated.kind, image, gates, pictures)
    else:
        _tables(f"{subject}, {gated.kind}", image, gates, pictures)


def _pictures(gates: "Gates", frame: "Pixels", preprocess: "Preprocess", out: Path, stem: str) -> list[Path]:
    from edge.explain.gate_picture import draw_channel_gates, draw_spatial_gates
    from edge.vision.picture_file import write_picture

    pictures = []
    if gates.channels:
        pictures.append(out / f"{stem}.channels.png")
        write_picture(pictures[-1], draw_channel_gates(gates.channels))
    if gates.positions:
        pictures.append(out / f"{stem}.positions.png")
        write_picture(pictures[-1], draw_spatial_gates(frame, gates.positions, preprocess))
    return pictures


def _object(subject: Path, kind: str, image: Path, gates: "Gates", pictures: list[Path]) -> None:
    channels = [
        {
            "layer": layer.layer,
            "channels": layer.gamma.size,
            "competing": layer.competing,
            "cooperating": layer.cooperating,
            "gamma": [float(value) for value in layer.gamma],
        }
        for layer in gates.channels
    ]
    positions = [
        {"layer": layer.layer, "shape_hw": list(layer.values.shape), **_range(layer.values)}
        for layer in gates.positions
    ]
    say_json(
        {
            "subject": str(subject),
            "kind": kind,
            "image": str(image),
            "channel_gates": channels,
            "spatial_gates": positions,
            "pictures": [str(path) for path in pictures],
        }
    )


def _tables(title: str, image: Path, gates: "Gates", pictures: list[Path]) -> None:
    if gates.channels:
        table = _table(title, "channels", "cooperate", "compete", "least gamma", "mean", "largest")
        for layer in gates.channels:
            shares = (f"{100 * share:.0f} %" for share in (layer.cooperating, layer.competing))
            numbers = (f"{value:+.3f}" for value in _range(layer.gamma).values())
            table.add_row(layer.layer, str(layer.gamma.size), *shares, *numbers)
        show(table)
        everything = sum(layer.gamma.size for layer in gates.channels)
        competing = sum(layer.competing * layer.gamma.size for layer in gates.channels)
        cooperating = sum(layer.cooperating * layer.gamma.size for layer in gates.channels)
        say(
            f"of {everything:,} channels {100 * cooperating / everything:.0f} % cooperate (gamma below 0), "
            f"{100 * competing / everything:.0f} % compete (above 0)"
        )
    if gates.positions:
        table = _table(f"{title}; {image}", "positions", "least gate", "mean", "largest")
        for gate in gates.positions:
            numbers = (f"{value:.3f}" for value in _range(gate.values).values())
            table.add_row(gate.layer, "x".join(map(str, gate.values.shape)), *numbers)
        show(table)
    say(f"written: {', '.join(map(str, pictures))}")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("layer", no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _range(values: "Reals") -> dict[str, float]:
    return {"lowest": float(values.min()), "mean": float(values.mean()), "highest": float(values.max())}
