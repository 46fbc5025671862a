"""One hash of all code that makes an artifact: what was made by other code is made again."""

import hashlib
from functools import cache
from pathlib import Path

import converters
import edge
from converters.packaging.provenance import PACKAGES
from edge.engines.package_facts import installed_versions


@cache
def code_sha256() -> str:
    """Of every module of `edge` and `converters`, and of the versions of the packages that they work with."""
    digest = hashlib.sha256(repr(sorted(installed_versions(PACKAGES).items())).encode())
    for package in (edge, converters):
        root = Path(package.__path__[0])
        for path in sorted(root.rglob("*.py")):
            digest.update(str(path.relative_to(root)).encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
