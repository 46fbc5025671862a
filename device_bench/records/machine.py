"""What a machine is: processor, instruction sets, memory, limits, and whether it is real hardware at all."""

import json
from pathlib import Path
from typing import Literal

from device_bench.agent.machine_facts import ROOT, machine_facts
from device_bench.records.record_types import Count
from edge.strict import Strict


class Cluster(Strict):
    """Equal processors: their part, their highest clock, their numbers."""

    part: str | None
    max_khz: Count | None
    processors: tuple[Count, ...]


class Machine(Strict):
    """A machine. None: the system does not say.

    Attributes:
        board: name of the board, as the device tree or the firmware gives it.
        cores: logical processors. usable_cores: those that this process may run on.
        processor_limit_cores: how many processors' time the control group allows.
        container, virtual_machine, emulation: what stands between the process and the hardware, as far as it shows.
        soc: the system on a chip (`brcm,bcm2712`). clusters: cores of different kinds apart (big.LITTLE).
    """

    system: str
    architecture: str
    board: str | None
    processor: str | None
    cores: Count | None
    usable_cores: Count | None
    isa_features: tuple[str, ...]
    memory_bytes: Count | None
    memory_limit_bytes: Count | None
    processor_limit_cores: float | None
    container: str | None
    virtual_machine: str | None
    emulation: str | None
    soc: str | None = None
    clusters: tuple[Cluster, ...] = ()
    power_supply: Literal["mains", "battery"] | None = None


def read_machine(root: Path = ROOT, architecture: str | None = None) -> Machine:
    """Describe this machine; arguments as of `machine_facts`."""
    return Machine.model_validate_json(json.dumps(machine_facts(root, architecture)))
