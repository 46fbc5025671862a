"""What `edge models --fit` prints: what holds the budgets, the most capable first, and the lines that train it."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from device_bench.bench.fitting import excess
from device_bench.records.record import Record
from device_bench.records.taints import ADVICE
from device_bench.report.table import marked, milliseconds
from edge.artifact.units import duration_text, size_text
from edge.cli.fit import RECORDS, Decided, Fitter, cost_of, fit, limits_of
from edge.cli.fit_options import Asked
from edge.terminal import say, say_json, show_wide, tell

if TYPE_CHECKING:
    from edge.models.candidates import Candidate

NEAREST = 3
OWN_DATA: Mapping[str, tuple[str, ...]] = {
    "classify": ("--images", "FOLDER"),
    "segment": ("--images", "FOLDER", "--masks", "FOLDER"),
    "detect": ("--images", "FOLDER", "--boxes", "FILE"),
}
"""Where one's own images stand in the command that trains, by task."""


def run_fit(names: Sequence[str], asked: Asked, options: Mapping[str, Any], *, as_json: bool) -> int:
    """Decide and print; the exit code: 1 where nothing holds the budgets."""
    decisions, fitter = fit(names, asked, options)
    fits = [decision for decision in decisions if decision.outcome == "fits"]
    edge = [decision for decision in decisions if decision.outcome == "edge"]
    task = options["task"]
    if as_json:
        order = {name: place for place, name in enumerate(("fits", "edge"))}
        for decision in sorted(decisions, key=lambda decision: order.get(decision.outcome, len(order))):
            say_json(_entry(decision, fitter, task))
    elif fits or edge:
        show_wide(_table([*fits, *edge], fitter))
        for decision in (*fits, *edge):
            say(f"to train {_title(decision.network)}: {train_line(decision.network, task)}")
    if not fits:
        _tell_nearest(decisions, fitter)
    _tell_counts(decisions, fitter)
    return 0 if fits else 1


def train_line(candidate: "Candidate", task: str) -> str:
    """The command that trains a network on one's own images."""
    apart = ("classes",)
    settings = {f"model.{name}": value for name, value in candidate.arguments.items() if name not in apart}
    if candidate.head is not None:
        settings["export.head"] = candidate.head
    plain = {"model.attention": "none", "model.pyramid": False}
    told = [f"{key}={_toml(value)}" for key, value in settings.items() if plain.get(key) != value]
    words = ["edge", "train", *OWN_DATA[task], "-o", f"runs/{candidate.name}", "--model", candidate.model]
    return shlex.join([*words, *(word for setting in told for word in ("--set", setting))])


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _title(candidate: "Candidate") -> str:
    return candidate.name.removesuffix(f"-{candidate.arguments['classes']}c")


def _table(decisions: Sequence[Decided], fitter: Fitter) -> Table:
    titles = ["MAdds, M", "parameters, M", "KiB"]
    titles += ["instructions, M"] if fitter.counts else [f"p{place}, ms" for place in _percentiles(fitter)]
    table = Table()
    table.add_column("network", no_wrap=True)
    table.add_column("published", no_wrap=True)
    for title in titles:
        table.add_column(title, justify="right")
    table.add_column("")
    for decision in decisions:
        network, record = decision.network, fitter.records[decision.network.name]
        published = network.published
        table.add_row(
            _title(network),
            "" if published is None else f"{published.value:.1%} {published.metric}",
            f"{network.multiply_adds / 1e6:,.1f}",
            f"{network.parameters / 1e6:.2f}",
            f"{record.measured.size_bytes / 1024:,.0f}",
            *_figures(record, fitter),
            "at the edge" if decision.outcome == "edge" else "",
        )
    return table


def _figures(record: Record, fitter: Fitter) -> list[str]:
    if fitter.counts:
        return [f"{cost_of(record, fitter.asked.percentile) / 1e6:,.2f}"]
    return [marked(milliseconds(cost_of(record, percentile)), record) for percentile in _percentiles(fitter)]


def _percentiles(fitter: Fitter) -> tuple[int, ...]:
    """The median, and what the budget is for."""
    return tuple(dict.fromkeys((50, fitter.asked.percentile)))


