"""An examination as plain rows and as a table on the screen."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from edge.diagnosis.disease import Disease, Found
from edge.diagnosis.patient import Patient
from edge.terminal import say, show

Results = Sequence[tuple[Disease, Found]]
STYLES = {"healthy": "green", "sick": "bold red", "not judged": "dim"}


def rows(patient: Patient, results: Results) -> list[dict[str, Any]]:
    """One row per disease, then the diagnosis: names of those that are there, of those not judged, the exit code."""
    made: list[dict[str, Any]] = [
        {
            "row": "disease",
            "disease": disease.name,
            "state": found.state,
            "evidence": found.evidence,
            "layer": found.layer,
            "cure": found.cure,
            "command": found.command,
            **found.data,
        }
        for disease, found in results
    ]
    named = {state: [disease.name for disease, found in results if found.state == state] for state in STYLES}
    made.append(
        {
            "row": "diagnosis",
            "model": str(patient.path),
            "form": patient.form,
            "sick": named["sick"],
            "healthy": named["healthy"],
            "not_judged": named["not judged"],
            "exit_code": exit_code(results),
        }
    )
    return made


def exit_code(results: Results) -> int:
    """1 where a disease is there, else 0."""
    return int(any(found.state == "sick" for _, found in results))


def sentence(patient: Patient, results: Results) -> str:
    """The diagnosis in one line."""
    named = [disease.name for disease, found in results if found.state == "sick"]
    left = sum(found.state == "not judged" for _, found in results)
    rest = f" ({left} of {len(results)} diseases not judged)" if left else ""
    return f"{patient.path}: {'sick: ' + ', '.join(named) if named else 'no disease found'}{rest}"


def print_results(patient: Patient, results: Results) -> None:
    """Print the table; below it the cures; the last line is the diagnosis."""
    table = Table(show_lines=True)
    for column in ("disease", "", "layer", "evidence"):
        table.add_column(column, overflow="fold")
    for disease, found in results:
        table.add_row(disease.name, Text(found.state, style=STYLES[found.state]), found.layer, found.evidence)
    show(table)
    for disease, found in results:
        if found.state == "sick":
            say(f"{disease.name}: {found.cure}" + (":" if found.command else ""))
            if found.command:
                say(f"  {found.command}")
    say(sentence(patient, results), style="bold red" if exit_code(results) else "bold green")
