"""What an installed package says of itself: its name, and the tag of the wheel that it came in."""

from collections.abc import Sequence
from importlib import metadata


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
