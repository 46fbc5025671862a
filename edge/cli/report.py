"""edge report: many measurements as one page, table or list."""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from device_bench.report.content import content
from device_bench.report.groups import Group, groups
from device_bench.report.page import report_page
from device_bench.report.store import opened_store
from device_bench.report.tables import csv_text, flat, markdown_text
from edge.cli.grouped_help import examples
from edge.cli.handed_over import hand_over
from edge.cli.written_file import CSV_FILE, HTML_FILE, MARKDOWN_FILE
from edge.errors import FileError, UsageError
from edge.files import atomic
from edge.files.overwriting import refuse_inputs
from edge.files.page_environment import page_environment
from edge.terminal import say_json, tell


@click.command(
    "report", epilog=examples("edge report records.jsonl", "edge report fleet/*.jsonl -o report.html --csv report.csv")
)
@click.argument("records", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "out", type=HTML_FILE, help="Write one self-contained HTML page.")
@click.option("--markdown", type=MARKDOWN_FILE, help="Write a table in Markdown.")
@click.option("--csv", "as_csv", type=CSV_FILE, help="Write every group as a line of CSV.")
@click.option("--json", "as_json", is_flag=True, help="Print every group as a JSON object per line.")
@click.option("--skip-damaged", is_flag=True, help="Count lines that are not records instead of refusing the file.")
def command(
    records: tuple[Path, ...],
    out: Path | None,
    markdown: Path | None,
    as_csv: Path | None,
    as_json: bool,
    skip_damaged: bool,
) -> None:
    """Make a report of files of RECORDS, as `edge bench -o` writes them.

    Without -o, --markdown, --csv and --json the page goes to report.html.
    """
    if out is None and markdown is None and as_csv is None and not as_json:
        out = Path("report.html")
    for option, written in (("-o", out), ("--markdown", markdown), ("--csv", as_csv)):
        if written is not None:
            refuse_inputs(option, written, *records)
            atomic.check_writable(written)
    if out is not None:
        page_environment({}, extra="report")  # a missing jinja2 is refused before the records are read
    with opened_store(records, skip_damaged=skip_damaged) as store:
        if not store.records:
            damaged = f" ({store.damaged} damaged lines)" if store.damaged else ""
            raise UsageError(f"no record in {', '.join(map(str, records[:5]))}{damaged}")
        try:
            made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
            page = None if out is None else report_page(content(store, list(records), made))
            found = groups(store)
        except MemoryError as error:
            raise FileError(records[0], "is more than the memory holds: report fewer files at once") from error
        hand_over(
            None if out is None or page is None else partial(atomic.write_text, out, page),
            None if markdown is None else partial(atomic.write_text, markdown, markdown_text(found)),
            None if as_csv is None else partial(atomic.write_text, as_csv, csv_text(found)),
            partial(_say_groups, found) if as_json else None,
        )
        files = "".join(f"; {path}" for path in (out, markdown, as_csv) if path is not None)
        tell(f"{store.records} records, {len(found)} groups{files}")
        if store.damaged:
            tell(f"{store.damaged} damaged lines passed over, the first: {store.told[0]}")


def _say_groups(found: Sequence[Group]) -> None:
    for group in found:
        say_json(flat(group))
