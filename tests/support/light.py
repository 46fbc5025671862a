"""The light part (what a device installs), as the contracts of pyproject.toml have it: no list stands anywhere else."""

import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
_TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
_CONTRACTS = {contract["id"]: contract for contract in _TOOLS["importlinter"]["contracts"]}
OURS = frozenset({"edge", "converters", "device_bench"})
HEAVY = frozenset(_CONTRACTS["light"]["forbidden_modules"])
# The torch engine: what the contract lets its modules import does not count.
_EXCEPTED = tuple(line.split(".* -> ")[0] for line in _CONTRACTS["light"]["ignore_imports"])
_IMPORTED = re.compile(r"^(?:from|import) ([\w.]+)", re.MULTILINE)


def _packages() -> tuple[str, ...]:
    """What the contract names, and every layer of edge below."""
    named = _CONTRACTS["light"]["source_modules"]
    layers = [[f"edge.{part.strip()}" for part in layer.split("|")] for layer in _CONTRACTS["layers"]["layers"]]
    lowest = max(k for k, layer in enumerate(layers) if set(layer) & set(named))
    return (*named, *(name for layer in layers[lowest + 1 :] for name in layer))


PACKAGES = _packages()
# Mirrors of them, as paths under tests/: a folder, or the file of a module beside the packages.
PLACES = tuple(
    name.replace(".", "/") if (ROOT / name.replace(".", "/")).is_dir() else f"{'/test_'.join(name.rsplit('.', 1))}.py"
    for name in PACKAGES
)


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Whether a module is one of these, or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def light_modules() -> list[str]:
    """Every module that a device may import; the verbs import what is heavy when they run."""
    found = []
    for package in (*PACKAGES, "edge.cli"):
        path = ROOT / package.replace(".", "/")
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            parts = file.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if not within(name, _EXCEPTED):
                found.append(name)
    return found


def imports_light(path: Path) -> bool:
    """Whether all that a test file imports at its top, by way of other test files too, is light."""
    return all(_is_light(name) for name in _IMPORTED.findall(path.read_text("utf-8")))


def _is_light(module: str) -> bool:
    top = module.split(".")[0]
    if top == "tests":
        beside = ROOT / f"{module.replace('.', '/')}.py"
        return not beside.is_file() or imports_light(beside)
    if top in OURS:
        known = within(module, (*PACKAGES, "edge.cli", "edge.__main__")) or module == "edge"
        return known and not within(module, _EXCEPTED)
    return top not in HEAVY
