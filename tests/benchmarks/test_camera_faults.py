"""A few cycles of every fault: recovered, no frame twice, none lost track of, no thread and no file left behind."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks.camera_faults import FAULTS, suffer
from tests.support.rtsp_server import need_rtsp_server

pytestmark = pytest.mark.unhurried

CYCLES = 4


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_noticed_and_recovered_from_and_leaves_nothing(name: str) -> None:
    """`suffer` holds every frame's number, and the counts."""
    if name.startswith("RTSP"):
        need_rtsp_server()
    struck: Callable[[], Any] = FAULTS[name]
    with struck() as fault:
        outcome = suffer(fault, CYCLES)
    assert len(outcome.recovered_ns) == CYCLES
    assert outcome.after.threads <= outcome.before.threads
    assert outcome.after.files <= outcome.before.files
    assert outcome.frames_in == outcome.answered + sum(outcome.dropped.values())
    if name == "truncated JPEG":
        assert outcome.dropped["decode error"] == 3 * CYCLES
