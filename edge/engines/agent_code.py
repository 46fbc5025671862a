"""The agent's code as it travels to another Python: a zip of the modules it needs, and the lines that start it."""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from edge.engines.python_child import code_arguments

ROOT = Path(__file__).resolve().parents[2]
# They import the standard library, numpy and each other; a runtime inside the function that opens it.
MODULES = (
    "edge/__init__.py",
    "edge/engines/__init__.py",
    "edge/engines/agent.py",
    "edge/engines/cpu_features.py",
    "edge/engines/emulation.py",
    "edge/engines/engine.py",
    "edge/engines/framing.py",
    "edge/engines/inputs.py",
    "edge/engines/kernel_sets.py",
    "edge/engines/litert.py",
    "edge/engines/nvidia_smi.py",
    "edge/engines/onnx_binding.py",
    "edge/engines/onnx_providers.py",
    "edge/engines/onnx_scales.py",
    "edge/engines/onnx_session.py",
    "edge/engines/onnxruntime_module.py",
    "edge/engines/package_facts.py",
    "edge/engines/python_child.py",
    "edge/engines/session.py",
    "edge/engines/table.py",
    "edge/errors.py",
    "edge/files/__init__.py",
    "edge/files/leftovers.py",
    "edge/files/quiet.py",
    "edge/installation.py",
)
# Standard output carries messages only: what native code prints there goes to standard error.
START = """
import fcntl, hashlib, os, shutil, sys, tempfile
size, expected = int(sys.argv[1]), sys.argv[2]
code = sys.stdin.buffer.read(size)
if hashlib.sha256(code).hexdigest() != expected:
    sys.exit("the agent's code arrived damaged")
if sys.version_info < (3, 10):
    sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0])
place = os.environ.get("EDGE_AGENT_FOLDER") or tempfile.gettempdir()
folder = os.path.join(place, ".edge-tmp-" + os.urandom(8).hex())  # swept if this is killed: edge.files.leftovers
os.mkdir(folder, 0o700)
try:
    fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX)
    archive = os.path.join(folder, "agent.zip")
    with open(archive, "wb") as handle:
        handle.write(code)
    sys.path.insert(0, archive)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    from {module} import serve
    serve(sys.stdin.buffer, replies)
finally:
    shutil.rmtree(folder, ignore_errors=True)
"""


def agent_archive(modules: Sequence[str] = MODULES) -> bytes:
    """The modules as a zip archive, the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in modules:
            archive.writestr(zipfile.ZipInfo(name), (ROOT / name).read_text(encoding="utf-8"))
    return buffer.getvalue()


def start_arguments(archive: bytes, module: str = "edge.engines.agent") -> list[str]:
    """Arguments for a Python that then reads the archive from standard input, checks it and answers messages.

    Args:
        module: of the archive; its function `serve(source, sink)` answers.
    """
    told = [str(len(archive)), hashlib.sha256(archive).hexdigest()]
    return code_arguments(START.replace("{module}", module), told)
