"""`edge inspect` of a split: what it holds, by class."""

from typing import Any

from rich import box
from rich.table import Table

from edge.data.splits import Split
from edge.files.bounded_file import exists
from edge.terminal import say, say_json, show_wide

COLUMNS = {
    "images": "images",
    "boxes": "boxes",
    "ignored": "ignored",
    "height": "median height",
    "width": "median width",
    "share": "share",
}


def names_split(text: str) -> bool:
    """Whether a text names a split, not a model's file or folder: a pinned file, or KIND:..."""
    from edge.data.open_split import SPLIT_KINDS
    from edge.data.split_file import SUFFIX

    kind, colon, _ = text.partition(":")
    return text.endswith(SUFFIX) or (bool(colon) and kind in SPLIT_KINDS and not exists(text))


def print_split(split: Split, *, as_json: bool) -> None:
    """Its figures as a table, or one line of JSON."""
    from edge.data.split_summary import split_summary

    summary = split_summary(split)
    if as_json:
        say_json({"entry": "split", **summary})
        return
    say(_line(summary))
    if rows := summary.get("classes"):
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
        table.add_column("class", no_wrap=True)
        columns = [name for name in COLUMNS if any(name in row for row in rows)]
        for name in columns:
            table.add_column(COLUMNS[name], justify="right")
        for row in rows:
            table.add_row(row["name"], *(_cell(name, row.get(name)) for name in columns))
        show_wide(table)


def _line(summary: dict[str, Any]) -> str:
    words = [f"{summary['origin']}: task {summary['task']}, {summary['images']} images"]
    if "boxes" in summary:
        words.append(f"{summary['boxes']} boxes, at most {summary['most_boxes']} in an image")
        words += [f"{summary['ignored']} ignored"] if summary["ignored"] else []
        words += [f"{summary['without_boxes']} images without"] if summary["without_boxes"] else []
    return ", ".join(words)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if name == "share" else f"{value:,.0f}"
