"""Hashes of everything that a fixed set of models becomes: `python -m tests.zoo [--part small] [--keep FOLDER]`.

Prints `sha256  name` for every file written, sorted by name. Two trees that print the same lines on one machine write
the same files: `python -m tests.zoo > before`, the change, `python -m tests.zoo > after`, `diff before after`.
Manifests are hashed without their provenance, checkpoints and self-tests by their content. `--part small` (30 s) is the
part that no training and no photograph is needed for.
"""

import argparse
import logging
import os
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Write the parts and print the hashes."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.zoo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", action="append", help="small, or the name of a part; all if omitted")
    parser.add_argument("--keep", type=Path, help="write the files here and leave them")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # sums of floats depend on how they are divided
    logging.disable(logging.WARNING)  # onnxruntime.quantization advises on every file
    from tests.zoo.write import hashes_of

    with tempfile.TemporaryDirectory() as made:
        folder = given.keep or Path(made)
        for name, sha256 in hashes_of(given.part or ["all"], folder.resolve()):
            sys.stdout.write(f"{sha256}  {name}\n")


if __name__ == "__main__":
    main()
