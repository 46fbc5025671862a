"""The parts of the zoo, written one after the other into a folder each, as hashes."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from tests.zoo.hashes import folder_hashes
from tests.zoo.parts import SMALL, parts

ROOT = Path(__file__).resolve().parents[2]


def hashes_of(asked: Sequence[str], folder: Path) -> Iterator[tuple[str, str]]:
    """Write the parts and yield (name, SHA-256) of every file, part by part. `small` and `all` stand for several.

    One thread and one seed: on one machine the same files every time.
    """
    data = Path(os.environ.get("EDGE_TEST_DATA") or ROOT.parent / "shared" / "data").resolve()
    known = parts(data if (data / "models").is_dir() else None)
    groups = {"small": SMALL, "all": tuple(known)}
    torch.set_num_threads(1)
    for name in [part for word in asked for part in groups.get(word, (word,))]:
        started = time.monotonic()
        (folder / name).mkdir(parents=True)
        torch.manual_seed(0)
        with contextlib.chdir(folder / name):
            known[name]()
        yield from ((f"{name}/{path}", sha256) for path, sha256 in folder_hashes(folder / name).items())
        sys.stderr.write(f"{name}: {time.monotonic() - started:.1f} s\n")
