"""What is missing here is named with what pip can bring on this Python, and with no index that does not hold us."""

import re
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

from edge.engines.engine import open_session
from edge.errors import EngineError
from edge.installation import DISTRIBUTION, needs

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
REQUIRED = [f'{line}; extra == "{extra}"' for extra, lines in EXTRAS.items() for line in lines]


@pytest.fixture
def as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The distribution's metadata, as pyproject.toml has it now: an editable installation keeps those of its day."""
    monkeypatch.setattr(metadata, "requires", {DISTRIBUTION: REQUIRED}.__getitem__)


@pytest.mark.parametrize("extra", [name for name in EXTRAS if name != "dev"])
def test_an_extra_brings_the_versions_that_were_tested(extra: str) -> None:
    """Each by `==`, extras of our own aside; tflite-runtime's two bounds choose among versions that were.

    Behind a semicolon stands where it is wanted.
    """
    for line in EXTRAS[extra]:
        assert re.fullmatch(rf"{DISTRIBUTION}\[.*\]|[\w-]+==[\w.]+|[\w-]+<[\d.]+", line.split(";")[0]), line


def test_a_version_stands_in_one_file() -> None:
    named = {re.split(r"[=<>]", line)[0].lower() for lines in EXTRAS.values() for line in lines if "==" in line}
    for file in (ROOT / "constraints.txt", ROOT / "tests" / "constraints-tflite-runtime.txt"):
        assert not named & {line.split("==")[0].lower() for line in file.read_text("utf-8").splitlines()}, file


@pytest.mark.usefixtures("as_written")
def test_a_missing_package_is_named_with_its_tested_version() -> None:
    (torch,) = (line for line in EXTRAS["train"] if line.startswith("torch"))
    assert re.fullmatch(rf"needs the package torch: pip install (\S+ )*{torch}", needs("torch"))


@pytest.mark.usefixtures("as_written")
@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_a_runtime_that_this_python_cannot_have_names_its_successor(
    version: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it can be had, with the older numpy that it needs, whichever is here."""
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    told = "pip install tflite-runtime==2.14.0 'numpy<2' 'opencv-python-headless<4.12'"
    if version > (3, 11):
        told = (
            f"ended with Python 3.11 (here 3.{version[1]}); its successor is ai_edge_litert: pip install ai-edge-litert"
        )
    with pytest.raises(EngineError, match=re.escape(told)):
        open_session("tflite-runtime", "absent.tflite")


def test_nothing_installs_us_from_an_index() -> None:
    """From a checkout (`.[train]`) or a wheel (`...whl[train]`) alone: the name is not ours on any index."""
    texts = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    texts += [path for part in ("edge", "converters", "device_bench") for path in (ROOT / part).rglob("*.py")]
    for path in texts:
        assert not re.search(r"pip install[^\n`]*edge-deploy", path.read_text("utf-8")), path
