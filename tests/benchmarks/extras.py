"""Size and time of each extra: `python -m tests.benchmarks.extras [EXTRA ...]` prints the table of docs/installing.md.

Each is installed from the product's wheel into an environment of its own, which is removed before the next one is made.
Which Python it is made of: that which runs this. `none` is the product without an extra.
"""

import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from tests.support.wheel import ROOT, build_wheel


def measure(wheel: Path, extra: str, folder: Path) -> str:
    """One row: packages, MB (of 1,000,000 bytes, pip aside) and seconds that pip took, downloads included."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    wanted = f"{wheel}[{extra}]" if extra != "none" else str(wheel)
    began = time.monotonic()
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-cache-dir", wanted], check=True)
    seconds = time.monotonic() - began
    packages = len(list(folder.glob("lib/*/site-packages/*.dist-info"))) - 1  # ours aside
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_symlink())
    return f"| `{extra}` | {packages} | {size / 1e6:.0f} | {seconds:.0f} |"


def main(extras: list[str]) -> None:
    """Print the row of each extra named, else of all but `dev` and `docs`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    known = ["none", *(name for name in project["optional-dependencies"] if name not in ("dev", "docs"))]
    with tempfile.TemporaryDirectory() as place:
        wheel = build_wheel(Path(place))
        print("| extra | packages | MB | s |\n| --- | --- | --- | --- |")
        for extra in extras or known:
            with tempfile.TemporaryDirectory() as folder:
                print(measure(wheel, extra, Path(folder) / "venv"), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
