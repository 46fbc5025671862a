"""What an installed package says of itself: its name, its version, and the tag of the wheel that it came in."""

import platform
from collections.abc import Iterable, Sequence
from importlib import metadata


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Python's version and those of the packages that are installed, by name, without importing them."""
    found = {name: _version(name) for name in packages}
    return {"python": platform.python_version(), **{name: told for name, told in found.items() if told is not None}}


def installed_package(candidates: Sequence[str], version: str) -> str | None:
    """The one installed package of several that bring the same module, told by the module's version.

    None if none of that version is installed, or more than one: then nobody can tell whose module it is.
    """
    found = [name for name in candidates if _version(name) == version]
    return found[0] if len(found) == 1 else None


def wheel_tag(package: str | None) -> str | None:
    """Tags of an installed wheel as its WHEEL file lists them, joined by spaces: `cp311-cp311-manylinux_2_28_x86_64`.

    None for no package, one that is not installed, or one that was not installed from a wheel.
    """
    if package is None:
        return None
    try:
        text = metadata.distribution(package).read_text("WHEEL")
    except metadata.PackageNotFoundError:
        return None
    lines = [line.partition(":") for line in (text or "").splitlines()]
    tags = [value.strip() for name, _, value in lines if name.strip() == "Tag"]
    return " ".join(tags) or None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
