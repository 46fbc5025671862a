"""Records of a made-up fleet, to measure a report on: python -m tests.benchmarks.fleet COUNT FILE.

Every record is whole and would pass for one that a device sent: 8 artifacts, 3 engines, 6 kinds of machines, 500
devices; log-normal samples with slow drift and rare outliers; some records throttled, some of virtual machines, some
emulated.
"""

import random
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.records.plan import Plan
from device_bench.records.record import SCHEMA_VERSION, Record, complete, record_line, total_of
from device_bench.records.record_parts import (
    STAGES,
    ColdTimes,
    EndToEnd,
    EngineUsed,
    Instructions,
    Measured,
    MeasuredAccuracy,
    Memory,
    SelftestSeen,
    TargetUsed,
    WarmupSeen,
)

ROUNDS, RUNS = 10, 50
PLAN = Plan(rounds=ROUNDS, min_runs=RUNS, min_duration_ns=0, max_runs=RUNS, end_to_end=True)
START = datetime(2026, 1, 1, tzinfo=UTC)
# name, multiply-adds in millions, thousand parameters, metric, accuracy
NETWORKS = (
    ("mobilenet_v1_0.25_224", 41, 470, "top1", 0.498),
    ("mobilenet_v1_0.5_224", 149, 1330, "top1", 0.633),
    ("mobilenet_v1_1.0_224", 569, 4230, "top1", 0.709),
    ("mobilenet_v2_0.35_96", 11, 1660, "top1", 0.455),
    ("mobilenet_v2_1.0_224", 300, 3500, "top1", 0.718),
    ("mobilenet_v2_1.4_224", 582, 6110, "top1", 0.75),
    ("fast_scnn_360x480", 562, 1110, "miou", 0.643),
    ("fast_scnn_1024x2048", 6910, 1110, "miou", 0.686),
)
# engine, version, kernels, time against the first
ENGINES = (
    ("litert", "2.3.0", "xnnpack", 1.0),
    ("onnxruntime", "1.32.0", "mlas", 1.2),
    ("tflite-runtime", "2.14.0", "xnnpack", 1.1),
)
# board, processor, multiply-adds per nanosecond, megahertz, virtual machine, emulation, share of the fleet
MACHINES = (
    ("Raspberry Pi 5 Model B Rev 1.0", "Cortex-A76", 40.0, 2400, None, None, 40),
    ("Raspberry Pi 4 Model B Rev 1.4", "Cortex-A72", 9.0, 1800, None, None, 25),
    ("Raspberry Pi Zero 2 W Rev 1.0", "Cortex-A53", 3.0, 1000, None, None, 15),
    ("NVIDIA Jetson Orin Nano", "Cortex-A78", 35.0, 1510, None, None, 10),
    (None, "AMD EPYC", 90.0, 2400, "hypervisor", None, 8),
    (None, "Cortex-A76", 1.0, 0, None, "qemu-user", 2),
)


def samples(chance: np.random.Generator, middle_ns: float, count: int) -> tuple[int, ...]:
    """Log-normal around `middle_ns`, with a slow wave and about two percent outliers."""
    wave = 0.01 * np.sin(np.arange(count) / 8 + chance.uniform(0, 6))
    late = (chance.random(count) < 0.02) * chance.exponential(0.5, count)
    return tuple(int(value) for value in middle_ns * np.exp(chance.normal(0, 0.02, count) + wave + late))


def states(chance: np.random.Generator, megahertz: int, throttled: bool, start: datetime) -> tuple[MachineState, ...]:
    """A machine that warms up over six readings; a throttled one loses a third of its clock."""
    warm = chance.uniform(40, 60)
    found = []
    for step in range(6):
        slow = throttled and step >= 4
        found.append(
            MachineState(
                time_utc=(start + timedelta(seconds=step * 2)).isoformat(timespec="milliseconds"),
                governors=("performance",) if megahertz else (),
                frequencies_khz=(megahertz * (670 if slow else 1000),) * 4 if megahertz else (),
                temperatures_millicelsius={"0:cpu-thermal": int(1000 * (warm + step * (5 if throttled else 2)))},
                throttled_bits=(0x60006 if slow else 0) if megahertz else None,
                thermal_throttle_count=None,
                group_throttled_count=None,
                load_average_1m=0.2,
                memory_available_bytes=3_000_000_000,
                steal_ticks=None,
            )
        )
    return tuple(found)


