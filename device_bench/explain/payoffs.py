"""What would pay beside taking operators out: classes chosen on a smaller map, other numbers of threads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from device_bench.explain.operator_facts import OperatorFacts
from device_bench.records.explanation import Change, ExplainedOperator


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was measured of the whole beside its operators.

    Attributes:
        threads: that the engine used. threads_ns: number of threads -> median time of the whole file.
        empty_ns: one turn of the measuring loop around nothing.
        partitions: parts of the file that a delegate runs; None where the runtime does not say.
    """

    threads: int
    threads_ns: Mapping[int, int]
    empty_ns: int
    partitions: int | None = None


def thread_changes(seen: Seen) -> list[Change]:
    """The number of threads that was measured to be fastest."""
    used = seen.threads_ns.get(seen.threads)
    if used is None:
        return []
    best = min(seen.threads_ns, key=lambda count: seen.threads_ns[count])
    how = f"the whole file measured with {', '.join(str(count) for count in sorted(seen.threads_ns))} threads in turn"
    return [Change(sentence=f"--threads {best}", gain=1 - seen.threads_ns[best] / used, how=how)]


def smaller_class_map(facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator]) -> list[Change]:
    """An ArgMax right behind a Resize: classes can be chosen before the map is made large."""
    found = []
    for place in range(1, len(facts)):
        if (facts[place - 1].kind, facts[place].kind) == ("Resize", "ArgMax"):
            resize, choice = operators[place - 1].share_time, operators[place].share_time
            kept = choice * facts[place - 1].input_share
            how = "the measured time of Resize and ArgMax less an ArgMax of the small map, by its number of values"
            sentence = "choose classes before the last resize (coarser borders)"
            found.append(Change(sentence=sentence, gain=resize + choice - kept, how=how))
    return found
