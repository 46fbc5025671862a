"""Notices of native code are held back; everything else is passed on."""

import io
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.files.quiet import quiet_native_log


def test_notices_are_held_back_and_errors_passed_on(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_log():
        os.write(2, b"INFO: Created a delegate.\nERROR: it matters\n")
    assert capfd.readouterr().err == "ERROR: it matters\n"


def test_everything_is_held_back_when_our_message_says_it_better(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet_native_log(everything=True):
        os.write(2, b"[mov] moov atom not found\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_an_error_leaves_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="inside"), quiet_native_log():
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_blocks_of_several_threads_leave_standard_error_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    def load() -> None:
        for _ in range(20):
            with quiet_native_log():
                os.write(2, b"INFO: Created a delegate.\n")

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


# Standard error is closed by whoever starts the program; the first file that it opens gets the descriptor 2.
DAEMON = """
import os, sys
assert sys.stderr is None
from edge.files.quiet import quiet_native_log
taken = open(sys.argv[1], "wb", buffering=0)
assert taken.fileno() == 2
with quiet_native_log():
    os.write(2, b"ERROR: native\\n")
taken.write(b"my own\\n")
taken.close()
with quiet_native_log():
    pass
print("done")
"""


def test_a_daemon_without_standard_error_is_served_and_its_files_are_left_alone(tmp_path: Path) -> None:
    command = ["sh", "-c", 'exec "$@" 2>&-', "sh", sys.executable, "-c", DAEMON, str(tmp_path / "file")]
    assert subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout == "done\n"
    assert (tmp_path / "file").read_text() == "my own\n"


def test_a_standard_error_that_python_has_closed_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.StringIO()
    closed.close()
    for broken in (closed, None):
        monkeypatch.setattr(sys, "stderr", broken)
        with quiet_native_log():
            served = sys.stderr
        assert served is broken and sys.stderr is broken
