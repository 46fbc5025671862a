"""What is not installed here, and the words with which pip brings it.

The product need not come from an index, so a message names the packages themselves, not an extra of ours.
"""

import re
import shlex
from collections.abc import Iterator, Mapping
from importlib import metadata
from types import MappingProxyType

DISTRIBUTION = "edge-deploy"

# package that is not in the light part -> the extra that brings it
EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "ai_edge_litert": "litert",
        "duckdb": "report",
        "flatbuffers": "convert",
        "jinja2": "report",
        "onnx": "convert",
        "onnxruntime": "onnxruntime",
        "safetensors": "train",
        "tflite_runtime": "tflite-runtime",
        "torch": "train",
    }
)


def needs(package: str, extra: str | None = None) -> str:
    """`needs the package torch: pip install 'torch>=2.6' jinja2`: with all else that is missing of its extra.

    Args:
        package: a key of EXTRAS, as it is imported.
        extra: where another one than that of EXTRAS is wanted.
    """
    asked = package.replace("_", "-")
    missing = [line for name, line in _brought(extra or EXTRAS[package]) if name == asked or not _is_installed(name)]
    return f"needs the package {package}: pip install {' '.join(map(shlex.quote, missing or [asked]))}"


def _brought(extra: str) -> Iterator[tuple[str, str]]:
    """(name, requirement) of everything that an extra brings, extras within it included."""
    try:
        lines = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:  # run from the source tree, not installed
        return
    for line in lines:
        requirement, _, marker = line.partition(";")
        found = re.match(r"[\w.-]+", requirement)
        if found is None or f'extra == "{extra}"' not in marker.replace("'", '"'):
            continue
        if found[0] == DISTRIBUTION:
            for inner in requirement.strip().removeprefix(f"{DISTRIBUTION}[").removesuffix("]").split(","):
                yield from _brought(inner)
        else:
            yield found[0], requirement.strip()


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
