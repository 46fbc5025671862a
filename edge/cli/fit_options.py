"""The options of `edge models --fit`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from device_bench.targets.emulated_arm64.target import KIND as EMULATED
from edge.artifact.thresholds import DEFAULT_PERCENTILE
from edge.artifact.units import count, duration_ns, size_bytes
from edge.cli.bench_targets import target_options
from edge.cli.bounded_number import THREADS, Number, whole
from edge.cli.input_size import InputSizes
from edge.cli.option_group import together
from edge.errors import UsageError

FOLDER = Path("fit")
ALL = "all"
# heading of the help -> names of options
HEADINGS: Mapping[str, tuple[str, ...]] = {
    "What fits a device": ("fit", "latency_budget", "latency_percentile", "instruction_budget", "size_budget"),
    "Candidates": ("task", "classes", "widths", "sizes_hw", "attention", "heads", "everything"),
    "Where": ("on", "python", "ssh_config", "cpu", "userland", "benchmark_binary", "timeout_s", "resume", "wheels"),
    "What runs them": ("engine", "threads"),
    "Results": ("margin", "folder", "as_json"),
}
_OWN = together(
    click.option("--fit", is_flag=True, help="Measure untrained INT8 networks, and list those that hold the budgets."),
    click.option("--latency-budget", help="Longest time of one inference, with its unit: 20ms, 800us."),
    click.option(
        "--latency-percentile",
        type=click.Choice(["50", "90", "99"]),
        default=str(DEFAULT_PERCENTILE),
        show_default=True,
        help="Of the runs, for the budget.",
    ),
    click.option("--instruction-budget", help=f"Most instructions of one inference, for --on {EMULATED}: 50M, 1.2G."),
    click.option("--size-budget", help="Largest model file, with its unit: 2MB, 1MiB."),
    click.option("--task", default="classify", show_default=True, help="classify, segment or detect."),
    click.option("--classes", type=whole(1), help="How many; else ImageNet's 1000, Cityscapes' 19, COCO's 80."),
    click.option("--width", "widths", multiple=True, type=Number(min=0), help="Only these widths; repeatable."),
    click.option("--sizes", "sizes_hw", type=InputSizes(), help="Only these inputs, height x width: 96,128,192x256."),
    click.option(
        "--attention", multiple=True, default=("none",), show_default=True, help="none, gct, ... or all; repeatable."
    ),
    click.option("--head", "heads", multiple=True, help="What a segmenter or detector ends in; repeatable."),
    click.option("--everything", is_flag=True, help="Measure also what a smaller network's figure rules out."),
    click.option("--engine", metavar="NAME[:KERNELS]", help="What runs them; else what the target prefers."),
    click.option("--threads", default=1, show_default=True, type=THREADS, metavar="N", help="Of the engine."),
    click.option(
        "--margin",
        type=Number(0, 1),
        help="Share by which two measurements may differ; what fits, fits by as much. [0.1; of instructions 0.001]",
    ),
    click.option(
        "-o",
        "--out",
        "folder",
        type=click.Path(path_type=Path),
        default=FOLDER,
        show_default=True,
        help="Artifacts and records; what is there is not made again.",
    ),
)


def fit_options(command: Any) -> Any:
    """Add them to a command, with the options about targets."""
    return _OWN(target_options(command))


def refuse_without_fit() -> None:
    """Refuse (UsageError) an option that means nothing to a list of networks."""
    context = click.get_current_context()
    for parameter in context.command.params:
        given = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if given and parameter.name not in ("names", "as_json", "fit"):
            raise UsageError(
                f"{parameter.opts[-1]} is for --fit, which measures; the list of networks has no such option"
            )


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The budgets that were asked for, and by what share a measurement must hold them."""

    latency_ns: int | None
    percentile: int
    instructions: int | None
    size_bytes: int | None
    margin: float

    @property
    def cost(self) -> int | None:
        """Nanoseconds, or instructions where they are counted."""
        return self.instructions if self.latency_ns is None else self.latency_ns


def asked_for(options: Mapping[str, Any]) -> Asked:
    """What the options ask for.

    Raises:
        UsageError: several targets, no budget at all, one that cannot be read, or one that the target cannot answer.
    """
    on = options["on"]
    if len(on) > 1:
        raise UsageError(f"--on {on[1]}: --fit measures on one target; call it for each, with a folder (-o) of its own")
    counts = bool(on) and on[0].split(":")[0] == EMULATED
    latency, instructions, size = (options[f"{name}_budget"] for name in ("latency", "instruction", "size"))
    if latency is None and instructions is None and size is None:
        raise UsageError("--fit without a budget: say --latency-budget 20ms, --size-budget 2MB, or both")
    if counts and latency is not None:
        raise UsageError(
            f"--latency-budget {latency}: an emulated processor has no time; give --instruction-budget 50M"
        )
    if instructions is not None and not counts:
        raise UsageError(f"--instruction-budget {instructions}: instructions are counted with --on {EMULATED}")
    if options["resume"] or options["wheels"] is not None:
        raise UsageError("--resume and --wheels are edge bench's; --fit goes on by itself where it stopped")
    margin = options["margin"]
    return Asked(
        latency_ns=None if latency is None else duration_ns(latency),
        percentile=int(options["latency_percentile"]),
        instructions=None if instructions is None else count(instructions),
        size_bytes=None if size is None else size_bytes(size),
        margin=(0.001 if counts else 0.1) if margin is None else margin,
    )
