"""Engines, machines and targets in memory."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.readers import READERS, Readers
from device_bench.records.plan import Plan
from edge.engines.engine import EngineInfo, Session
from edge.engines.null_session import NullSession
from edge.port import Port

QUICK = Plan(rounds=2, warmup_runs=1, warmup_duration_ns=0, min_runs=4, min_duration_ns=0)


class NamedSession(NullSession):
    """A null session that calls itself litert."""

    @property
    def info(self) -> EngineInfo:
        return replace(super().info, engine="litert", kernels="xnnpack")


def zeros(engine: str, path: Path, *, threads: int, kernels: str | None) -> Session:
    """Opens the artifacts of `make_artifact`: 8x8 pixels in, three zeros out."""
    given = (Port(name="image", shape=(1, 8, 8, 3), dtype="int8", scale=1 / 255, zero_point=-128),)
    scores = Port(name="output0", shape=(1, 3), dtype="int8", scale=1 / 256, zero_point=-128)
    return NamedSession(inputs=given, outputs=(scores,), threads=threads)


@pytest.fixture
def quick() -> Plan:
    """The shortest plan with more than one round."""
    return QUICK


@pytest.fixture
def opener() -> Callable[..., Session]:
    """See `zeros`."""
    return zeros


@pytest.fixture(scope="session")
def readers() -> Readers:
    """This machine, read once: reading it again and again would only be slow."""
    machine: dict[str, Any] = READERS.machine()
    state: dict[str, Any] = READERS.state()
    return Readers(machine=lambda: machine, state=lambda: state, stable=lambda samples_ns: True)