def record(number: int, chance: np.random.Generator) -> Record:
    """The record of a fleet with this number; the same `chance` gives the same record."""
    name, adds, parameters, metric, accuracy = NETWORKS[number % len(NETWORKS)]
    engine, version, kernels, factor = ENGINES[number // len(NETWORKS) % len(ENGINES)]
    shares = np.array([entry[-1] for entry in MACHINES], dtype=np.float64)
    board, processor, speed, megahertz, virtual, emulation, _ = MACHINES[
        int(chance.choice(len(MACHINES), p=shares / shares.sum()))
    ]
    throttled = megahertz > 0 and virtual is None and chance.random() < 0.05
    middle_ns = adds * 1e6 / speed * factor * chance.normal(1, 0.03) * (1.4 if throttled else 1.0)
    start = START + timedelta(minutes=number)
    stages = {
        stage: samples(chance, middle_ns * share, 5)
        for stage, share in zip(STAGES, (0.5, 0.1, 0.05, 1, 0.1), strict=True)
    }
    end = EndToEnd(frame_hw=(480, 640), encoded_bytes=90_000, stages=stages, total_ns=None)
    return complete(
        schema_version=SCHEMA_VERSION,
        run_id=f"{number:064x}",
        target=TargetUsed(
            kind="ssh", name=f"ssh://edge@device{int(chance.integers(500)):03d}:22", agent_sha256="0" * 64
        ),
        measured=Measured(
            name=name,
            manifest_sha256=f"{number % len(NETWORKS):064x}",
            file="model.tflite",
            file_sha256=f"{number % len(NETWORKS) + 1:064x}",
            size_bytes=parameters * 1100,
            precision="int8",
            task="classify",
            multiply_adds=adds * 1_000_000,
            parameters=parameters * 1000,
            weights_bytes=parameters * 1000,
            peak_activation_bytes=1_200_000,
            accuracy=(MeasuredAccuracy(metric=metric, value=accuracy, split="val", images=1000),),
        ),
        engine=EngineUsed(
            engine=engine,
            version=version,
            kernels=kernels,
            delegate=None,
            operators=60,
            delegated_operators=None,
            threads=1,
            machine="aarch64",
            emulated=emulation,
        ),
        plan=PLAN,
        position=(0, 1),
        cold=ColdTimes(import_ns=200_000_000, load_ns=int(middle_ns * 2), first_inference_ns=int(middle_ns * 1.5)),
        warmup=WarmupSeen(runs=10, duration_ns=int(middle_ns * 10), stable=True),
        samples_ns=samples(chance, middle_ns, RUNS),
        samples_per_query=1,
        end_to_end=end.model_copy(update={"total_ns": total_of(end, emulation is not None)}),
        memory=Memory(peak_rss_bytes=60_000_000 + parameters * 2000, arena_bytes=1_300_000),
        instructions=None
        if emulation is None
        else Instructions(per_inference=adds * 600_000, cpu="cortex-a76", runs=(adds * 600_000,) * 3),
        selftest=SelftestSeen(kernels=f"{engine}/{kernels}/aarch64", samples=4, largest=0.0, allowed=0.0),
        machine=Machine(
            system="Debian GNU/Linux 12 (bookworm), Linux 6.12.1",
            architecture="aarch64",
            board=board,
            processor=processor,
            cores=4,
            usable_cores=4,
            isa_features=("asimd", "asimddp"),
            memory_bytes=8_000_000_000,
            memory_limit_bytes=None,
            processor_limit_cores=None,
            container=None,
            virtual_machine=virtual,
            emulation=emulation,
        ),
        states=states(chance, megahertz, throttled, start),
        versions={"python": "3.11.2", "numpy": "2.4.6"},
        command="edge bench",
        time_utc=start.isoformat(timespec="milliseconds"),
    )


def main(count: int, path: Path) -> None:
    """Write `count` records."""
    chance = np.random.default_rng(random.Random(count).getrandbits(64))
    with path.open("w", encoding="utf-8") as handle:
        for number in range(count):
            handle.write(record_line(record(number, chance)) + "\n")
    print(f"{count} records, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
