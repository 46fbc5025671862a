"""A validation part taken out of a split that has none."""

import hashlib
from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from edge.data.boxes import BoxTarget
from edge.data.splits import Sample, Split, content_hashes
from edge.errors import DataError, UsageError


def hold_out(split: Split, share: float, seed: int = 0) -> tuple[Split, Split]:
    """Two splits of the same meaning, to train on and to validate on, each in the order of `split`.

    With class labels every class gives its share, at least one image, and keeps at least one; a class of one image is
    trained on. Of independent labels and of boxes an image stands for the rarest one that it has. Copies of an image
    stay together. An image's part follows from its content and the seed alone, never from names, order or place.

    Args:
        share: of the images, to validate on; in (0, 1).

    Refused: a share outside (0, 1); a split in which nothing can be held out.
    """
    if not 0 < share < 1:
        raise UsageError(f"the part held out must be between 0 and 1, found {share}")
    strata: dict[int, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    holds = _holds(split)
    rarest_first = np.argsort(holds.sum(axis=0), kind="stable")
    for index, sample in enumerate(split.samples):
        stratum = sample.target if isinstance(sample.target, int) else 0
        if isinstance(sample.target, tuple | BoxTarget):
            stratum = next((int(label) for label in rarest_first if holds[index, label]), len(split.classes))
        strata[stratum][_rank(sample, seed)].append(index)
    held: set[int] = set()
    for copies in strata.values():
        wanted = max(1, round(share * sum(len(indices) for indices in copies.values())))
        taken = 0
        for rank in sorted(copies)[:-1]:
            if taken >= wanted:
                break
            held.update(copies[rank])
            taken += len(copies[rank])
    if not held:
        raise DataError(
            split.origin,
            f"no class of its {len(split)} images has two that differ: nothing can be held out for validation",
        )
    kept = [index for index in range(len(split)) if index not in held]
    return split.subset(kept), split.subset(sorted(held))


def _holds(split: Split) -> NDArray[np.bool_]:
    """Which classes an image has, of which it may have several: bool (images, classes); of other splits all False."""
    holds = np.zeros((len(split), len(split.classes)), dtype=np.bool_)
    for index, sample in enumerate(split.samples):
        if isinstance(sample.target, tuple):
            holds[index] = np.array(sample.target) == 1
        elif isinstance(sample.target, BoxTarget):
            holds[index, [box.label for box in sample.target.boxes if not box.ignored]] = True
    return holds


def _rank(sample: Sample, seed: int) -> str:
    return hashlib.sha256(f"{seed} {content_hashes(sample)[0]}".encode()).hexdigest()
