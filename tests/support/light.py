"""The light part (what a device installs), as the table of layers has it: no list stands anywhere else."""

import re
from functools import cache
from pathlib import Path

from tests.support.layers import BARRED, ROOT, TABLE, read_layers

TESTS = ROOT / "tests"
HEAVY = frozenset(BARRED["light"])
_LAYERS = read_layers((ROOT / TABLE).read_text("utf-8"))
OURS = frozenset(layer.package.split(".")[0] for layer in _LAYERS)
# In light packages what may need torch all the same: the torch engine.
_EXCEPTED = tuple(layer.exempt for layer in _LAYERS if layer.exempt)
# Modules beside the packages are the lowest layer; the verbs import what is heavy when they run.
_BESIDE = tuple(f"edge.{path.stem}" for path in sorted((ROOT / "edge").glob("*.py")) if path.stem != "__init__")
_PACKAGES = tuple(layer.package for layer in _LAYERS if layer.needs == "light")
_IMPORTED = re.compile(r"^(?:from|import) ([\w.]+)", re.MULTILINE)
_MARK = re.compile(r"^pytestmark = .*\bmark\.(light|extra)\b", re.MULTILINE)


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def light_modules() -> list[str]:
    """Every module that a device may import."""
    found = list(_BESIDE)
    for package in (*_PACKAGES, "edge.cli"):
        for file in sorted((ROOT / package.replace(".", "/")).rglob("*.py")):
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not within(name, _EXCEPTED):
                found.append(name)
    return found


@cache
def is_light(path: Path) -> bool:
    """Whether a test file belongs to the light part, or a folder holds one that does.

    A file does that mirrors a light module and imports nothing else; one that lies elsewhere says `pytestmark =
    pytest.mark.light`, and one that needs more within its tests `pytestmark = pytest.mark.extra`.
    """
    if path.is_dir():
        return any(is_light(file) for file in path.rglob("test_*.py"))
    marked = _MARK.search(path.read_text("utf-8"))
    if marked is not None and marked[1] == "extra":
        return False
    mirrored = ".".join(path.relative_to(TESTS).with_suffix("").parts).replace(".test_", ".")
    return (marked is not None or within(mirrored, (*_PACKAGES, *_BESIDE))) and _imports_light(path)


def _imports_light(path: Path) -> bool:
    """Whether all that a test file imports at its top, by way of other test files too, is light."""
    return all(_is_light_import(name) for name in _IMPORTED.findall(path.read_text("utf-8")))


def _is_light_import(module: str) -> bool:
    top = module.split(".")[0]
    if top == "tests":
        beside = ROOT / f"{module.replace('.', '/')}.py"
        return not beside.is_file() or _imports_light(beside)
    if top in OURS:
        return module == "edge" or (
            within(module, (*_PACKAGES, *_BESIDE, "edge.cli")) and not within(module, _EXCEPTED)
        )
    return top not in HEAVY
