"""edge probe: what a machine is, how it stands now, and what would taint a measurement there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click

from device_bench.records.machine import Machine
from device_bench.records.machine_state import MachineState
from device_bench.records.taints import ADVICE, Taint, notes, taints
from device_bench.targets.replies import ProbeReply, believed
from device_bench.targets.target import Target
from edge.cli.bench_targets import open_targets, place_options
from edge.cli.grouped_help import examples
from edge.errors import EngineError, one_line
from edge.terminal import say, say_json, tell


@dataclass(frozen=True, kw_only=True)
class Probed:
    """A target's answer, checked."""

    target: str
    python: str | None
    engines: tuple[str, ...]
    machine: Machine
    state: MachineState
    taints: tuple[Taint, ...]
    notes: tuple[str, ...]


@click.command(
    "probe",
    epilog=examples("edge probe", "edge probe --on local --on ssh://pi@raspberrypi.local --json > machines.jsonl"),
)
@place_options
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object per target; one that failed has `target` and `error`.",
)
def command(on: tuple[str, ...], as_json: bool, **options: Any) -> int | None:
    """Say what a machine is, how it stands now, and what would taint a measurement there; nothing is measured.

    A target that does not answer is one line on standard error, and exit code 1 after the others were asked.
    """
    failed = False
    for place, target in enumerate(open_targets(on, options, measures=False)):
        try:
            probed = _probed(target)
        except EngineError as error:
            failed = True
            tell(f"edge probe: {error}")
            if as_json:
                say_json({"target": target.name, "error": one_line(str(error))})
            continue
        if as_json:
            say_json(_document(probed))
        else:
            say(*([""] if place else []), *_lines(probed))
    return EngineError.exit_code if failed else None


def _probed(target: Target) -> Probed:
    try:
        return check_probe(target, target.probe())
    finally:
        target.close()


def check_probe(target: Target, told: Mapping[str, Any]) -> Probed:
    """Believe a probe's answer as far as its types hold. Refuses (EngineError) any other, in one line."""
    reply = believed(ProbeReply, told, target.name)
    machine, state = reply.machine, reply.state
    return Probed(
        target=target.name,
        python=reply.python,
        engines=reply.engines,
        machine=machine,
        state=state,
        taints=taints(machine, (state, state), threads=1, emulated=None, self_tested=True),
        notes=notes(machine, (state,)),
    )


def _document(probed: Probed) -> dict[str, Any]:
    return {
        "target": probed.target,
        "python": probed.python,
        "engines": probed.engines,
        "machine": probed.machine.model_dump(mode="json"),
        "state": probed.state.model_dump(mode="json"),
        "taints": [{**taint.model_dump(), "advice": ADVICE[taint.kind]} for taint in probed.taints],
        "notes": probed.notes,
    }


def _lines(probed: Probed) -> list[str]:
    machine, state = probed.machine, probed.state
    facts: list[tuple[str, object]] = [
        ("target", probed.target),
        ("board", machine.board),
        ("soc", machine.soc),
        *(("processors", _cluster(entry.part, entry.max_khz, len(entry.processors))) for entry in machine.clusters),
        ("instructions", " ".join(machine.isa_features) or None),
        ("memory", None if machine.memory_bytes is None else f"{machine.memory_bytes >> 20} MiB"),
        ("system", f"{machine.system}, {machine.architecture}"),
        ("container", machine.container),
        ("supply", machine.power_supply),
        ("python", probed.python),
        ("engines", ", ".join(probed.engines) or "none: install ai-edge-litert, tflite-runtime or onnxruntime"),
        ("governor", ", ".join(state.governors) or None),
        (
            "clocks",
            " ".join(f"{khz // 1000}" for khz in state.frequencies_khz) + " MHz" if state.frequencies_khz else None,
        ),
        ("heat", ", ".join(f"{zone} {t / 1000:.0f} °C" for zone, t in state.temperatures_millicelsius.items()) or None),
        ("load", state.load_average_1m),
        ("energy", ", ".join([*state.energy_microjoules, *state.power_microwatts]) or None),
    ]
    lines = [f"{name:13}{one_line(str(value))}" for name, value in facts if value is not None]
    for taint in probed.taints:
        lines += [f"~ {taint.kind}: {one_line(taint.sentence)}", f"  to do: {ADVICE[taint.kind]}"]
    lines += [f"note: {one_line(note)}" for note in probed.notes]
    return lines if probed.taints else [*lines, "nothing seen that would taint a measurement"]


def _cluster(part: str | None, max_khz: int | None, count: int) -> str:
    highest = "" if max_khz is None else f", up to {max_khz // 1000} MHz"
    return f"{count} x {part or 'unknown'}{highest}"
