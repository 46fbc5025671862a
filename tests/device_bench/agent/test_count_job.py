"""Conversations with a process that counts: each is a fork of one that nothing was asked of."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_bench.targets.agent_archive import COUNT, bench_archive, bench_start_arguments
from device_bench.targets.agent_process import AgentProcess
from edge.errors import EngineError


@pytest.fixture
def agent() -> Iterator[AgentProcess]:
    """The agent on this machine, where marks mean nothing."""
    with AgentProcess([sys.executable, *bench_start_arguments(COUNT)], name="here", before=bench_archive()) as started:
        yield started


def children(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def test_every_conversation_has_a_process_of_its_own(agent: AgentProcess) -> None:
    process = agent._talk.process.pid
    seen = []
    for _ in range(2):
        agent.ask({"do": "fork"})
        seen += children(process)
        assert agent.ask({"do": "probe"})["engines"]
        with pytest.raises(EngineError, match="a request to 'sing'"):  # which ends no conversation
            agent.ask({"do": "sing"})
        agent.ask({"do": "end"})
    assert len(set(seen)) == 2 and process not in seen


def test_what_is_asked_outside_a_conversation_ends_it(agent: AgentProcess) -> None:
    with pytest.raises(EngineError, match="a request to 'probe' outside a conversation"):
        agent.ask({"do": "probe"})


def test_a_conversation_that_dies_takes_the_process_with_it(agent: AgentProcess) -> None:
    agent.ask({"do": "fork"})
    (child,) = children(agent._talk.process.pid)
    os.kill(child, signal.SIGKILL)
    with pytest.raises(EngineError, match=r"it ended without an answer \(exit code -9\)"):
        agent.ask({"do": "probe"})


def test_nothing_runs_on_when_it_is_stopped(agent: AgentProcess) -> None:
    agent.ask({"do": "fork"})
    (child,) = children(agent._talk.process.pid)
    os.kill(child, signal.SIGSTOP)  # as one that heeds no interrupt
    agent._talk.process.kill()
    agent._talk.process.wait()
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child}/stat").exists() and state(child) != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{child}/stat").exists() or state(child) == "Z"


def state(process: int) -> str:
    return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
