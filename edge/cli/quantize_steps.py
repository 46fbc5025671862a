"""How far the steps of `edge quantize` are, and the table of what each brought."""

from typing import TYPE_CHECKING, Any

from rich.table import Table

from edge.artifact.manifest import Artifact
from edge.cli.quantize_mixed import wider_lines, wider_table
from edge.terminal import Bars, say, show_wide, tell

if TYPE_CHECKING:
    from edge.quantization.ptq.improve import Improved, Outcome
    from edge.quantization.ptq.judge import Score
    from edge.quantization.ptq.wider import Wider

WORTH_MORE_DB = 0.1
"""A gain of the last step from which on more effort is likely to pay."""


class StepBars:
    """A bar per step on standard error, and what was reported."""

    def __init__(self) -> None:
        self._bars = Bars()
        self._tasks: dict[str, Any] = {}
        self.reported: list[Improved | Wider] = []

    def __enter__(self) -> "StepBars":
        """Show the bars."""
        self._bars.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Take the bars away."""
        self._bars.__exit__(*error)

    def advance_step(self, step: str, done: int, of: int) -> None:
        """A step did `done` of `of` parts."""
        if step not in self._tasks:
            self._tasks[step] = self._bars.add_task(step, total=of)
        self._bars.update(self._tasks[step], completed=done, total=of)

    def report(self, made: "Improved | Wider") -> None:
        """Keep what was made, to be shown."""
        self.reported.append(made)

    def show(self, effort: str, *, as_json: bool) -> None:
        """Print the tables, and lines on them: on standard error where standard output is JSON's."""
        from edge.quantization.ptq.wider import Wider

        for made in self.reported:
            if isinstance(made, Wider):
                table, lines = wider_table(made), wider_lines(made)
            else:
                table, lines = table_of(made), lines_of(made, effort)
            if not as_json:
                show_wide(table)
            for line in lines:
                (tell if as_json else say)(line)


def table_of(made: "Improved") -> Table:
    """A row per step."""
    table = Table(title=f"{made.judged_on} held-out calibration images", title_justify="left")
    for column in ("step", "seconds", "SQNR dB", "agreement", "kept"):
        table.add_column(column, justify="left" if column in ("step", "kept") else "right")
    table.add_row("nearest", "", *_cells(None, made.plain), "")
    for outcome in made.outcomes:
        table.add_row(outcome.step, f"{outcome.seconds:.1f}", *_cells(outcome.before, outcome.after), _kept(outcome))
    table.add_row("result", "", *_cells(None, made.total), "")
    return table


def lines_of(made: "Improved", effort: str) -> list[str]:
    """What the table is to be held against, and whether more would pay."""
    bound = made.activations
    lines = [
        "8-bit activations alone, weights in float: "
        f"{bound.sqnr_db:.1f} dB{'' if bound.agreement is None else f', agreement {bound.agreement:.1%}'}; ranges and "
        "equalize are judged so, the other steps by the integers' answers"
    ]
    lines += [] if effort == "best" else [_more(made, effort)]
    return lines


def _more(made: "Improved", effort: str) -> str:
    """Whether the next effort is likely to pay, by what is left of the noise and by what the last step brought."""
    if effort in ("plain", "fast"):
        lost, following = made.activations.sqnr_db - made.total.sqnr_db, "default"
        if lost > WORTH_MORE_DB:
            return f"rounded weights cost {lost:.1f} dB of that: --effort default is likely to bring more"
    else:
        last, following = made.outcomes[-1] if made.outcomes else None, "best"
        gain = 0.0 if last is None or not last.kept else _gain(last)
        if last is not None and gain > WORTH_MORE_DB:
            return f"{last.step} still brought {gain:.1f} dB: --effort best is likely to bring more"
    agreement = made.total.agreement
    if agreement is not None and agreement < 1:
        return f"{1 - agreement:.1%} of decisions differ: --effort {following} may bring more"
    return f"little is left to gain: --effort {following} is not likely to pay"


def _gain(outcome: "Outcome") -> float:
    before, after = outcome.before, outcome.after
    return 0.0 if before is None or after is None else after.sqnr_db - before.sqnr_db


def _cells(before: "Score | None", after: "Score | None") -> tuple[str, str]:
    sqnr = [f"{score.sqnr_db:.2f}" for score in (before, after) if score is not None]
    agreement = [
        f"{score.agreement:.1%}" for score in (before, after) if score is not None and score.agreement is not None
    ]
    return " -> ".join(sqnr), " -> ".join(agreement)


def _kept(outcome: "Outcome") -> str:
    if outcome.refused is not None:
        return f"no: {outcome.refused}"
    return "yes" if outcome.kept else "no"


def met_floors(artifact: Artifact, agreement: float | None, accuracy: float | None) -> bool:
    """Whether the decisions of an artifact hold their floors; says so where they do not."""
    steps = artifact.manifest.quantization.steps
    if steps is None:
        return True
    held = True
    found = steps.total.agreement
    if agreement is not None and (found is None or found < agreement):
        told = "nothing decides by its largest score" if found is None else f"{found:.1%} of decisions agree"
        tell(f"agreement floor {agreement:.1%} not held on {steps.judged_images} held-out images: {told}")
        held = False
    true = steps.accuracy
    if accuracy is not None and true is not None and true.accuracy < accuracy:
        tell(
            f"accuracy floor {accuracy:.1%} not held on {true.images} labelled images: {true.accuracy:.1%} of "
            f"decisions are true, {true.of_float:.1%} of the float network's"
        )
        held = False
    return held
