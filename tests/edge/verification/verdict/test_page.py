"""The page holds everything, asks for nothing, runs nothing, and shows hostile names as text."""

import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from edge.verification.verdict.page import MOST_LAYERS, verdict_page

pytest.importorskip("jinja2")
HOSTILE = (
    "</td><script src='https://bad.example/x.js'>alert(1)</script><img src=x onerror=\"alert('1')\"> & \x00\x1b[2J"
)


def finding(check: str, subject: str, passed: bool | None, detail: str) -> dict[str, Any]:
    return {"row": "finding", "check": check, "subject": subject, "passed": passed, "detail": detail}


def layer(name: str, rank: int, alone: float | None, recovered: float) -> dict[str, Any]:
    return {
        "layer": name,
        "kind": "Conv",
        "alone_rank": rank,
        "without_rank": rank,
        "alone_noise_share": alone,
        "recovered_share": recovered,
        "alone_sqnr_db": 31.25,
        "alone_agreement": 0.875,
        "alone_boundary_rank": None,
    }


LABEL = {
    **{"average_precision": 0.812, "parent_average_precision": 0.834, "accuracy": 0.9, "f1": None},
    **{"positives": 17, "known": 60},
}


def content(name: str = "street", *, ship: bool = False, layers: int = 3) -> dict[str, Any]:
    fault = {"check": "accuracy", "operator": name, "kind": "Conv", "reason": f"{name} makes the noise"}
    return {
        "artifact": {"name": name, "task": "classify", "precision": "int8"},
        "verdict": {
            "ship": ship,
            "looked_at": f"8 images of {name}",
            "parent": name,
            "not_judged": {"latency": "no --latency-budget was given"},
            "at_fault": [] if ship else [fault],
        },
        "findings": [
            finding("end to end", f"model.tflite in litert {name}", True, "0 of 80 values differ"),
            finding("accuracy", f"model.tflite {name}", ship, f"top1 50.00%, parent 60.00% {name}"),
            {**finding("accuracy", "model.onnx", ship, "mean_average_precision 50.00%"), "labels": {name: LABEL}},
            finding("latency", "the device", None, "not judged: no measurement yet"),
        ],
        "layers": [layer(f"{name}.{rank}", rank, 0.5 / rank, -0.1) for rank in range(1, layers + 1)],
        "suggestions": [{"layer": name, "kind": "Conv", "reason": name, "action": name, "command": name}],
        "ranking": {
            "images": 4,
            "images_asked": 8,
            "rounded_sqnr_db": 12.0,
            "simulation_sqnr_db": None,
            "layers_with_integer_weights": 2,
        },
        "operators": [
            (
                f"model.tflite in {name}",
                [{"operator": name, "kind": "Conv", "values": 1000, "differing": 3, "largest_quanta": 1}],
            )
        ],
        "thresholds": [("accuracy at least 99.00% of the float parent's", "recipe")],
        "machine": [("processor", name)],
        "provenance": [("command", name)],
        "files": [{"path": "model.tflite", "size_bytes": 4_000_688, "sha256": "ab" * 32}],
        "time_utc": "2026-11-01 00:00 UTC",
    }


def parsed(page: str) -> ElementTree.Element:
    """The page as a tree: it is well-formed enough for the strictest parser."""
    return ElementTree.fromstring(page)


def text_of(page: str) -> str:
    return " ".join(" ".join(parsed(page).itertext()).split())


def test_everything_that_was_found_stands_on_the_page() -> None:
    """Verdict, findings with their details, what is at fault, what to try, thresholds with origin, hashes."""
    text = text_of(verdict_page(content()))
    for expected in (
        "Do not ship",
        "2 checks failed (accuracy), 1 passed.",
        "street 81.2% 83.4% 90.0% - 17 of 60",
        "0 of 80 values differ",
        "top1 50.00%, parent 60.00% street",
        "not judged: no measurement yet",
        "Not judged: latency (no --latency-budget was given).",
        "street makes the noise",
        "accuracy at least 99.00% of the float parent's",
        "recipe",
        "50.0%",
        "-10.0%",
        "no error",
        "8 were asked for; time was up",
        "4.00 MB",
        "ab" * 32,
    ):
        assert expected in text, expected


