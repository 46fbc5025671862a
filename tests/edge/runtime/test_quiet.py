"""Notices of native code are held back; everything else is passed on."""

import os

import pytest

from edge.runtime.quiet import quiet_native_log


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
