"""The options of `edge bench` that make a plan."""

from collections.abc import Callable
from typing import Any

import click
from pydantic import ValidationError

from device_bench.records.plan import Plan
from edge.cli.bounded_number import THREADS, Number, whole
from edge.cli.input_shape import parse_shape
from edge.cli.option_group import together
from edge.errors import UsageError
from edge.strict import first_problem

SCENARIOS = ("single-stream", "multi-stream", "offline")
NANOSECONDS = 1_000_000_000


def _number(name: str, default: float, help: str, most_seconds: float | None = None) -> Callable[..., Any]:
    """An option of a count from 1, or of seconds where the most of them is said; the help shows its default."""
    kind, metavar = (whole(1), "N") if most_seconds is None else (Number(min=0, max=most_seconds), "SECONDS")
    return click.option(name, default=default, show_default=True, type=kind, metavar=metavar, help=help)


plan_options = together(
    click.option(
        "--kernels",
        metavar="SET",
        help="Kernel set of every engine given without one: xnnpack, builtin, cuda, ...",
    ),
    click.option("--threads", default=1, show_default=True, type=THREADS, metavar="N", help="Of the engine."),
    click.option("--affinity", metavar="LIST", help="Bind the measuring process to these processors: 2,3."),
    click.option("--batch", type=whole(1), metavar="N", help="Size of an ONNX file's open first dimension; else 1."),
    click.option(
        "--input-shape",
        "input_shapes",
        multiple=True,
        metavar="NAME=1x3x224x224",
        help="Shape of an input whose sizes an ONNX file leaves open; repeatable.",
    ),
    click.option(
        "--scenario",
        default=SCENARIOS[0],
        show_default=True,
        type=click.Choice(SCENARIOS),
        help="One sample after the other; several at a time; as many as possible.",
    ),
    click.option("--streams", default=None, type=whole(1), metavar="N", help="Samples of a multi-stream query."),
    click.option("--samples", default=None, type=whole(1), metavar="N", help="Samples of an offline query."),
    _number("--min-runs", 50, "Measure each subject at least this many times,"),
    _number("--min-seconds", 2.0, "and for at least this long,", 86400),
    _number("--max-runs", 20_000, "but never more often than this."),
    _number("--rounds", 10, "Turns in which every subject gets its share, A B A B ..."),
    _number("--warmup-runs", 10, "Before that: unmeasured, at least this many times,"),
    _number("--warmup-seconds", 0.5, "for at least this long, until the running median is stable,", 3600),
    _number("--max-warmup-seconds", 5.0, "but no longer than this.", 3600),
    click.option(
        "--no-selftest",
        is_flag=True,
        help="Do not let the runtime prove its answers first; the records are marked untested.",
    ),
)


def make_plan(options: dict[str, Any], *, end_to_end: bool, explain: bool) -> Plan:
    """The plan that the options ask for. Refuses (UsageError) options that do not hold together."""
    if options["max_runs"] < options["min_runs"]:
        raise UsageError(f"--max-runs {options['max_runs']} is below --min-runs {options['min_runs']}")
    if options["scenario"] == "multi-stream" and options["streams"] is None:
        raise UsageError("--scenario multi-stream: say how many samples a query has with --streams")
    if options["scenario"] == "offline" and options["samples"] is None:
        raise UsageError("--scenario offline: say how many samples a query has with --samples")
    if explain and (options["batch"] or options["input_shapes"]):
        raise UsageError("--explain reads a file with its own sizes; export it with fixed sizes instead")
    warmup_ns = round(options["warmup_seconds"] * NANOSECONDS)
    try:
        return Plan(
            scenario=options["scenario"],
            streams=options["streams"] or 1,
            samples=options["samples"] or 1,
            threads=options["threads"],
            affinity=_processors(options["affinity"]),
            kernels=options["kernels"],
            batch=options["batch"],
            input_shapes=dict(parse_shape(text) for text in options["input_shapes"]),
            rounds=options["rounds"],
            warmup_runs=options["warmup_runs"],
            warmup_duration_ns=warmup_ns,
            max_warmup_duration_ns=max(warmup_ns, round(options["max_warmup_seconds"] * NANOSECONDS)),
            min_runs=options["min_runs"],
            min_duration_ns=round(options["min_seconds"] * NANOSECONDS),
            max_runs=options["max_runs"],
            end_to_end=end_to_end,
            selftest=not options["no_selftest"],
            explain=explain,
        )
    except ValidationError as error:
        raise UsageError(first_problem(error, Plan)) from error


def _processors(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    words = text.split(",")
    if not all(word.isdecimal() for word in words):
        raise UsageError(f"--affinity {text}: give processor numbers, as in 2,3")
    return tuple(int(word) for word in words)
