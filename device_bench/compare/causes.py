"""What may have made the difference between two sides: what ran otherwise, the machine's state, the operators."""

from collections.abc import Callable, Sequence
from statistics import median

from device_bench.records.explanation import ExplainedOperator, Explanation
from device_bench.records.record import Record

MOST_OPERATORS = 5
LEAST_STATE_CHANGE = 0.05  # of clocks and temperatures; less is how they vary
Told = Callable[[Record], str]

FACTS: tuple[tuple[str, Told], ...] = (
    ("model file", lambda record: record.measured.file_sha256[:8]),
    ("runtime", lambda record: f"{record.engine.package or record.engine.engine} {record.engine.version}"),
    ("wheel", lambda record: record.engine.wheel_tag or "unknown"),
    ("instruction set", lambda record: record.engine.kernels_isa or "unknown"),
    ("delegated operators", lambda record: f"{record.engine.delegated_operators} of {record.engine.operators}"),
    ("processors", lambda record: _listed(record.engine.affinity)),
    ("system", lambda record: record.machine.system),
    ("governor", lambda record: ", ".join(sorted(set(record.before.governors))) or "unknown"),
    ("power", lambda record: record.machine.power_supply or "unknown"),
    ("container", lambda record: record.machine.container or "none"),
)
FIGURES: tuple[tuple[str, str, Callable[[Record], float | None]], ...] = (
    ("clock", "MHz", lambda record: _middle([max(state.frequencies_khz, default=0) / 1e3 for state in record.states])),
    ("hottest zone", "C", lambda record: _warmest(record)),
)


def causes(base: Sequence[Record], new: Sequence[Record]) -> tuple[str, ...]:
    """Sentences about two sides of one subject, at least one record each; empty where nothing that is known differs.

    First what is a fact of the records (model file, runtime, processors, system, governor), then the machine's clock
    and warmth where their medians differ by LEAST_STATE_CHANGE, last the operators whose intervals do not meet, by the
    latest explanation of each side.
    """
    found = []
    for name, tell in FACTS:
        before, after = ({tell(record) for record in side} for side in (base, new))
        if before != after:
            found.append(f"{name}: {' or '.join(sorted(before))}, then {' or '.join(sorted(after))}")
    for name, unit, figure in FIGURES:
        sides = [[value for value in map(figure, side) if value] for side in (base, new)]
        if all(sides):
            first, second = (median(side) for side in sides)
            if abs(second / first - 1) > LEAST_STATE_CHANGE:
                found.append(f"{name}: {first:.0f} {unit}, then {second:.0f} {unit}")
    return (*found, *_operators(_latest(base), _latest(new)))


def _operators(base: Explanation | None, new: Explanation | None) -> list[str]:
    """The operators that changed most, by name."""
    if base is None or new is None:
        return []
    before, after = ({operator.names: operator for operator in side.operators} for side in (base, new))
    gone, added = [names for names in before if names not in after], [names for names in after if names not in before]
    changed = [(before[names], after[names]) for names in before if names in after]
    changed = [pair for pair in changed if _apart(*pair)]
    changed.sort(key=lambda pair: -abs(pair[1].time_ns - pair[0].time_ns))
    told = [
        f"operator {first.names[0]} ({second.kind}): {first.time_ns / 1e3:.1f} us, then {second.time_ns / 1e3:.1f} us"
        for first, second in changed[:MOST_OPERATORS]
    ]
    if len(changed) > MOST_OPERATORS:
        told.append(f"{len(changed) - MOST_OPERATORS} more operators changed")
    for word, names in (("gone", gone), ("new", added)):
        if names:
            more = f" and {len(names) - MOST_OPERATORS} more" if len(names) > MOST_OPERATORS else ""
            told.append(f"operators {word}: {', '.join(' + '.join(entry) for entry in names[:MOST_OPERATORS])}{more}")
    return told


def _apart(first: ExplainedOperator, second: ExplainedOperator) -> bool:
    """Whether the intervals do not meet; without intervals nothing is said."""
    if first.low_ns is None or first.high_ns is None or second.low_ns is None or second.high_ns is None:
        return False
    return first.high_ns < second.low_ns or second.high_ns < first.low_ns


def _latest(side: Sequence[Record]) -> Explanation | None:
    explained = [record for record in side if record.explanation is not None]
    return max(explained, key=lambda record: record.time_utc).explanation if explained else None


def _warmest(record: Record) -> float | None:
    warmest = [max(state.temperatures_millicelsius.values(), default=0) for state in record.states]
    return max(warmest) / 1000 or None


def _middle(values: Sequence[float]) -> float | None:
    return median(values) or None


def _listed(processors: Sequence[int] | None) -> str:
    return "any" if processors is None else ",".join(str(number) for number in processors)
