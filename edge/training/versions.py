"""What trained a checkpoint."""

import platform
from importlib.metadata import version


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide a training's numbers."""
    packages = ("edge-deploy", "torch", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
