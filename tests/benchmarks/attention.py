"""Which attention pays on a device: plain, GCT, CBAM and involution on four sets, float and INT8, with their costs.

    python -m tests.benchmarks.attention $EDGE_TEST_DATA -o runs/attention

Each row is trained, converted, verified and counted as by `tests.benchmarks.methods`, two at a time, and kept; a
command that was interrupted goes on where it stopped. At the end all files are timed in turn. Photographs are cut in
five folds, each tested by a network that did not see it, and pooled. Rows: `attention_rows.py`.
"""

import json
import multiprocessing
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import click

from edge.errors import EdgeError
from tests.benchmarks.attention_rows import begin_fold, rows
from tests.benchmarks.attention_table import markdown
from tests.benchmarks.methods import chosen, end, measure_all, time_all, with_options
from tests.benchmarks.methods_row import RESULT
from tests.benchmarks.methods_rows import Row
from tests.benchmarks.own_photographs import FOLDS


def pooled(name: str, attention: str, found: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was found in all parts as one row: every image counts once; costs are those of the first part."""
    images = sum(part["images"] for part in found)
    shares = {key: sum(part[key] * part["images"] for part in found) / images for key in ("float", "int8", "agreement")}
    sums = {key: sum(part[key] for part in found) for key in ("images", "differing", "values", "cpu_seconds")}
    return {**found[0], "set": name, "attention": attention, **shares, **sums}


def table(
    cells: Mapping[tuple[str, str], Sequence[Row]], folder: Path, timed: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """A row for each set and kind of attention, with its files' sizes and times."""
    found = []
    for (name, attention), parts in cells.items():
        kept = [json.loads((folder / row.folder / RESULT).read_text()) for row in parts]
        files = {f"{kind}_file": timed.get(f"{parts[0].folder}/{kind}") for kind in ("float", "int8")}
        found.append({**pooled(name, attention, kept), **files})
    return found


def _begin(root: Path, folder: Path, processes: int) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        list(pool.map(begin_fold, [root] * FOLDS, [folder] * FOLDS, range(FOLDS)))


@click.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="Rows that are done stay here."
)
@with_options
def command(
    root: Path,
    folder: Path,
    only: tuple[str, ...],
    processes: int,
    cpu: str | None,
    userland: Path | None,
    no_instructions: bool,
) -> None:
    """Print both tables as Markdown; FOLDER/table.json has all figures. ROOT: the folder of the test data.

    Exit code 1: a row failed or differs.
    """
    try:
        cells = rows(root, folder)
        asked = chosen(list(chain.from_iterable(cells.values())), only)
        folder.mkdir(parents=True, exist_ok=True)
        first = [row for parts in cells.values() for row in parts[:1] if row in asked]
        later = [row for row in asked if row not in first]  # of the same network: it costs the same
        if any("fold" in row.name for row in asked):
            _begin(root, folder, processes)
        failed = measure_all(first, folder, processes, None if no_instructions else cpu, userland)
        failed += measure_all(later, folder, processes, None, userland)
        done = {row.name for row in asked if (folder / row.folder / RESULT).is_file()}
        whole = {cell: parts for cell, parts in cells.items() if done.issuperset(row.name for row in parts)}
        files = [parts[0] for parts in whole.values()]
        found = table(whole, folder, time_all(files, folder) if files else {})
    except EdgeError as error:
        sys.exit(str(error))
    end(found, folder, markdown(found), failed)


if __name__ == "__main__":
    command()
