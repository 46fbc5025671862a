"""Property tests with examples that no run drew before: `python tests/explore.py [--minutes 10] [--seed N]`.

Goes round after round over every test that draws its examples (pytest -m explored), each round by a seed of its own,
which is printed; ends at the first failure (exit code 1) or when the minutes are over (exit code 0). A failure found
here belongs into its test as an `@example`, so that the other tiers keep it.
"""

import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def round_of(seed: int, examples: int, left_s: float, workers: str) -> int | None:
    """Run all explored tests once. Returns pytest's exit code; None where the time ended first."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "explored", "--numprocesses", workers]
    command += ["--dist", "worksteal", f"--hypothesis-seed={seed}", "-x"]
    environment = {**os.environ, "EDGE_EXAMPLES": str(examples), "OMP_NUM_THREADS": "1"}
    try:
        return subprocess.run(command, cwd=ROOT, env=environment, timeout=left_s, check=False).returncode
    except subprocess.TimeoutExpired:
        return None


def main() -> None:
    """Explore until the budget is over."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--examples", type=int, default=50, help="examples per test and round")
    parser.add_argument("--seed", type=int, help="of the first round; drawn where none is given")
    parser.add_argument("--workers", default="2")
    given = parser.parse_args()
    end = time.monotonic() + 60 * given.minutes
    seed = random.SystemRandom().randrange(2**32) if given.seed is None else given.seed
    rounds = 0
    while (left_s := end - time.monotonic()) > 0:
        print(f"explore: seed {seed}, {given.examples} examples a test, {left_s:.0f} s left", flush=True)
        ended = round_of(seed, given.examples, left_s, given.workers)
        if ended is None:
            break
        if ended != 0:
            sys.exit(f"explore: seed {seed} found a failure; again: {sys.argv[0]} --seed {seed}")
        rounds, seed = rounds + 1, seed + 1
    print(f"explore: {rounds} whole rounds without a failure")


if __name__ == "__main__":
    main()
