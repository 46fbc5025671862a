"""The verdict as one self-contained HTML page: no script, no request, every text escaped."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from edge.artifact.units import size_text
from edge.files.page_environment import page_environment

MOST_LAYERS = 20
"""Layers that are shown at once; the rest is folded away."""


def verdict_page(content: Mapping[str, Any]) -> str:
    """Render the page.

    Args:
        content: `verdict`, `findings`, `layers`, `suggestions`, `ranking` (None without one) as the rows of `--json`;
            `operators`: (subject, rows) pairs; `thresholds`: (text, origin) pairs; `machine`, `provenance`: (name,
            value) pairs; `files`: `path`, `size_bytes`, `sha256`; `artifact`: `name`, `task`, `precision`; `time_utc`.
            Every text may come from a file and is escaped.

    Raises:
        UnsupportedError: the package jinja2 is missing.
    """
    environment = page_environment(
        {"percent": _percent, "decibels": _decibels, "width": _width, "size": size_text}, extra="train"
    )
    template = environment.from_string(files("edge.verification.verdict").joinpath("page.html").read_text("utf-8"))
    findings = content["findings"]
    layers = content["layers"]
    shares = [row[key] for row in layers for key in ("alone_noise_share", "recovered_share") if row[key] is not None]
    return template.render(
        **content,
        faults=_faults(findings),
        plain_words=_plain_words(content["verdict"], findings),
        longest=max([*shares, 1e-9]),
        most=MOST_LAYERS,
    )


def _faults(findings: list[Mapping[str, Any]]) -> list[tuple[str, list[str], str]]:
    """What failed: check, subjects, detail; subjects of which the same was found stand together."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        if finding["passed"] is False:
            found.setdefault((finding["check"], finding["detail"]), []).append(finding["subject"])
    return [(check, subjects, detail) for (check, detail), subjects in found.items()]


def _plain_words(verdict: Mapping[str, Any], findings: list[Mapping[str, Any]]) -> str:
    passed = sum(finding["passed"] is True for finding in findings)
    failed = sum(finding["passed"] is False for finding in findings)
    if verdict["ship"]:
        return f"Everything that was asked holds: {passed} checks passed."
    if not failed:
        return "Nothing could be checked, so nothing speaks for it."
    kinds = list(dict.fromkeys(finding["check"] for finding in findings if finding["passed"] is False))
    noun = "check" if failed == 1 else "checks"
    return f"{failed} {noun} failed ({', '.join(kinds)}), {passed} passed."


def _percent(value: float | None) -> str:
    return "not a number" if value is None else f"{value:.1%}".replace("-0.0%", "0.0%")


def _decibels(value: float | None) -> str:
    return "no error" if value is None else f"{value:.1f} dB"


def _width(share: float | None) -> str:
    return f"{100 * min(max(share or 0.0, 0.0), 1.0):.2f}%"
