"""Set a bare device up, and remove from it all that was ever put there."""

import io
import shlex
import tarfile
from pathlib import Path

from device_bench.targets.bounded_run import run_bounded
from device_bench.targets.ssh import refuse_foreign
from device_bench.targets.ssh_client import Address, ConnectionCut, parse_address
from device_bench.targets.target import TargetOptions
from edge.engines.python_child import code_arguments
from edge.errors import EngineError, UsageError

PREPARE_SECONDS = 1800.0
# Run by the device's own Python, with the standard library alone. Standard input: a tar of wheels, or nothing.
PREPARE = """
import os, subprocess, sys, tarfile
if sys.version_info < (3, 10):
    sys.exit("Python 3.10 or newer is needed, this is " + sys.version.split()[0])
try:
    import ensurepip, venv
except ImportError:
    sys.exit("Python's venv is missing; on the device: sudo apt install python3-venv")
cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
root = os.path.join(cache, "edge-deploy")
folder, wheels = os.path.join(root, "python"), os.path.join(root, "wheels")
python = os.path.join(folder, "bin", "python3")
said = []
if not os.path.exists(python):
    os.makedirs(root, mode=0o700, exist_ok=True)
    venv.create(folder, with_pip=True)
    said.append("made " + folder)
source = []
if sys.argv[1] == "wheels":
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|") as archive:
        for member in archive:
            name = os.path.basename(member.name)
            if member.isfile() and name.endswith(".whl"):
                os.makedirs(wheels, exist_ok=True)
                with open(os.path.join(wheels, name), "wb") as handle:
                    handle.write(archive.extractfile(member).read())
    source = ["--no-index", "--find-links", wheels]
old = sys.version_info < (3, 12)
numpy = "numpy<2" if old else "numpy"  # tflite-runtime, which needs it, exists up to Python 3.11
pip = [python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary=:all:", *source]
def install(*names):
    done = subprocess.run([*pip, numpy, *names], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return None if done.returncode == 0 else (lines[-1] if lines else "pip failed")
failed = install()
if failed:
    sys.exit("numpy cannot be installed: " + failed + "; without a network there: --wheels FOLDER")
runtimes = 0
for name in ["ai-edge-litert", "onnxruntime"] + (["tflite-runtime"] if old else []):
    failed = install(name)
    runtimes += failed is None
    if failed:
        said.append("no " + name + " (" + failed + ")")
if not runtimes:
    sys.exit("no runtime can be installed: " + said[-1])
ask = "from importlib.metadata import distributions as d; print(', '.join(sorted(x.metadata['Name'] + ' ' + x.version "
ask += "for x in d() if x.metadata['Name'].lower() in %r)))" % (
    ["numpy", "ai-edge-litert", "ai_edge_litert", "onnxruntime", "tflite-runtime"],)
said.append(subprocess.check_output([python, "-I", "-c", ask]).decode().strip())
said.extend("agent there: " + name for name in sorted(os.listdir(root)) if name.startswith("agent-"))
print("; ".join(said))
"""
REMOVE = """
import fcntl, os, shutil, sys
cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
root = os.path.join(cache, "edge-deploy")
names = sorted(os.listdir(root)) if os.path.isdir(root) else []
ours = [n for n in names if n.startswith("agent-") or n in ("files", "jobs", "python", "wheels", "lock")]
if "lock" in ours:
    with open(os.path.join(root, "lock")) as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("a job runs there (" + handle.read() + "); nothing was removed, wait until it has ended")
total = 0
for name in ours:
    path = os.path.join(root, name)
    for folder, _, files in os.walk(path):
        total += sum(os.lstat(os.path.join(folder, file)).st_size for file in files)
    if os.path.isdir(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)
if os.path.isdir(root) and not os.listdir(root):
    os.rmdir(root)
print("removed from " + root + ": " + ", ".join(ours) + " (%d bytes)" % total if ours else "nothing of ours is there")
"""


def prepare_ssh(name: str, options: TargetOptions) -> str:
    """Make an environment on a device with numpy and every runtime that it can have; again: what is missing.

    Args:
        options: `python` is the interpreter that the environment is made of; `wheels` a folder of wheels for a device
            without a network.

    Raises:
        UsageError: a folder without wheels. EngineError: no connection, no venv there, or pip fails; in one line.
    """
    refuse_foreign(options)
    address = parse_address(name, options.ssh_config)
    given = b"" if options.wheels is None else _packed(options.wheels)
    source = "index" if options.wheels is None else "wheels"
    line = f"exec {shlex.quote(options.python or 'python3')} {shlex.join(code_arguments(PREPARE, [source]))}"
    return f"{address.name}: ready: {_said(address, line, given)}"


def remove_ssh(name: str, options: TargetOptions) -> str:
    """Remove from a device all that was put there, and say what; refuses (EngineError) while a job runs."""
    refuse_foreign(options)
    address = parse_address(name, options.ssh_config)
    line = f"exec {shlex.quote(options.python or 'python3')} {shlex.join(code_arguments(REMOVE))}"
    return f"{address.name}: {_said(address, line, b'')}"


def _said(address: Address, line: str, given: bytes) -> str:
    """The last line that a command on the device prints."""
    try:
        done = run_bounded(address.command(line), name=address.name, seconds=PREPARE_SECONDS, given=given)
    except TimeoutError as error:
        raise ConnectionCut(f"{address.name}: no answer within {PREPARE_SECONDS:g} s") from error
    except OSError as error:
        raise EngineError(f"ssh cannot be started: {error.strerror}; install openssh-client") from error
    if done.status != 0:
        raise address.failure(done.status, done.err)
    lines = done.out.strip().splitlines()
    return lines[-1] if lines else "done"


def _packed(folder: Path) -> bytes:
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        raise UsageError(f"--wheels {folder}: there is no wheel (*.whl) in it")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for wheel in wheels:
            archive.add(wheel, arcname=wheel.name)
    return buffer.getvalue()
