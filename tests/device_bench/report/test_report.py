"""Reports: complete, escaped, small, honest about taints; opened in a browser at phone and desktop width."""

import csv
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from device_bench.records.explanation import Explanation
from device_bench.records.record import Record, record_line, rederived
from device_bench.records.record_lines import append_records
from device_bench.records.row import COLUMNS, row
from device_bench.report.axes import linear_axis, log_axis, number_text
from device_bench.report.content import content
from device_bench.report.explained import explained
from device_bench.report.groups import groups
from device_bench.report.store import opened_store
from device_bench.report.tables import csv_text, markdown_text
from edge.cli.main import main
from edge.errors import FileError
from tests.benchmarks import fleet

pytestmark = [pytest.mark.extra, pytest.mark.unhurried]

HOSTILE = '<script>alert("x")</script>"\'&|`https://evil.example/'


def headless() -> ModuleType:
    """tests/headless.py, which is no package's."""
    spec = importlib.util.spec_from_file_location("headless", Path(__file__).resolve().parents[2] / "headless.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("headless", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def records() -> list[Record]:
    chance = np.random.default_rng(1)
    return [fleet.record(number, chance) for number in range(150)]


@pytest.fixture(scope="module")
def file(records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "fleet.jsonl"
    append_records(path, records)
    return path


@pytest.fixture(scope="module")
def page(file: Path) -> Path:
    path = file.with_name("report.html")
    assert main(["report", str(file), "-o", str(path)]) == 0
    return path


def test_a_row_has_every_column_and_no_time_of_an_emulated_record(records: list[Record]) -> None:
    emulated = next(record for record in records if record.emulated)
    assert set(row(records[0])) == set(COLUMNS) == set(row(emulated))
    assert all(row(emulated)[name] in (None, []) for name in COLUMNS if name.endswith("_ns"))
    assert row(emulated)["instructions"] == emulated.instructions.per_inference if emulated.instructions else False


def test_the_store_says_what_the_records_say(records: list[Record], file: Path) -> None:
    with opened_store([file]) as store:
        found = groups(store)
        assert store.records == len(records) == sum(group.records for group in found)
    for group in found:
        same = [
            record
            for record in records
            if (record.measured.name, record.engine.engine, record.machine.board, bool(record.taints), record.emulated)
            == (
                group.key["name"],
                group.key["engine"],
                _board(group.key["machine"]),
                group.key["tainted"],
                group.emulated,
            )
        ]
        assert len(same) == group.records
        medians = sorted(record.latency_ns.p50_ns for record in same if record.latency_ns is not None)
        assert group.latency_ns[50] == (medians[(len(medians) - 1) // 2] if medians else None)
        assert group.emulated is (not medians) is (not group.quantiles_ns)
        assert bool(group.mark) == group.key["tainted"] == bool(group.kinds)


def _board(machine: str) -> str | None:
    return machine if machine.startswith(("Raspberry", "NVIDIA")) else None


def test_one_records_interval_comes_from_its_samples(records: list[Record], tmp_path: Path) -> None:
    real = next(record for record in records if not record.emulated)
    append_records(tmp_path / "one.jsonl", [real])
    with opened_store([tmp_path / "one.jsonl"]) as store:
        (group,) = groups(store)
    low, high = group.confidence_ns[50] or (0, 0)
    assert low < (group.latency_ns[50] or 0) < high
    assert {low, high} <= set(real.samples_ns) and group.confidence_ns[99] is None


def test_damaged_lines_are_named_or_counted(
    records: list[Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "damaged.jsonl"
    good = record_line(records[0]).encode()
    path.write_bytes(b"\n".join([good, b"{", b"\xff\xfe", good[:-40], b"", good]) + b"\n")
    with pytest.raises(FileError, match=r"damaged\.jsonl: line 2 is not a record"), opened_store([path]):
        pass
    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 1
    assert "line 2" in capsys.readouterr().err and not (tmp_path / "out.html").exists()
    assert main(["report", str(path), "--skip-damaged", "-o", str(tmp_path / "out.html")]) == 0
    assert "2 records, 1 groups" in capsys.readouterr().err
    assert "damaged lines passed over" in (tmp_path / "out.html").read_text()


def test_names_from_records_are_escaped_everywhere(records: list[Record], tmp_path: Path) -> None:
    real = next(record for record in records if not record.emulated)
    hostile = rederived(
        real.model_copy(
            update={
                "measured": real.measured.model_copy(
                    update={
                        "name": HOSTILE,
                        "accuracy": (real.measured.accuracy[0].model_copy(update={"metric": HOSTILE}),),
                    }
                ),
                "machine": real.machine.model_copy(update={"board": HOSTILE, "system": HOSTILE, "processor": HOSTILE}),
                "target": real.target.model_copy(update={"name": HOSTILE}),
            }
        )
    )
    formula = real.model_copy(update={"measured": real.measured.model_copy(update={"name": "=1+1\x1b[2J"})})
    path = tmp_path / "<b>hostile.jsonl"
    append_records(path, [hostile, formula])
    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 0
    text = (tmp_path / "out.html").read_text()
    assert "<script" not in text and "<b>" not in text and "\x1b" not in text and "&lt;script&gt;" in text
    with opened_store([path]) as store:
        found = groups(store)
    assert "<script" not in markdown_text(found).replace("\\<", "")
    rows = list(csv.reader(csv_text(found).splitlines()))
    assert {len(cells) for cells in rows} == {len(rows[0])} and any(cells[0].startswith("'=") for cells in rows)


def test_every_form_marks_tainted_figures_and_gives_no_emulated_latency(
    records: list[Record], file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, lines = tmp_path / "report.md", tmp_path / "report.csv"
    assert main(["report", str(file), "--markdown", str(table), "--csv", str(lines), "--json"]) == 0
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = list(csv.DictReader(lines.read_text().splitlines()))
    shown = table.read_text().splitlines()[2:]
    assert len(printed) == len(rows) == len(shown)
    for entry, cells, line in zip(printed, rows, shown, strict=True):
        assert (entry["p50_ns"] is None) == entry["emulated"] == (cells["p50_ns"] == "") == ("M instructions" in line)
        assert entry["tainted"] == bool(entry["taints"])
        assert ("\\~" in line) == (entry["tainted"] and not entry["emulated"])


def test_the_page_asks_for_nothing_and_does_not_grow_with_the_records(page: Path, file: Path) -> None:
    text = page.read_text()
    assert not re.search(r"https?://|src=|@import|url\(|<script|<link", text)
    assert main(["report", str(file), str(file), str(file), "-o", str(page.with_name("three.html"))]) == 0
    assert page.with_name("three.html").stat().st_size < 1.1 * page.stat().st_size


@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser_every_picture_is_there_and_nothing_is_asked_for(
    chromium: str, page: Path, tmp_path: Path, width: int
) -> None:
    seen = headless().measured(chromium, page, tmp_path, width)
    assert seen["requests"] == [] and seen["scripts"] == 0 and seen["title"].startswith("Measurements")
    assert len(seen["pictures"]) > 50
    assert all(
        min(box_w, box_h) > 0 and max(drawn_w, drawn_h) > 0 for box_w, box_h, drawn_w, drawn_h in seen["pictures"]
    )
    assert seen["wide"] <= width, "the page is wider than the screen"
    assert seen["smallest"] >= 9, "letters in a picture are too small to read"


def test_a_picture_of_the_page_shows_its_colours(chromium: str, page: Path, tmp_path: Path) -> None:
    data = headless().picture(chromium, page, tmp_path, 390, 3000)
    image = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert (image.max(axis=2).astype(int) - image.min(axis=2) > 60).sum() > 1000


def operator(name: str, time_ns: int, adds: int | None, moved_bytes: int) -> dict[str, object]:
    return {
        "names": [name],
        "kind": "Conv",
        "precision": "int8",
        "multiply_adds": adds,
        "bytes": moved_bytes,
        "time_ns": time_ns,
        "low_ns": None,
        "high_ns": None,
        "share_time": time_ns / 1000,
        "share_multiply_adds": adds / 50_000 if adds else None,
        "intensity": adds / moved_bytes if adds else None,
        "bound": "compute",
        "attainable": None,
    }


def test_explanations_are_drawn_as_bars_and_a_roofline(file: Path, tmp_path: Path) -> None:
    told = {
        "method": "measured-operators",
        "engine": "onnxruntime",
        "threads": 1,
        "whole_ns": 1000,
        "operators": [
            operator(HOSTILE, 600, 40_000, 2000),
            operator("b", 300, 10_000, 4000),
            operator("c", 50, None, 10),
        ],
        "unexplained_ns": 50,
        "peaks": {
            "int8_multiply_adds_per_s": 1e11,
            "float_multiply_adds_per_s": None,
            "bandwidths": [{"working_set_bytes": 2**20, "bytes_per_s": 1e10}],
            "how": {},
        },
        "reasons": [{"name": "pads", "sentence": "two pads", "share_time": 0.05}],
        "changes": [],
    }
    drawn = explained("street", Explanation.model_validate_json(json.dumps(told)))
    first = drawn["bars"][0]
    assert (first["time_width"], first["adds_width"]) == (75, 100)
    roof = drawn["roofline"]
    assert len(roof["points"]) == 2 and [line["label"] for line in roof["lines"]] == ["memory bandwidth", "int8 peak"]
    assert roof["points"][0]["y"] < roof["points"][1]["y"], "66 G multiply-adds/s lie above 33"
    record = json.loads(file.read_text().splitlines()[0])
    record["plan"]["explain"] = True
    path = tmp_path / "street.jsonl"
    path.write_text(json.dumps({**record, "explanation": told}) + "\n")
    assert main(["report", str(path), "-o", str(tmp_path / "out.html")]) == 0
    text = (tmp_path / "out.html").read_text()
    assert "Roofline" in text and "two pads" in text and "<script" not in text


def of_subject(record: Record, name: str, precision: str, engine: str, samples_ns: list[int]) -> Record:
    """A single-stream record of another file, with other samples."""
    measured = record.measured.model_copy(update={"name": name, "precision": precision, "accuracy": ()})
    used = record.engine.model_copy(update={"engine": engine})
    changed = {"measured": measured, "engine": used, "samples_ns": tuple(samples_ns)}
    return rederived(record.model_copy(update=changed))


@pytest.fixture
def four(records: list[Record], tmp_path: Path) -> Path:
    """A float and an INT8 file in two engines, the INT8 one in the first engine measured twice, unequally long."""
    real = next(record for record in records if not record.emulated)
    path = tmp_path / "four.jsonl"
    samples = {"float32": [5_000_000] * 20, "int8": [2_000_000] * 20}
    kept = [
        of_subject(real, f"net_{precision}", precision, engine, samples[precision])
        for engine in ("litert", "onnxruntime")
        for precision in ("float32", "int8")
    ]
    slower = of_subject(real, "net_int8", "int8", "litert", [4_000_000] * 60)
    append_records(path, [*kept, slower])
    return path


def test_the_figure_beside_a_strip_is_the_one_that_it_draws_and_the_fastest_is_first(four: Path) -> None:
    with opened_store([four]) as store:
        shown = content(store, [four], "now")
    rows = shown["strips"]["rows"]
    assert [row["p50"] for row in rows] == sorted(row["p50"] for row in rows)
    mixed = next(row for row in rows if row["records"] == 2)
    assert mixed["p50"] == 4_000_000 and mixed["x50"] == mixed["x75"]
    assert [group.latency_ns[50] for group in shown["groups"]] == [2_000_000, 2_000_000, 5_000_000, 5_000_000]
    assert sorted(gain.lstrip("~") for gain in shown["gains"]) == ["", "", "2.50x", "2.50x"]


def test_an_engine_has_one_colour_in_all_charts(four: Path) -> None:
    with opened_store([four]) as store:
        shown = content(store, [four], "now")
    colors: dict[str, set[int]] = {}
    for chart in shown["curves"]:
        assert len({line["color"] for line in chart["lines"]}) == len(chart["lines"]) == 2
        for line in chart["lines"]:
            colors.setdefault(line["label"], set()).add(line["color"])
    assert len(shown["curves"]) == 2 and [len(found) for found in colors.values()] == [1, 1]


def test_one_is_not_many(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    append_records(path, [next(record for record in records if not record.emulated)])
    assert main(["report", str(path), "-o", str(tmp_path / "one.html")]) == 0
    text = re.sub(r"<[^>]*>", "", (tmp_path / "one.html").read_text())
    assert "device of 1 kind" in text and "devices of" not in text and "1record" in text.replace("\n", "")


def test_axes_have_round_ticks_inside() -> None:
    for values in ([0.2, 0.9], [3.0, 3.1], [1.0, 20000.0], [5.0], []):
        axis = log_axis(values, 0, 100)
        assert 2 <= len(axis.ticks) <= 6 and all(0 <= place <= 100 for place, _ in axis.ticks)
    axis = linear_axis([41.2, 79.9], 100, 0)
    assert [text for _, text in axis.ticks] == ["40", "50", "60", "70", "80"]
    assert [number_text(value) for value in (0, 0.025, 1.5, 12000)] == ["0", "0.025", "1.5", "12,000"]


@pytest.mark.parametrize(("name", "option"), [("r.html", "-o"), ("r.csv", "--csv"), ("r.md", "--markdown")])
def test_a_report_is_never_written_over_its_records(file: Path, tmp_path: Path, name: str, option: str) -> None:
    """Records may have any suffix."""
    (tmp_path / name).write_bytes(file.read_bytes())
    assert main(["report", str(tmp_path / name), option, str(tmp_path / name)]) == 2
    assert (tmp_path / name).read_bytes() == file.read_bytes()


def test_a_damaged_file_is_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damaged = tmp_path / "damaged.jsonl"
    damaged.write_text("{}\n")
    assert main(["report", str(damaged), "-o", str(tmp_path / "page.html")]) == 1
    assert "damaged.jsonl: line 1 is not a record" in capsys.readouterr().err
