"""Versions of everything that can change a latency."""

from edge.engines.package_facts import installed_versions
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
    return installed_versions(PACKAGES)
