"""How far a readout of position, fitted on a network's own maps, falls on its maps with the other rule's padding.

`python -m tests.benchmarks.padding_readout CHECKPOINT --images FOLDER` prints a row for each way to fit: conjugate
gradients (`edge.explain.position_readout`), and Adam for 40 epochs on maps as they are and normalized. Two thirds of
the images, in an order of chance, are fitted on; Spearman's correlation is that of the others.
"""

from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from edge.cli.bounded_number import whole
from edge.data.open_split import open_split
from edge.explain.feature_maps import backbone
from edge.explain.network import network_of_checkpoint
from edge.explain.position import features, scores
from edge.explain.position_readout import KERNEL, Readout, fit
from edge.explain.position_targets import position_targets
from edge.graph.passes.repad import with_pads
from edge.verification.checks.padding import other_conventions

EPOCHS, BATCH = 40, 8
RATES = (1e-3, 1e-4)
TOLD = ("horizontal", "vertical", "gaussian")


def by_adam(given: Tensor, rate: float, *, normalized: bool) -> Readout:
    """The convolution that EPOCHS of Adam find, without weight decay."""
    torch.manual_seed(0)
    border = KERNEL // 2
    targets = np.stack(list(position_targets().values())).astype(np.float32)
    wanted = torch.from_numpy(targets)[None, :, border:-border, border:-border]
    found = fit(given, tuple(position_targets().values()), steps=0)
    if not normalized:
        found = replace(found, mean=torch.zeros_like(found.mean), deviation=torch.ones_like(found.deviation))
    shown = found.normalized(given)
    layer = torch.nn.Conv2d(shown.shape[1], len(targets), KERNEL, bias=False)
    optimizer = torch.optim.Adam(layer.parameters(), rate)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(shown)), BATCH):
            optimizer.zero_grad()
            ((layer(shown[batch]) - wanted) ** 2).mean().backward()
            optimizer.step()
    return replace(found, weight=layer.weight.detach())


@click.command(help=__doc__)
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--images", required=True, help="A folder of photographs.")
@click.option("-n", "count", type=whole(6), default=60, show_default=True, help="How many, spread over it.")
def main(checkpoint: Path, images: str, count: int) -> None:
    """Print the table."""
    torch.set_num_threads(1)
    own = network_of_checkpoint(checkpoint)
    pads = {one.border.operator.name: one.pads for one in other_conventions(own.graph)}
    split = open_split(images=images)
    places = np.random.default_rng(0).permutation(np.linspace(0, len(split) - 1, count).round().astype(int))
    frames = [split.image(int(place)) for place in places]
    mine, others = (
        features(replace(own, graph=backbone(graph)), frames) for graph in (own.graph, with_pads(own.graph, pads))
    )
    cut = round(count * 2 / 3)
    readouts = {"conjugate gradients": fit(mine[:cut], tuple(position_targets().values()))}
    for rate in RATES:
        for normalized in (False, True):
            words = f"Adam, rate {rate:g}, maps {'normalized' if normalized else 'as they are'}"
            readouts[words] = by_adam(mine[:cut], rate, normalized=normalized)
    click.echo(f"{len(pads)} windows padded by the other rule; {', '.join(TOLD)}: own padding, the other's")
    for words, readout in readouts.items():
        told = []
        for maps in (mine, others):
            found = scores(readout.predict(maps[cut:]))
            told.append(" ".join(f"{found[name].spearman:+.2f}" for name in TOLD))
        click.echo(f"{words:40} {told[0]}   {told[1]}")


if __name__ == "__main__":
    main()
