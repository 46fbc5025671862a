"""What forbids to take a measurement as clean: kinds, each with a sentence that carries the figure behind it."""

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from device_bench.disturbances import disturbances
from device_bench.machine import Machine
from device_bench.machine_state import MachineState

Kind = Literal[
    "emulated",
    "throttled",
    "shared",
    "clocks",
    "heat",
    "power",
    "virtual",
    "limited",
    "wall-clock",
    "untested",
]
# How the sentences of `disturbances` open or end, and their kinds; the first that fits.
WORDS: tuple[tuple[str, Kind], ...] = (
    ("the processor is emulated", "emulated"),
    ("a virtual machine", "virtual"),
    ("the control group allows", "limited"),
    ("usable processors", "limited"),
    ("governor", "clocks"),
    ("highest clock", "clocks"),
    ("under-voltage", "power"),
    ("throttl", "throttled"),
    ("frequency capped", "throttled"),
    ("temperature limit", "throttled"),
    ("°C", "heat"),
)


class Taint(BaseModel):
    """One reason, as a kind and as a sentence."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    kind: Kind
    sentence: str


def taints(
    machine: Machine,
    states: Sequence[MachineState],
    *,
    threads: int,
    emulated: str | None,
    self_tested: bool,
) -> tuple[Taint, ...]:
    """The reasons against a measurement, each sentence once.

    Args:
        states: before, during and after.
        emulated: what the engine says plays the processor.
        self_tested: the runtime proved that it computes the right thing, or computes nothing.
    """
    found = [
        Taint(kind=next((kind for words, kind in WORDS if words in sentence), "shared"), sentence=sentence)
        for sentence in disturbances(machine, states[0], states[-1], threads)
    ]
    if emulated is not None and machine.emulation is None:
        sentence = f"the processor is emulated ({emulated}): the times say nothing about a real device"
        found.insert(0, Taint(kind="emulated", sentence=sentence))
    if not self_tested:
        found.append(Taint(kind="untested", sentence="the runtime was not held to a self-test"))
    return tuple(dict.fromkeys(found))
