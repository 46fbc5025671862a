"""Images that cannot be used: found before long work begins, all named at once, omitted where that is asked for."""

import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from edge.data.splits import Split
from edge.errors import DataError, first_of
from edge.files.quiet import quiet_native_log
from edge.terminal import tell

SKIP = "--skip-damaged (in a recipe: [data] skip_damaged = true) omits what is damaged"
_TOGETHER = 64
_TELL_S = 10.0
# Of libjpeg's lines those that say that a part of the image is not what was photographed; others are harmless.
_DECODER = re.compile(rb"Corrupt JPEG data: (premature end.*|bad Huffman code|found marker .* instead of RST.*)")


def without_damaged(split: Split, *, skip: bool = False) -> Split:
    """The split, once every image and mask of it was looked at and its notes are told; drawn ones need no look.

    Images are decoded at an eighth of their size, which takes about half of the time of reading them.

    Args:
        skip: omit what cannot be used, name it on standard error and count it in `skipped_damaged`.

    Raises:
        DataError: something cannot be used (all is named), or with `skip` nothing can.
    """
    if split.notes:
        tell(*(f"{split.origin}: {note}" for note in split.notes))
        split = replace(split, notes=())
    problems = damaged(split)
    if not problems:
        return split
    named = list(problems.values())
    if not skip and len(named) == 1:
        raise DataError(named[0].path, f"{named[0].problem}; {SKIP}")
    told = first_of(named, "; ")
    if not skip:
        raise DataError(split.origin, f"{len(named)} of {len(split)} images cannot be used: {told}. {SKIP}")
    if len(named) == len(split):
        raise DataError(split.origin, f"none of {len(split)} images can be used: {told}")
    tell(f"{split.origin}: {len(named)} of {len(split)} images are omitted: {told}")
    usable = [index for index in range(len(split)) if index not in problems]
    return replace(split.subset(usable), skipped_damaged=split.skipped_damaged + len(named))


def damaged(split: Split) -> dict[int, DataError]:
    """What is wrong, by the position of the sample."""
    files = [index for index, sample in enumerate(split.samples) if isinstance(sample.image, Path)]
    problems: dict[int, DataError] = {}
    told_at = time.monotonic()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(files), _TOGETHER):
            if time.monotonic() - told_at > _TELL_S:
                told_at = time.monotonic()
                tell(f"{split.origin}: {start} of {len(files)} images looked at")
            group = files[start : start + _TOGETHER]
            with quiet_native_log(everything=True) as lines:
                found = list(pool.map(lambda index: _problem(split, index), group))
            if any(_DECODER.match(line) for line in lines):
                found = list(_one_by_one(split, group))  # the lines do not say of which file they speak
            problems |= {index: problem for index, problem in zip(group, found, strict=True) if problem}
    return problems


def _one_by_one(split: Split, indices: list[int]) -> Iterator[DataError | None]:
    for index in indices:
        with quiet_native_log(everything=True) as lines:
            problem = _problem(split, index)
        said = next((found.group(1) for line in lines if (found := _DECODER.match(line))), None)
        if problem is None and said is not None:
            where = split.samples[index].where
            problem = DataError(where, f"a damaged or truncated JPEG; its decoder says: {said.decode('latin-1')}")
        yield problem


def _problem(split: Split, index: int) -> DataError | None:
    try:
        split.check(index)
    except DataError as error:
        return error
    return None
