"""What is said below a table of records: what casts doubt on their figures, what to do about it, what to know."""

from collections.abc import Sequence

from device_bench.records.record import Record
from device_bench.records.taints import ADVICE, notes
from edge.errors import one_line


def remarks(records: Sequence[Record]) -> list[str]:
    """Lines for a person: every taint's sentence once, its kind's advice once, then every note once.

    Where the records come from several targets, each sentence names its own.
    """
    several = len({record.target.name for record in records}) > 1

    def placed(record: Record, sentence: str) -> str:
        return one_line(f"{record.target.name}: {sentence}" if several else sentence)

    said: dict[str, dict[str, None]] = {}
    noted: dict[str, None] = {}
    for record in records:
        for taint in record.taints:
            said.setdefault(taint.kind, {})[placed(record, taint.sentence)] = None
        if record.unexplained is not None:
            noted[placed(record, f"{record.measured.name} is not explained: {record.unexplained}")] = None
        if indices := [port.name for port in record.inputs if port.values == "0 and 1"]:
            told = (
                f"{record.measured.name} was fed 0 and 1 in {', '.join(indices)}: integers without a scale are indices"
            )
            noted[placed(record, told)] = None
        noted |= dict.fromkeys(placed(record, note) for note in notes(record.machine, record.states))
    lines = []
    tainted = sum(bool(record.taints) for record in records)
    if tainted:
        lines.append(f"~ marks figures that are not clean, in {tainted} of {len(records)} rows:")
    for kind in (kind for kind in ADVICE if kind in said):
        lines += [f"~ {kind}: {sentence}" for sentence in said[kind]]
        lines.append(f"  to do: {ADVICE[kind]}")
    return [*lines, *(f"note: {note}" for note in noted)]