def test_where_pixels_changed_stands_beside_all_pixels() -> None:
    """Of a segmenter; without a changed pixel there is nothing to show."""
    figures = {
        "parent_iou": 0.951,
        "parent_boundary_iou": 0.815,
        "changed_share": 0.0086,
        "changed_within_px": {"1": 0.781, "2": 0.891, "4": 0.957},
        "pixels_within_px": {"1": 0.044, "2": 0.084, "4": 0.156},
    }
    plain = content()
    plain["findings"].append({**finding("boundary", "model.tflite in litert", None, "boundary IoU 19.59%"), **figures})
    plain["layers"][0] |= {"alone_boundary_rank": 2, "alone_boundary": figures}
    text = text_of(verdict_page(plain))
    assert "areas kept 95.1% edges kept 81.5% pixels changed 0.9%" in text
    assert "of these within 1 px 78.1% 4.4% of these within 2 px 89.1% 8.4% of these within 4 px 95.7% 15.6%" in text
    assert "87.5% of decisions kept, 81.5% of boundaries (place 2)" in text
    plain["findings"][-1] |= {"changed_share": 0.0, "changed_within_px": {"1": None, "2": None, "4": None}}
    assert "Where pixels changed" not in text_of(verdict_page(plain))


def test_a_verdict_to_ship_says_so() -> None:
    text = text_of(verdict_page(content(ship=True)))
    assert "Ship" in text and "Do not ship" not in text and "What stands against it" not in text
    assert "Everything that was asked holds: 3 checks passed." in text


def test_hostile_names_are_text() -> None:
    """No element or attribute comes from a name; control characters are replaced."""
    page = verdict_page(content(HOSTILE))
    tree = parsed(page)
    names = {element.tag for element in tree.iter()}
    assert not names & {"script", "img", "iframe", "object", "embed", "link", "base", "form", "a"}
    assert not [key for element in tree.iter() for key in element.attrib if key.startswith("on")]
    assert text_of(page).count("alert(1)") >= 10
    assert "\x00" not in page and "\x1b" not in page


def test_nothing_is_asked_for_from_outside() -> None:
    """No address, source or style sheet; and the page's own policy forbids them."""
    page = verdict_page(content())
    assert not re.search(r"https?:|//[a-z]|@import|url\(|\bsrc=|\bhref=|<script", page)
    assert "default-src 'none'" in page


def test_bars_are_as_long_as_their_share_of_the_longest() -> None:
    """The longest is full, half of it half; what cancelled another's error has none."""
    widths = [
        element.attrib["width"]
        for element in parsed(verdict_page(content())).iter("rect")
        if element.attrib["class"] in ("alone", "left") and element.attrib.get("rx") and "%" in element.attrib["width"]
    ]
    assert widths[2:] == ["100.00%", "0.00%", "50.00%", "0.00%", "33.33%", "0.00%"]


def test_many_layers_are_folded_away_and_none_is_lost() -> None:
    page = verdict_page(content(layers=MOST_LAYERS + 5))
    assert "5 more layers" in text_of(page)
    assert all(f"street.{rank}" in page for rank in range(1, MOST_LAYERS + 6))


def test_a_page_without_a_ranking_has_no_section_for_it() -> None:
    plain = {**content(), "ranking": None, "layers": [], "suggestions": [], "operators": []}
    text = text_of(verdict_page(plain))
    assert "Layers by cost" not in text and "What to try" not in text


def test_a_share_that_is_no_number_is_said() -> None:
    page = verdict_page({**content(), "layers": [layer("x", 1, 0.0, 0.0)]})
    assert "0.0%" in text_of(page)
