"""A share of a split that is validated on and never trained on: the same images whenever it is asked for."""

import hashlib
from collections import defaultdict
from dataclasses import replace

from edge.data.splits import Sample, Split
from edge.errors import DataError


def hold_out(split: Split, share: float, seed: int = 0) -> tuple[Split, Split]:
    """Divide a split into what is trained on and what is held out; both keep its order.

    Which images are held out follows from their names and the seed alone. Of every class the share, rounded, is held
    out, at least one image and never the last one; a class with one image has it in training. Samples without a class
    index (masks, several labels) are divided as one class.

    Args:
        share: in (0, 1).

    Raises:
        DataError: no class has two images.
    """
    classes: dict[int | None, list[Sample]] = defaultdict(list)
    for sample in split.samples:
        classes[sample.target if isinstance(sample.target, int) else None].append(sample)
    held: set[str] = set()
    for samples in classes.values():
        names = sorted((sample.name for sample in samples), key=lambda name: (_rank(name, seed), name))
        held.update(names[: min(max(1, round(share * len(names))), len(names) - 1)])
    if not held:
        raise DataError(split.origin, "no class has two images: nothing can be held out for validation")
    kept = tuple(sample for sample in split.samples if sample.name not in held)
    taken = tuple(sample for sample in split.samples if sample.name in held)
    return replace(split, samples=kept), replace(split, samples=taken, origin=f"{split.origin} (held out)")


def _rank(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogateescape")).hexdigest()
