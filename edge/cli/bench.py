"""edge bench: latency of artifacts and model files, here and on devices."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click

from device_bench.bench.bench import FileReaders
from device_bench.bench.fleet import Order
from device_bench.jobs.subjects import open_subject
from device_bench.records.record import Record
from device_bench.records.record_lines import append_records, read_records
from edge.cli.bench_counting import counted, counting_options, hold_to_baseline
from edge.cli.bench_explain import check_targets
from edge.cli.bench_output import fail, measured_with_bars, print_outcomes
from edge.cli.bench_plan import make_plan, plan_options
from edge.cli.bench_targets import open_targets, prepare_targets, target_options
from edge.cli.explain_facts import explain_spec
from edge.cli.file_counts import file_counts
from edge.cli.grouped_help import GroupedCommand, examples
from edge.errors import FileError, UsageError, printable
from edge.files import atomic
from edge.files.bounded_file import exists, read_bytes
from edge.terminal import say_json

OWN_PICTURE = ""
JPEG_START = b"\xff\xd8"
MOST_PICTURE_BYTES = 256 << 20


# heading of the help -> names of options
HEADINGS = {
    "Where": ("on", "python", "ssh_config", "cpu", "userland", "benchmark_binary", "timeout_s", "resume"),
    "What runs the models": ("engines", "kernels", "threads", "affinity", "no_selftest"),
    "How long": (
        "min_runs",
        "min_seconds",
        "max_runs",
        "rounds",
        "warmup_runs",
        "warmup_seconds",
        "max_warmup_seconds",
    ),
    "What is measured": ("scenario", "streams", "samples", "batch", "input_shapes", "picture", "explain"),
    "Instruction counts (--on emulated-arm64)": ("baseline", "check", "write_baseline"),
    "Results": ("out", "as_json"),
    "Instead of measuring": ("prepare", "wheels", "remove_agent"),
}


@click.command(
    "bench",
    cls=GroupedCommand,
    headings=HEADINGS,
    epilog=examples(
        "edge bench runs/float runs/int8 --engine litert --engine onnxruntime",
        "edge bench runs/int8 --on ssh://pi@raspberrypi.local --threads 4 -o records.jsonl",
        "edge bench runs/int8 --engine litert --explain",
        "edge bench runs/int8 --on emulated-arm64 --cpu cortex-a76 --engine litert",
    ),
)
@click.argument("artifacts", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME[:KERNELS]",
    help="litert, tflite-runtime, onnxruntime, torch or null, and a kernel set of it; repeatable.",
)
@target_options
@plan_options
@counting_options
@click.option("--prepare", is_flag=True, help="Set the targets up: runtimes, or a userland.")
@click.option("--remove-agent", is_flag=True, help="Remove all that was put on the targets.")
@click.option(
    "--explain", is_flag=True, help="Say where the time goes too: by operator, against this machine's peaks, and why."
)
@click.option(
    "--end-to-end",
    "picture",
    is_flag=False,
    flag_value=OWN_PICTURE,
    metavar="[IMAGE]",
    help="Decode, resize, quantize, infer and postprocess too: of this JPEG, or of one from the self-test.",
)
@click.option(
    "-o",
    "--out",
    "--output",
    "out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Add the records to this file of JSON lines.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the records instead of a table, one JSON object per line.")
def command(
    artifacts: tuple[Path, ...],
    engines: tuple[str, ...],
    on: tuple[str, ...],
    picture: str | None,
    prepare: bool,
    remove_agent: bool,
    explain: bool,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> int | None:
    """Measure the latency of ARTIFACTS, and of bare .tflite and .onnx files: in turn, with every engine named.

    Without --engine each one runs on the engine that the target prefers. Without --on: on this machine. A figure with ~
    before it is not clean; the column `state` says why, and the lines below what to do.
    """
    if prepare or remove_agent:
        return prepare_targets(on, options, artifacts, remove=remove_agent)
    if not artifacts:
        raise UsageError("no artifact or model file is named; see edge bench --help")
    if explain:
        check_targets(on)
    options = counted(on, options)
    plan = make_plan(options, end_to_end=picture is not None, explain=explain)
    if out is not None:
        atomic.check_writable(out)  # refused before minutes of measuring, as is what else the file may hold
    held = read_records(out) if out is not None and exists(out) else []
    if options["resume"] and out is None:
        raise UsageError("--resume without -o: name the file that holds what was measured before")
    counts = partial(file_counts, batch=plan.batch or 1, shapes=tuple(plan.input_shapes.items()))
    order = Order(
        opened=[open_subject(path) for path in artifacts],
        engines=engines,
        plan=plan,
        command=printable(shlex.join(["edge", *sys.argv[1:]])),
        jpeg=read_picture(picture),
        readers=FileReaders(count=counts, explain=explain_spec),
        held=held if options["resume"] else (),
    )

    def done(records: list[Record]) -> None:
        if out is not None:
            append_records(out, records)
        if as_json:
            for record in records:
                say_json(record.model_dump(mode="json"))

    outcomes = measured_with_bars(open_targets(on, options), order, done)
    holds = hold_to_baseline([record for outcome in outcomes for record in outcome.records], options)
    print_outcomes(outcomes, as_json=as_json)
    return 1 if fail(outcomes) or not holds else None


def read_picture(name: str | None) -> bytes | None:
    """The bytes of a JPEG; None where none is named. Refuses (FileError) a missing file and other formats."""
    if not name:
        return None
    data = read_bytes(name, most_bytes=MOST_PICTURE_BYTES, what="picture")
    if not data.startswith(JPEG_START):
        raise FileError(name, f"is not a JPEG: it starts with the bytes {data[:2].hex(' ')}")
    return data
