"""The commands of docs/raspberry_pi.md hold: on Bookworm (Python 3.11) and Trixie (Python 3.13), emulated.

A code block's first line says where it runs. `on the Pi, both systems` and `on the Pi, Bookworm` run here: what changes
nothing, in the emulated userland; what installs, as a resolution of the same packages to aarch64 wheels. Blocks that
`needs` hardware, a Pi or the product there are held to their first words only.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

from device_bench.records.record import parse_records
from device_bench.targets.emulated_arm64.userland import Userland, build_userland, open_userland
from edge.cli.main import edge, main
from edge.errors import EngineError
from tests.emulated_pi.small_models import small_model

pytestmark = pytest.mark.unhurried  # pip is asked for wheels

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "raspberry_pi.md").read_text(encoding="utf-8")
SYSTEMS = {"bookworm": "3.11", "trixie": "3.13"}
HOST_TOOLS = {"edge", "ssh-keyscan", "ssh-copy-id"}
PI_TOOLS = {"sudo", "vcgencmd", "echo", "~/edge/bin/pip", "~/edge/bin/edge"}


def blocks() -> list[tuple[str, list[str]]]:
    """Where a block runs and its commands."""
    found = []
    for text in re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL):
        first, *lines = [line.strip() for line in text.splitlines() if line.strip()]
        found.append((first.removeprefix("# "), lines))
    return found


def commands(*places: str) -> list[str]:
    """All commands of blocks at these places."""
    return [line for place, lines in blocks() if place in places for line in lines]


def resolve(packages: list[str], version: str, folder: Path) -> None:
    """Let pip find wheels of these packages, and of all they need, for a Pi's Python; nothing is installed."""
    platforms = [f"manylinux_2_{glibc}_aarch64" for glibc in (17, 26, 27, 28, 31, 34)]
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check"]
    argv += ["--ignore-installed", "--only-binary=:all:", "--python-version", version, "--implementation", "cp"]
    argv += ["--abi", f"cp{version.replace('.', '')}", "--abi", "abi3", "--abi", "none", "--target", str(folder)]
    argv += [part for platform in ("manylinux2014_aarch64", *platforms) for part in ("--platform", platform)]
    done = subprocess.run([*argv, *packages], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def userlands(emulated_pi: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Userland]:
    """Bookworm's is the one that every test uses; Trixie's is built beside it, once per checkout."""
    bookworm = open_userland(Path(emulated_pi).parent)
    place = bookworm.folder.with_name(bookworm.folder.name + "-trixie")
    try:
        trixie = build_userland(place, suite="trixie", python=sys.executable)
    except EngineError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no userland of Trixie here: {error}")
    return {"bookworm": bookworm, "trixie": trixie}


def test_every_block_says_where_it_runs() -> None:
    places = {place for place, _ in blocks()}
    assert places == {
        "on the Pi, both systems",
        "on the Pi, Bookworm",
        "on the Pi, needs its hardware",
        "on the Pi, needs this product",
        "on the host",
        "on the host, needs a Pi",
    }
    for place, lines in blocks():
        tools = {line.split()[0] for line in lines}
        if "needs" in place or "host" in place:
            assert tools <= (HOST_TOOLS if "host" in place else PI_TOOLS), (place, tools)


@pytest.mark.parametrize("suite", SYSTEMS)
def test_what_reads_the_pi_runs_in_the_userland(userlands: dict[str, Userland], suite: str, tmp_path: Path) -> None:
    """The `~/edge` of the page is the userland, whose interpreter has the packages that the page installs."""
    said = {}
    for line in commands("on the Pi, both systems"):
        if " -m venv " in line or "/pip install " in line:
            continue
        if line.startswith("~/edge/bin/python "):
            argv = [str(userlands[suite].python3), *shlex.split(line)[1:]]
        else:
            argv = [str(userlands[suite].folder / "sh"), "-c", line]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
        assert done.returncode == 0, (line, done.stderr)
        said[line.split()[0] + line.split("/")[-1]] = done.stdout.strip()
    assert "45000" in said.values() and "ondemand" in said.values()
    assert any(told.startswith(f"aarch64 {SYSTEMS[suite]}.") for told in said.values()), said


@pytest.mark.parametrize(("suite", "engine"), [("bookworm", "onnxruntime"), ("trixie", "litert")])
def test_an_artifact_proves_itself_on_both_systems(
    userlands: dict[str, Userland], suite: str, engine: str, tmp_path: Path
) -> None:
    """The agent, its self-test and a runtime in Python 3.11 and 3.13 of aarch64."""
    folder = small_model("small_mobilenet_v2", tmp_path).folder
    out = tmp_path / "pi.jsonl"
    arguments = ["--on", f"emulated-arm64:{userlands[suite].folder}", "--engine", engine, "--min-runs", "1"]
    assert main(["bench", str(folder), *arguments, "-o", str(out)]) == 0
    (record,) = parse_records(out.read_text(), out)
    assert record.versions["python"].startswith(f"{SYSTEMS[suite]}.") and record.machine.architecture == "aarch64"
    assert record.selftest is not None and record.selftest.largest <= record.selftest.allowed


def test_preparing_a_userland_that_stands_says_where_it_is(
    emulated_pi: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(emulated_pi).parent
    assert main(["bench", "--prepare", "--on", f"emulated-arm64:{folder}"]) == 0
    assert str(folder) in capsys.readouterr().out


@pytest.mark.parametrize(("suite", "places"), [
    ("bookworm", ["on the Pi, both systems"]),
    ("bookworm", ["on the Pi, Bookworm"]),
    ("trixie", ["on the Pi, both systems"]),
])  # fmt: skip
def test_what_the_page_installs_has_wheels_for_aarch64(suite: str, places: list[str], tmp_path: Path) -> None:
    """`pip install` of the page, resolved by pip for the Pi's Python and architecture, wheels alone."""
    (line,) = [line for line in commands(*places) if "/pip install " in line]
    resolve(shlex.split(line)[2:], SYSTEMS[suite], tmp_path)


@pytest.mark.parametrize("suite", SYSTEMS)
def test_what_the_product_itself_needs_has_wheels_for_aarch64(suite: str, tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["litert"]]
    resolve(wanted + project["optional-dependencies"]["onnxruntime"], SYSTEMS[suite], tmp_path)


def test_trixie_has_no_wheel_of_tflite_runtime(tmp_path: Path) -> None:
    """What the page says of it, so that the page is mended when it gets one."""
    argv = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv += ["--ignore-installed", "--only-binary=:all:", "--python-version", "3.13", "--abi", "cp313"]
    argv += ["--platform", "manylinux2014_aarch64", "--target", str(tmp_path), "tflite-runtime"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode != 0 and "tflite-runtime" in done.stderr


def test_the_page_uses_options_that_exist() -> None:
    lines = [line for line in commands("on the host", "on the host, needs a Pi") if line.startswith("edge ")]
    assert len(lines) >= 6
    for line in lines:
        verb, *arguments = shlex.split(line, comments=True)[1:]
        command = edge.get_command(click.Context(edge), verb)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {part for part in arguments if part.startswith("--")} <= known, line
