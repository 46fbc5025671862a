"""docs/installing.md says of every extra where it can be had, and pip agrees."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.wheel import build_wheel

pytestmark = pytest.mark.unhurried  # pip is asked for wheels

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "installing.md").read_text("utf-8")
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]
ENDED = "tflite-runtime"
HEAVY = {"torch", "onnx", "onnxruntime", "tensorflow", "safetensors", "scipy", "jinja2", "duckdb", "faster-coco-eval"}


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def resolve(extras: list[str], version: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """pip's answer for another Python; what the packages need in turn is left aside."""
    wanted = sorted({line for extra in extras for line in EXTRAS[extra] if "==" in line.split(";")[0]})
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


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.mark.slow
@pytest.mark.parametrize(("version", "machine"), [("3.11", "aarch64"), ("3.13", "x86_64")])
def test_a_camera_takes_light_packages_alone(version: str, machine: str, wheel: Path, tmp_path: Path) -> None:
    """What pip would install of the wheel's extra on a Pi and on a PC, with all that its packages need in turn."""
    argv = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--dry-run",
        "--quiet",
        "--disable-pip-version-check",
        "--report",
        "-",
    ]
    argv += ["--report", "-", "--ignore-installed", "--only-binary=:all:", "--target", str(tmp_path)]
    argv += ["--python-version", version]
    for glibc in ("17", "27", "28"):
        argv += ["--platform", f"manylinux_2_{glibc}_{machine}"]
    done = subprocess.run([*argv, f"{wheel}[camera]"], capture_output=True, text=True, timeout=300, check=True)
    found = {item["metadata"]["name"].lower().replace("_", "-") for item in json.loads(done.stdout)["install"]}
    assert {"edge-deploy", "ai-edge-litert", "opencv-python-headless", "numpy", "pydantic"} <= found
    assert not found & HEAVY


@pytest.mark.parametrize(
    ("machine", "runtime"), [("x86_64", "litert"), ("aarch64", "litert"), ("arm64", "litert"), ("armv7l", ENDED)]
)
def test_a_camera_takes_the_runtime_that_its_machine_can_have(machine: str, runtime: str) -> None:
    wanted = [Requirement(line) for line in EXTRAS["camera"]]
    (chosen,) = (one for one in wanted if one.marker and one.marker.evaluate({"platform_machine": machine}))
    assert chosen.extras == {runtime}


def test_the_predecessor_is_published_for_32_bit_arm(tmp_path: Path) -> None:
    """For Python 3.11, which Raspberry Pi OS Bookworm has."""
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv += ["--only-binary=:all:", "--platform", "manylinux_2_34_armv7l", "--python-version", "3.11"]
    subprocess.run([*argv, "--dest", str(tmp_path), EXTRAS[ENDED][0]], check=True, timeout=300, capture_output=True)
    assert [path.name for path in tmp_path.glob("*armv7l.whl")]
