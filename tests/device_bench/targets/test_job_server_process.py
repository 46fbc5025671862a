"""The agent's code on its way to a device: what lies there is checked before it runs, and so is what arrives."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from device_bench.targets.job_server_process import BOOT, HAVE, NEED, job_server_archive


@pytest.fixture(scope="module")
def code() -> bytes:
    return job_server_archive()


def boot(cache: Path, code: bytes, sent: bytes) -> "subprocess.CompletedProcess[bytes]":
    """Start the agent as ssh does, and hang up once it runs."""
    arguments = [sys.executable, "-c", BOOT, str(len(code)), hashlib.sha256(code).hexdigest()]
    environment = {"XDG_CACHE_HOME": str(cache), "PATH": "/usr/bin:/bin"}
    return subprocess.run(arguments, input=sent, env=environment, capture_output=True, timeout=60)


def test_code_that_arrives_damaged_is_neither_run_nor_kept(tmp_path: Path, code: bytes) -> None:
    ended = boot(tmp_path, code, code[:-1] + bytes([code[-1] ^ 1]))
    assert ended.returncode == 1
    assert ended.stderr == b"the agent's code arrived damaged\n"
    assert ended.stdout == NEED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.unhurried
def test_code_that_lies_there_damaged_is_asked_for_again_and_replaced(tmp_path: Path, code: bytes) -> None:
    assert boot(tmp_path, code, code).stdout.startswith(NEED)
    (archive,) = tmp_path.rglob("agent.zip")
    assert boot(tmp_path, code, b"").stdout.startswith(HAVE)
    archive.write_bytes(code[:-1] + bytes([code[-1] ^ 1]))
    assert boot(tmp_path, code, code).stdout.startswith(NEED)
    assert archive.read_bytes() == code
