"""The agent's code as it travels to another Python: a zip of the modules it needs, and the lines that start it."""

import ast
import hashlib
import io
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from edge.engines.python_child import code_arguments
from edge.engines.table import DEVICE_ENGINES, ENGINES

ROOT = Path(__file__).resolve().parents[2]
AGENT = "edge.engines.agent"
OURS = ("edge", "device_bench")
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


@cache
def agent_files(*modules: str) -> tuple[str, ...]:
    """Paths of these modules and of all that they import of ours, in functions too; what is for typing alone stays.

    The engines for devices come with them: their table names them by text. What travels imports the standard library,
    numpy and each other; a runtime inside the function that needs it, as what imports OpenCV at its top (`edge.vision`,
    `device_bench.agent.stages`).
    """
    found: dict[str, Path] = {}
    waiting = [*modules, *(ENGINES[name].opener[0] for name in DEVICE_ENGINES)]
    while waiting:
        name = waiting.pop()
        path = _file_of(name)
        if path is not None and name not in found:
            found[name] = path
            waiting += [name.rpartition(".")[0], *_imported(ast.parse((ROOT / path).read_text(encoding="utf-8")))]
    return tuple(sorted(path.as_posix() for path in found.values()))


def _file_of(module: str) -> Path | None:
    """Where a module of ours lies; None: it is none, or a name in one."""
    place = Path(*module.split("."))
    if module.partition(".")[0] not in OURS:
        return None
    return next((path for path in (place / "__init__.py", place.with_suffix(".py")) if (ROOT / path).is_file()), None)


def _imported(tree: ast.AST) -> Iterator[str]:
    """The modules that a piece of code imports, and the names in them, which may be modules too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"):
            yield from _imported(node)


def agent_archive(*modules: str) -> bytes:
    """These modules and what they need as a zip archive, the same bytes every time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in agent_files(*modules):
            archive.writestr(zipfile.ZipInfo(name), (ROOT / name).read_text(encoding="utf-8"))
    return buffer.getvalue()


def start_arguments(archive: bytes, module: str = AGENT) -> list[str]:
    """Arguments for a Python that then reads the archive from standard input, checks it and answers messages.

    Args:
        module: of the archive; its function `serve(source, sink)` answers.
    """
    told = [str(len(archive)), hashlib.sha256(archive).hexdigest()]
    return code_arguments(START.replace("{module}", module), told)
