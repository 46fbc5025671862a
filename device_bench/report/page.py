"""The report as one self-contained HTML page: no script, no request, every text escaped."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from device_bench.report.axes import number_text
from device_bench.report.table import milliseconds
from edge.artifact.units import size_text
from edge.files.page_environment import page_environment


def report_page(content: Mapping[str, Any]) -> str:
    """Render `device_bench.report.content.content`. Refuses (UnsupportedError) to without jinja2."""
    environment = page_environment(
        {
            "milliseconds": milliseconds,
            "size": size_text,
            "count": count_text,
            "number": number_text,
            "percent": _percent,
            "s": _plural,
        },
        extra="report",
    )
    template = environment.from_string(files("device_bench.report").joinpath("page.html").read_text("utf-8"))
    return template.render(**content)


def count_text(value: int | None) -> str:
    """A count with its thousands apart; nothing for None."""
    return "" if value is None else f"{value:,}"


def _plural(number: int) -> str:
    """The end of a noun behind a number."""
    return "" if number == 1 else "s"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"
