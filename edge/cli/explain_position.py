"""`edge explain --position`: what maps tell of where a pixel is, as a table, an object and a picture."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from edge.data.damaged import without_damaged
from edge.data.splits import Split
from edge.errors import UsageError
from edge.terminal import Bars, say, say_json, show_wide
from edge.vision.map_positions import size_text

if TYPE_CHECKING:
    from edge.explain.network import Network
    from edge.explain.position import Read

SAMPLES = 60
FITTED = 2 / 3
PADDINGS = ("own", "reflect", "none")
OTHERS = ("mirrored", "black", "white", "noise")
JUDGED = "horizontal"
WORDS = {"image": "no network", "own": "own padding", "reflect": "reflected", "none": "no padding"}


def explain_position(
    subject: Path, split: Split, samples: int | None, paddings: Sequence[str], out: Path, *, as_json: bool, skip: bool
) -> None:
    """Read positions from a network's maps, by padding, and write a picture into a folder that is there.

    Raises:
        UsageError: fewer than six images.
    """
    from edge.explain.position import open_probed
    from edge.explain.position_picture import draw_positions
    from edge.vision.picture_file import write_picture

    probed = open_probed(subject)
    fitted, tested = halves(split, samples or SAMPLES, skip=skip)
    with Bars() as progress:
        task = progress.add_task(f"positions of {subject}", total=None)
        reads = positions(probed, fitted, tested, paddings, lambda count: progress.advance(task, count))
    picture = out / f"{subject.stem}.position.png"
    write_picture(picture, draw_positions(reads, [f"{WORDS[read.padding]}\n{_size(read)}" for read in reads]))
    if as_json:
        say_json(_object(subject, probed, fitted, tested, reads, picture))
        return
    show_wide(_table(f"{subject}, {probed.kind}: Spearman's rho, and mean absolute error", reads))
    maps = (f"{name} {'x'.join(map(str, probed.graph.tensors[name].shape))}" for name in probed.graph.outputs)
    say(
        f"maps: {', '.join(maps)}",
        f"readout: fitted on {len(fitted)} images, judged on {len(tested)} others of {split.origin}",
        f"written: {picture}",
    )


def halves(split: Split, samples: int, *, skip: bool) -> tuple[Split, Split]:
    """Images spread over the split, the first two thirds of them to fit on and the others to judge.

    Neighbouring frames of a film do not come on both sides. Refuses (UsageError) fewer than six.
    """
    count = min(samples, len(split))
    chosen = without_damaged(
        split.subset(np.linspace(0, len(split) - 1, count).round().astype(int).tolist()), skip=skip
    )
    if len(chosen) < 6:
        raise UsageError(f"{split.origin}: {len(chosen)} images; a readout of positions needs at least 6")
    cut = round(FITTED * len(chosen))
    return chosen.subset(range(cut)), chosen.subset(range(cut, len(chosen)))


def positions(
    probed: "Network", fitted: Split, tested: Split, paddings: Sequence[str], advance: Callable[[int], None]
) -> "list[Read]":
    """Without a network, then by padding; where nothing is padded images are larger, and own padding stands beside."""
    from edge.explain.position import read_image_alone, read_positions, size_without_padding, with_padding

    def frames(part: Split) -> Any:
        return (part.image(index) for index in range(len(part)))

    runs: list[tuple[str, Any]] = [(padding, None) for padding in paddings if padding != "none"]
    if "none" in paddings:
        large = size_without_padding(probed)
        runs += [("own", large)] * (large != probed.size_hw) + [("none", large)]
    reads = [read_image_alone(probed, frames(fitted), frames(tested), advance)]
    for padding, size in runs:
        other = with_padding(probed, padding, size)  # type: ignore[arg-type]  # one of PADDINGS
        reads.append(read_positions(other, padding, frames(fitted), frames(tested), advance))
    return reads


def _size(read: "Read") -> str:
    return size_text(read.size_hw)


def _table(title: str, reads: "Sequence[Read]") -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("padding")
    table.add_column("images, h x w")
    for name in reads[0].photographs:
        table.add_column(name, justify="right")
    for name in OTHERS:
        table.add_column(f"{JUDGED}, {name}", justify="right")
    for read in reads:
        found = (f"{one.spearman:+.2f} ({one.mae:.2f})" for one in read.photographs.values())
        others = (f"{read.others[name][JUDGED].spearman:+.2f}" for name in OTHERS)
        table.add_row(WORDS[read.padding], _size(read), *found, *others)
    return table


def _object(
    subject: Path, probed: "Network", fitted: Split, tested: Split, reads: "Sequence[Read]", picture: Path
) -> dict[str, Any]:
    def figures(found: Any) -> dict[str, Any]:
        return {name: {"spearman": one.spearman, "mae": one.mae} for name, one in found.items()}

    return {
        "subject": str(subject),
        "kind": probed.kind,
        "maps": {name: list(probed.graph.tensors[name].shape) for name in probed.graph.outputs},
        "images": tested.origin,
        "fitted_images": len(fitted),
        "judged_images": len(tested),
        "readouts": [
            {
                "padding": read.padding,
                "size_hw": list(read.size_hw),
                "photographs": figures(read.photographs),
                **{name: figures(found) for name, found in read.others.items()},
            }
            for read in reads
        ],
        "picture": str(picture),
    }
