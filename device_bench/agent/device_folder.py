"""The agent's folder on a device: files by hash, jobs, and the locks that let one job run at a time.

```text
agent-HASH/agent.zip   the code of one version
files/HASH.FORMAT      model files and inputs, checked on arrival and before each use
jobs/ID/               one job: job.json, answer.json, report, err.txt, progress (a pipe), lock
python/                the environment that --prepare makes
lock                   held while a job runs; says who holds it
```
"""

import errno
import fcntl
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.errors import EngineError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FILE_NAME = re.compile(r"([0-9a-f]{64})\.(tflite|onnx|npz|jpg)")
JOB_ID = re.compile(r"[0-9a-f]{64}")
BLOCK_BYTES = 1 << 20


def root_folder() -> Path:
    """`edge-deploy` in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")) / "edge-deploy"


def job_folder(root: Path, job_id: Any) -> Path:
    """Where a job lies. Refuses (EngineError) what is no job id."""
    if not isinstance(job_id, str) or JOB_ID.fullmatch(job_id) is None:
        raise EngineError(f"a job id that is {str(job_id)[:80]!r}")
    return root / "jobs" / job_id


def write_whole(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, then give it its own. Refuses (EngineError) a full disk; nothing is left."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        temporary.replace(path)
    except OSError as error:
        if temporary.exists():
            temporary.unlink()
        if error.errno in FULL:
            raise EngineError(
                f"the device's disk is full: {len(data)} bytes for {path} do not fit ({error.strerror}); "
                "free space there, or give back what is ours with --remove-agent"
            ) from error
        raise EngineError(f"{path} cannot be written on the device: {error.strerror}") from error


def keep_file(root: Path, name: Any, data: bytes) -> None:
    """Write one of a job's files. Refuses (EngineError) another name than HASH.FORMAT, and another content."""
    if hashlib.sha256(data).hexdigest() != _hash_of(name):
        raise EngineError(f"{name} arrived damaged: its SHA-256 is another")
    write_whole(root / "files" / name, data)


def unusable_files(root: Path, names: Sequence[Any]) -> list[str]:
    """Those of the files that are missing, or whose content is another; the latter are removed."""
    found = []
    for name in names:
        path = root / "files" / name
        expected = _hash_of(name)
        if not path.is_file():
            found.append(name)
        elif _sha256(path) != expected:
            path.unlink()
            found.append(name)
    return found


def _hash_of(name: Any) -> str:
    matched = FILE_NAME.fullmatch(name) if isinstance(name, str) else None
    if matched is None:
        raise EngineError(f"a file named {str(name)[:80]!r}; it must be HASH.FORMAT")
    return matched.group(1)


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        for block in iter(lambda: handle.read(BLOCK_BYTES), b""):
            digest.update(block)
    return digest.hexdigest()


def take_lock(path: Path, holder: Mapping[str, Any]) -> int | None:
    """Hold a lock file as long as the descriptor is open in any process; None if another one holds it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def is_held(path: Path) -> bool:
    """Whether a process holds the lock."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def wait_free(path: Path) -> None:
    """Sleep until nobody holds the lock; costs no processor time."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def holder_text(path: Path) -> str:
    """Who holds the lock since when, for a person."""
    try:
        told = json.loads(path.read_bytes())
        return f"job {told['job'][:12]} of {told['who']}, since {told['since']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "a job that does not say whose it is"
