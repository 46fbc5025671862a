"""`edge explain --kernels`: the kernels that involutions make of a photograph."""

from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from edge.errors import UsageError
from edge.files.atomic import make_folder
from edge.terminal import say, say_json, show

if TYPE_CHECKING:
    from edge.vision.pixels import Pixels


def explain_kernels(subject: Path, image: Path, frame: "Pixels", out: Path, *, as_json: bool) -> None:
    """Print what the kernels of a checkpoint or an artifact are on a photograph, and write their picture into a folder.

    Raises:
        UsageError: the network has no involutions.
    """
    from edge.explain.gated import open_gated
    from edge.explain.involutions import kernels_on
    from edge.explain.kernel_picture import draw_kernels
    from edge.vision.picture_file import write_picture
    from edge.vision.pixels import resize

    gated = open_gated(subject)
    layers = kernels_on(gated.graph, gated.input(resize(frame, gated.preprocess)))
    if not layers:
        raise UsageError(
            f"{subject}: has no involutions; `edge train rednet_26_generated` or `--set model.attention=involution` "
            "trains some"
        )
    make_folder(out)
    picture = out / f"{image.stem}.kernels.png"
    write_picture(picture, draw_kernels(frame, layers, gated.preprocess))
    if as_json:
        found = [
            {
                "layer": layer.layer,
                "kernel_size": layer.size,
                "groups": layer.values.shape[2],
                "shape_hw": list(layer.values.shape[:2]),
                "strength": [float(layer.strength.min()), float(layer.strength.max())],
                "variation": layer.variation,
            }
            for layer in layers
        ]
        named = {"subject": str(subject), "kind": gated.kind, "image": str(image)}
        say_json({**named, "kernels": found, "pictures": [str(picture)]})
        return
    table = Table(title=f"{subject}, {gated.kind}; {image}", title_justify="left")
    table.add_column("layer", no_wrap=True)
    for column in ("kernel", "groups", "positions", "weakest", "strongest", "variation"):
        table.add_column(column, justify="right")
    for layer in layers:
        rows, columns, groups = layer.values.shape[:3]
        numbers = (layer.strength.min(), layer.strength.max(), layer.variation)
        shapes = (f"{layer.size}x{layer.size}", str(groups), f"{rows}x{columns}")
        table.add_row(layer.layer, *shapes, *(f"{number:.3f}" for number in numbers))
    show(table)
    say("variation: how much kernels differ between positions, against their size; 0 for a convolution")
    say(f"written: {picture}")
