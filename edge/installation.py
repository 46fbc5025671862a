"""What is not installed here, and the words with which pip brings it.

The product need not come from an index, so a message names the packages themselves, not an extra of ours.
"""

import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from types import MappingProxyType

DISTRIBUTION = "edge-deploy"

# package that is not in the light part -> the smallest extra that brings it
EXTRAS: Mapping[str, str] = MappingProxyType(
    {
        "ai_edge_litert": "litert",
        "duckdb": "report",
        "faster_coco_eval": "detection",
        "flatbuffers": "inspect",
        "jinja2": "report",
        "onnx": "inspect",
        "onnxruntime": "onnxruntime",
        "safetensors": "train",
        "tflite_runtime": "tflite-runtime",
        "torch": "train",
    }
)
# package -> the last Python that it was published for, and the package that is its successor
ENDED: Mapping[str, tuple[tuple[int, int], str]] = MappingProxyType({"tflite_runtime": ((3, 11), "ai_edge_litert")})


def needs(package: str, extra: str | None = None) -> str:
    """`needs the package torch: pip install jinja2==3.1.6 torch==2.13.0`: with all else that its extra misses here.

    Args:
        package: a key of EXTRAS, as it is imported.
        extra: where another one than that of EXTRAS is wanted.
    """
    wanted, why = package, ""
    if package in ENDED:
        last, successor = ENDED[package]
        if sys.version_info[:2] > last:
            here = f"{sys.version_info[0]}.{sys.version_info[1]}"
            why = f", which ended with Python {last[0]}.{last[1]} (here {here}); its successor is {successor}"
            wanted, extra = successor, None
    asked = wanted.replace("_", "-")
    missing = [
        line
        for name, line in _brought(extra or EXTRAS[wanted])
        if name == asked or not _is_installed(name) or "<" in line  # an older numpy than is here, for tflite-runtime
    ]
    return f"needs the package {package}{why}: pip install {' '.join(map(shlex.quote, missing or [asked]))}"


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
