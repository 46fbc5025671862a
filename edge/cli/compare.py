"""edge compare: whether a change made something slower."""

from dataclasses import asdict
from pathlib import Path

import click

from device_bench.compare.compare import METRICS, Judged, Pair, judge, pair_records
from device_bench.records.record_lines import read_records
from device_bench.records.taints import ADVICE
from device_bench.report.columns import Column, terminal_table
from device_bench.report.table import milliseconds
from edge.cli.bounded_number import Number
from edge.cli.grouped_help import examples
from edge.errors import UsageError
from edge.terminal import say, say_json, show_wide, tell


def parse_share(text: str) -> float:
    """`2%` or `0.02` as 0.02. Refuses (UsageError) what is no number, and what is not in [0, 1)."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise UsageError(f"--min-effect {text}: say a share from 0 to 100 %: 2% or 0.02")
    return value


@click.command(
    "compare",
    epilog=examples(
        "edge compare main.jsonl change.jsonl",
        "edge compare main.jsonl change.jsonl --metric p99 --min-effect 5% --allow-tainted",
    ),
)
@click.argument("base", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--metric", default="p50", show_default=True, type=click.Choice(list(METRICS)), help="What is compared.")
@click.option(
    "--min-effect", default="2%", show_default=True, metavar="SHARE", help="Smallest change that counts: 2% or 0.02."
)
@click.option(
    "--alpha",
    default=0.05,
    show_default=True,
    type=Number(0.0001, 0.5),
    metavar="SHARE",
    help="Chance of a false `slower` or `faster` among all pairs together.",
)
@click.option("--allow-tainted", is_flag=True, help="Compare records too that were marked: see `state` in edge bench.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: one object per pair, then the summary.")
def command(
    base: Path, new: Path, metric: str, min_effect: str, alpha: float, allow_tainted: bool, as_json: bool
) -> int:
    """Compare the records of NEW with those of BASE: faster, slower, no difference shown, too few samples.

    BASE and NEW are files that `edge bench -o` wrote. Exit code 0: nothing is slower. 1: something is slower by more
    than --min-effect, or a file does not hold records. 2: usage error.
    """
    effect = parse_share(min_effect)
    pairs, alone = pair_records(read_records(base), read_records(new))
    if not pairs:
        first = f" ({alone[0]})" if alone else ""
        raise UsageError(f"nothing to compare: {base} and {new} hold no record of the same subject{first}")
    if not allow_tainted:
        _refuse_tainted(pairs)
    judged = judge(pairs, metric, effect, alpha)
    if as_json:
        _print_json(judged, alone, metric, effect, alpha)
    else:
        _print_table(judged, metric, alpha)
        for sentence in alone:
            tell(sentence)
    return 1 if any(entry.verdict == "slower" for entry in judged) else 0


def _refuse_tainted(pairs: list[Pair]) -> None:
    tainted = [pair for pair in pairs if pair.kinds]
    if tainted:
        kinds = sorted({kind for pair in tainted for kind in pair.kinds})
        raise UsageError(
            f"{len(tainted)} of {len(pairs)} pairs are tainted ({', '.join(kinds)}): measure on a quiet machine, or "
            "compare them all the same with --allow-tainted"
        )


def _print_json(judged: list[Judged], alone: list[str], metric: str, min_effect: float, alpha: float) -> None:
    for entry in judged:
        say_json({"row": "pair", "metric": metric, **asdict(entry)})
    verdicts = {entry.verdict for entry in judged}
    summary = {"row": "summary", "min_effect": min_effect, "alpha": alpha, "correction": "Holm", "unpaired": alone}
    say_json({**summary, "regression": "slower" in verdicts})


def _print_table(judged: list[Judged], metric: str, alpha: float) -> None:
    columns = (
        Column[Judged](heading="verdict", cell=lambda entry: entry.verdict, words=True),
        Column[Judged](heading="subject", cell=lambda entry: entry.subject, words=True),
        Column[Judged](heading=f"BASE {metric}", cell=lambda entry: _figure(entry, entry.base)),
        Column[Judged](heading="NEW", cell=lambda entry: _figure(entry, entry.new)),
        Column[Judged](heading="change", cell=_changed),
        Column[Judged](heading=f"{1 - alpha:.0%} interval", cell=_interval),
        Column[Judged](heading="p (Holm)", cell=lambda entry: _number(entry.adjusted_p, "g")),
        Column[Judged](heading="p (M-W)", cell=lambda entry: _number(entry.mann_whitney_p, "g")),
        Column[Judged](heading="delta", cell=_delta),
    )
    show_wide(terminal_table(columns, judged))
    for entry in judged:
        if entry.causes and entry.verdict in ("slower", "faster"):
            say(f"{entry.subject}: {entry.verdict}; what differs:")
            for sentence in entry.causes:
                say(f"- {sentence}")
    found = {kind for entry in judged for kind in entry.kinds}
    for kind, advice in ADVICE.items():
        if kind in found:
            tell(f"~ {kind}; to do: {advice}")


def _mark(entry: Judged) -> str:
    return "~" if entry.kinds else ""


def _figure(entry: Judged, value: float | None) -> str:
    if entry.ratio is None or value is None:
        return ""
    unit = f"{value / 1e6:.3f} M instr." if entry.quantity == "instructions" else f"{milliseconds(round(value))} ms"
    return f"{_mark(entry)}{unit}"


def _changed(entry: Judged) -> str:
    return "" if entry.ratio is None else f"{_mark(entry)}{_change(entry.ratio)}"


def _interval(entry: Judged) -> str:
    return "" if entry.interval is None else " to ".join(_change(bound) for bound in entry.interval)


def _delta(entry: Judged) -> str:
    """Cliff's delta; how many samples there are, where they are too few."""
    return f"{min(entry.samples)} samples" if entry.ratio is None else _number(entry.cliffs_delta, "f")


def _number(value: float | None, kind: str) -> str:
    return "" if value is None else f"{value:.2{kind}}"


def _change(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"
