"""One rank of a pair that trains with quantization: `python two_ranks.py RANK MEETING_FILE` prints its ranges as JSON.

Each rank sees other images. The cases are those of learned and moving ranges, with DistributedDataParallel made before
anything was observed, after it, and not at all.
"""

import json
import sys

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from edge.quantization.qat.phase import CALIBRATE, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, range_parameters, set_phase


def images(rank: int, batch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * batch + rank)
    return (1.0 + rank) * torch.randn(4, 3, 8, 8, generator=generator)


def prepared(ranges: str) -> QuantizedModel:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    return prepare_qat(model, torch.zeros(1, 3, 8, 8), options=QatOptions(ranges=ranges)).train()  # type: ignore[arg-type]


def ends(model: nn.Module) -> list[float]:
    return [float(parameter.detach()) for parameter in range_parameters(model)]


def observe(model: nn.Module, batches: list[torch.Tensor]) -> None:
    set_phase(model, CALIBRATE)
    for batch in batches:
        model(batch)


def run(rank: int, ranges: str, wrapped: str) -> dict[str, list[float]]:
    inner = prepared(ranges)
    batches = [images(rank, batch) for batch in range(3)]
    model: nn.Module = DistributedDataParallel(inner) if wrapped == "before" else inner
    observe(model, batches)
    observed = ends(inner)
    set_phase(model, TRAIN_FOLDED)
    if wrapped == "after":
        model = DistributedDataParallel(inner)
    optimizer = torch.optim.SGD([parameter for parameter in inner.parameters() if parameter.requires_grad], lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        if wrapped == "not":  # the weights are the user's to keep alike
            for parameter in inner.layers.parameters():
                distributed.all_reduce(parameter.grad)
        optimizer.step()
    return {"observed": observed, "trained": ends(inner)}


def main() -> None:
    rank, rendezvous = int(sys.argv[1]), sys.argv[2]
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    found = {
        f"{ranges}, {wrapped}": run(rank, ranges, wrapped)
        for ranges in ("learned", "moving_average")
        for wrapped in ("before", "after", "not")
    }
    distributed.destroy_process_group()
    single = prepared("moving_average")
    observe(single, [torch.cat([images(0, batch), images(1, batch)]) for batch in range(3)])
    sys.stdout.write(json.dumps({"ranks": found, "single": ends(single)}))


if __name__ == "__main__":
    main()
