"""The product's wheel, built from what git tracks, and environments that it is installed in."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")


def tracked(*folders: str) -> list[str]:
    """Files that git knows, relative to the root, as they stand in the working tree."""
    told = subprocess.run(["git", "ls-files", "-z", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in told.stdout.split("\0") if name and (ROOT / name).is_file()]


def build_wheel(folder: Path) -> Path:
    """Build it from a copy: a folder `build` of an earlier day would put modules into it that are gone."""
    source = folder / "source"
    for name in tracked("pyproject.toml", "README.md", "LICENSE", "docs/*.json", "edge", "converters", "device_bench"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, source / name)
    subprocess.run([*PIP, "wheel", "--no-deps", "--wheel-dir", str(folder), str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install_wheel(wheel: Path, python: str, folder: Path) -> Path:
    """A new environment of an interpreter with the wheel in it, and behind it the packages that the interpreter has.

    Returns:
        Its folder of programs.
    """
    subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
    programs = folder / "bin"
    argv = [*PIP, "--python", str(programs / "python"), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(argv, check=True)
    line = "import sys; print('\\n'.join(path for path in sys.path if path.endswith('site-packages')))"
    packages = subprocess.run([python, "-c", line], capture_output=True, text=True, check=True).stdout
    (place,) = folder.glob("lib/*/site-packages")
    (place / "packages_of_the_tests.pth").write_text(packages, "utf-8")
    return programs


def run(program: Path, *words: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run a program where no module of the source tree can be found; it may fail."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    argv = [str(program), *map(str, words)]
    return subprocess.run(argv, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
