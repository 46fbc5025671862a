"""Ctrl-C and SIGTERM reach the main thread, whichever thread the system gives them to."""

import signal
import subprocess
import sys

import pytest

from edge.engines.python_child import code_arguments

WAITS_FOR_A_WORKER = """
import signal, threading, time
from edge.files import interrupts

interrupts.install()
over = threading.Event()
worker = threading.Thread(target=over.wait, args=(20,), daemon=True)
worker.start()
threading.Timer(0.2, signal.pthread_kill, (worker.ident, {number})).start()
began = time.monotonic()
try:
    over.wait()
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began < 10)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_another_thread_is_given_ends_the_main_threads_wait(number: signal.Signals) -> None:
    arguments = code_arguments(WAITS_FOR_A_WORKER.format(number=int(number)))
    said = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout == "interrupted True\n", said.stderr