def _cost_text(cost: int, fitter: Fitter) -> str:
    return f"{cost / 1e6:,.2f} M instructions" if fitter.counts else duration_text(cost)


def _tell_nearest(decisions: Sequence[Decided], fitter: Fitter) -> None:
    """What comes nearest to the budgets, where nothing holds them."""
    asked = fitter.asked
    budgets = [] if asked.cost is None else [_cost_text(asked.cost, fitter)]
    budgets += [] if asked.size_bytes is None else [size_text(asked.size_bytes)]
    tell(f"nothing fits {' and '.join(budgets)}; the nearest:")
    made = [decision for decision in decisions if decision.seen is not None and decision.seen.problem is None]
    for decision in sorted(made, key=lambda decision: excess(decision, limits_of(fitter)))[:NEAREST]:
        seen = decision.seen
        assert seen is not None  # as chosen above
        cost = "" if seen.cost is None else f"{_cost_text(seen.cost, fitter)}, "
        tell(f"{_title(decision.network)}: {cost}{size_text(seen.size_bytes)} ({decision.outcome})")
    if not made:
        smallest = min((decision.network for decision in decisions), key=lambda network: network.weights)
        tell(f"{_title(smallest)}: its weights alone are {size_text(smallest.weights)}")


def _tell_counts(decisions: Sequence[Decided], fitter: Fitter) -> None:
    """How many candidates met which end, what casts doubt on the figures, and where all of it stands."""
    outcomes = [decision.outcome for decision in decisions]
    told = ", ".join(f"{outcomes.count(name)} {name}" for name in dict.fromkeys(outcomes))
    plural = "s" * (len(decisions) != 1)
    tell(f"{len(decisions)} candidate{plural} in {fitter.spec.engine} on {fitter.target.name}: {told}")
    margin = fitter.asked.margin
    if "edge" in outcomes:
        told = f"within {margin:.1%} of the budget, which two measurements of one file may differ by"
        tell(f"at the edge: {told}; or over it in some runs and not in others")
    for decision in decisions:
        if decision.outcome == "failed" and decision.seen is not None:
            tell(f"{_title(decision.network)}: {decision.seen.problem}")
    _tell_taints(list(fitter.records.values()))
    if fitter.records:
        tell(f"the front as a picture: edge report {shlex.quote(str(fitter.folder / RECORDS))} -o front.html")


def _tell_taints(records: Sequence[Record]) -> None:
    """What casts doubt on the figures: each kind once, with how many it concerns and what to do."""
    taints = [taint for record in records for taint in {taint.kind: taint for taint in record.taints}.values()]
    for kind in (kind for kind in ADVICE if kind in {taint.kind for taint in taints}):
        told = [taint.sentence for taint in taints if taint.kind == kind]
        tell(f"~ {kind}: {len(told)} of {len(records)} measurements; such as: {told[0]}", f"  to do: {ADVICE[kind]}")


def _entry(decision: Decided, fitter: Fitter, task: str) -> dict[str, Any]:
    """A decision as plain data."""
    network, seen, published = decision.network, decision.seen, decision.network.published
    record = fitter.records.get(network.name)
    latency = None if record is None else record.latency_ns
    counted = None if record is None or record.instructions is None else record.instructions.per_inference
    percentiles = None if latency is None else {"p50": latency.p50_ns, "p90": latency.p90_ns, "p99": latency.p99_ns}
    return {
        "outcome": decision.outcome,
        "name": network.name,
        "model": network.model,
        "arguments": dict(network.arguments),
        "head": network.head,
        "resolution_wh": list(network.size_hw[::-1]),
        "multiply_adds": network.multiply_adds,
        "parameters": network.parameters,
        "size_bytes": None if seen is None else seen.size_bytes,
        "latency_ns": percentiles,
        "instructions": counted,
        "instead": None if decision.instead is None else decision.instead.name,
        "problem": None if seen is None else seen.problem,
        "published": None
        if published is None
        else {"metric": published.metric, "value": published.value, "source": published.source},
        "taints": [] if record is None else [taint.sentence for taint in record.taints],
        "artifact": str(fitter.artifacts[network.name].folder) if network.name in fitter.artifacts else None,
        "train": train_line(network, task),
    }
