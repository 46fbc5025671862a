"""Versions of everything that can change a latency."""

import platform
from importlib.metadata import PackageNotFoundError, version

from edge.engines.table import ENGINES

PACKAGES = (
    "edge-deploy",
    "numpy",
    "opencv-python-headless",
    "opencv-python",
    *(row.packages[0] for row in ENGINES.values() if row.packages),
)


def package_versions() -> dict[str, str]:
    """Python's version and those of the packages that are installed, without importing them."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
