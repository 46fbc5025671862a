"""docs/installing.md says of every extra where it can be had, and pip agrees."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.unhurried  # pip is asked for wheels

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "installing.md").read_text("utf-8")
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
ENDED = "tflite-runtime"


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def resolve(extras: list[str], version: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """pip's answer for another Python; what the packages need in turn is left aside."""
    wanted = sorted({line for extra in extras for line in EXTRAS[extra] if "==" in line})
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv += ["--ignore-installed", "--only-binary=:all:", "--python-version", version, "--target", str(folder)]
    return subprocess.run([*argv, *wanted], capture_output=True, text=True, timeout=300, check=False)


def test_every_extra_is_in_every_table() -> None:
    users = set(EXTRAS) - {"dev", "docs"}
    for text in (PAGE.split("\n## ")[0], section("Size and time")):
        assert users <= set(re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE))
    assert users == set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\|.*", section("Which Python"), re.MULTILINE))))
    assert set(re.findall(r"\[([a-z-]+)\]'", PAGE)) <= set(EXTRAS)


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_a_newer_python_can_have_every_extra_but_one(version: str, tmp_path: Path) -> None:
    done = resolve([extra for extra in EXTRAS if extra != ENDED], version, tmp_path)
    assert done.returncode == 0, done.stderr
    done = resolve([ENDED], version, tmp_path)
    (line,) = EXTRAS[ENDED][:1]
    assert done.returncode == 1 and f"No matching distribution found for {line}" in done.stderr
    assert f"`No matching distribution found for {line}`" in section("Which Python")
