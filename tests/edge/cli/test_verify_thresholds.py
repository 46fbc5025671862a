"""`edge verify` with thresholds: exit codes, where each threshold came from, records, and JSON that tells all apart."""

import html
import json
import shutil
from pathlib import Path

import pytest

from device_bench.bench.bench import bench
from device_bench.records.plan import Plan
from device_bench.records.record import Record, rederived
from device_bench.records.record_lines import append_records
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import MANIFEST_NAME, open_artifact
from edge.artifact.thresholds import Thresholds, recipe_thresholds
from edge.cli.main import main
from edge.errors import RecipeError
from edge.recipe.recipe_file import read_recipe

Capture = pytest.CaptureFixture[str]
QUICK = ["--operator-samples", "0", "--engine", "litert"]


@pytest.fixture(scope="module")
def artifact(road: Path) -> Path:
    return road / "int8"


@pytest.fixture(scope="module")
def measured(artifact: Path) -> Record:
    """A real record of the artifact, made quiet: this machine may be anything."""
    plan = Plan(rounds=1, warmup_runs=1, warmup_duration_ns=0, min_runs=20, min_duration_ns=0)
    return quieted(bench([open_artifact(artifact)], ("litert",), plan, InProcess(), command="edge bench")[0])


def quieted(record: Record) -> Record:
    state = record.before.model_copy(
        update={
            "governors": ("performance",),
            "temperatures_millicelsius": {},
            "throttled_bits": None,
            "load_average_1m": 0.0,
            "frequencies_khz": (),
            "steal_ticks": None,
            "group_throttled_count": None,
            "thermal_throttle_count": None,
        }
    )
    machine = record.machine.model_copy(
        update={
            "virtual_machine": None,
            "emulation": None,
            "processor_limit_cores": None,
            "usable_cores": 4,
            "cores": 4,
        }
    )
    return rederived(record.model_copy(update={"machine": machine, "states": (state, state)}))


def written(folder: Path, *records: Record) -> str:
    path = folder / "records.jsonl"
    append_records(path, records)
    return str(path)


def verify(capture: Capture, arguments: list[str]) -> tuple[int, list[dict[str, object]]]:
    capture.readouterr()
    code = main(["verify", *arguments, *QUICK, "--json"])
    return code, [json.loads(line) for line in capture.readouterr().out.splitlines()]


def test_latency_within_the_budget_of_a_record_ships(
    artifact: Path, measured: Record, tmp_path: Path, capsys: Capture
) -> None:
    """Exit code 0; the finding carries nanoseconds, the verdict the threshold with its origin."""
    records = written(tmp_path, measured)
    code, rows = verify(capsys, [str(artifact), "--records", records, "--latency-budget", "100s"])
    found = next(row for row in rows if row.get("check") == "latency")
    assert code == 0 and found["passed"] is True
    assert found["latency_ns"] == measured.latency_ns.p90_ns and found["latency_budget_ns"] == 100 * 10**9
    assert rows[-1]["ship"] is True and rows[-1]["exit_code"] == 0
    thresholds = rows[-1]["thresholds"]
    assert isinstance(thresholds, dict)
    assert thresholds["latency_budget_ns"] == {"value": 100 * 10**9, "origin": "command line"}
    assert thresholds["accuracy_floor"] == {"value": 0.99, "origin": "default"}


def test_latency_above_the_budget_does_not_ship_and_names_the_heaviest_operators(
    artifact: Path, measured: Record, tmp_path: Path, capsys: Capture
) -> None:
    """Exit code 1, with multiply-adds as the reason."""
    records = written(tmp_path, measured)
    code, rows = verify(capsys, [str(artifact), "--records", records, "--latency-budget", "1ns"])
    assert code == 1 and rows[-1]["ship"] is False and rows[-1]["exit_code"] == 1
    faults = rows[-1]["at_fault"]
    assert isinstance(faults, list) and len(faults) == 3
    assert all(fault["check"] == "latency" and "multiply-adds" in fault["reason"] for fault in faults)


def test_a_disturbed_record_never_passes_as_a_clean_one(
    artifact: Path, measured: Record, tmp_path: Path, capsys: Capture
) -> None:
    """Not judged, and so not shipped; accepted only on request."""
    loaded = measured.before.model_copy(update={"load_average_1m": 9.0})
    busy = rederived(measured.model_copy(update={"states": (loaded, measured.after)}))
    arguments = [str(artifact), "--records", written(tmp_path, busy), "--latency-budget", "100s"]
    code, rows = verify(capsys, arguments)
    assert code == 1 and "not judged" in str(rows[-1]["verdict"])
    assert verify(capsys, [*arguments, "--allow-disturbed"])[0] == 0


def test_without_records_the_budget_is_held_against_this_machine(artifact: Path, capsys: Capture) -> None:
    """And the finding says so."""
    _, rows = verify(capsys, [str(artifact), "--latency-budget", "100s", "--allow-disturbed"])
    found = next(row for row in rows if row.get("check") == "latency")
    assert str(found["machine"]).startswith("this machine, ")


def test_the_latest_record_of_an_engine_counts(
    artifact: Path, measured: Record, tmp_path: Path, capsys: Capture
) -> None:
    """An older, faster one is passed over."""
    slow_ns = 10**12
    slow = rederived(measured.model_copy(update={"samples_ns": tuple(slow_ns for _ in measured.samples_ns)}))
    records = written(tmp_path, measured, slow)
    assert verify(capsys, [str(artifact), "--records", records, "--latency-budget", "100s"])[0] == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--latency-budget", "30"], "has no unit"),
        (["--size-budget", "4"], "has no unit"),
        (["--accuracy-floor", "0.9"], "needs labelled images"),
        (["--accuracy-floor", "1.9"], "accuracy-floor"),
        (["--boundary-floor", "0.9"], "--boundary-floor is for segmenters"),
        (["--records", "nowhere.jsonl"], "--latency-budget"),
    ],
)
def test_what_cannot_hold_is_refused(artifact: Path, capsys: Capture, arguments: list[str], problem: str) -> None:
    """Exit code 2, one line; with --json an object without a verdict."""
    capsys.readouterr()
    assert main(["verify", str(artifact), *arguments, "--json"]) == 2
    captured = capsys.readouterr()
    assert problem in captured.err and captured.err.count("\n") == 1


def test_could_not_and_do_not_ship_are_told_apart_in_json(artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    """Both exit with 1; `ship` is null in one and false in the other. A path that is not there is a usage error: 2."""
    code, rows = verify(capsys, [str(tmp_path / "nothing")])
    assert code == 2 and rows[-1]["row"] == "error" and rows[-1]["ship"] is None
    (tmp_path / "empty").mkdir()
    code, rows = verify(capsys, [str(tmp_path / "empty")])
    assert code == 1 and rows[-1]["row"] == "error" and rows[-1]["ship"] is None
    code, rows = verify(capsys, [str(artifact), "--size-budget", "1B"])
    assert code == 1 and rows[-1]["row"] == "verdict" and rows[-1]["ship"] is False


def test_records_of_another_artifact_are_refused(
    artifact: Path, measured: Record, tmp_path: Path, capsys: Capture
) -> None:
    """The file's hash decides."""
    other = measured.measured.model_copy(update={"file_sha256": "0" * 64})
    records = written(tmp_path, measured.model_copy(update={"measured": other}))
    capsys.readouterr()
    assert main(["verify", str(artifact), "--records", records, "--latency-budget", "1s"]) == 2
    assert "holds no measurement of" in capsys.readouterr().err


def with_verdict(artifact: Path, folder: Path, section: dict[str, object]) -> str:
    """A copy of an artifact whose recipe has a [verdict] section."""
    shutil.copytree(artifact, folder)
    manifest = json.loads((folder / MANIFEST_NAME).read_text())
    manifest["provenance"]["recipe"]["verdict"] = section
    manifest["provenance"]["parent_path"] = None
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest))
    return str(folder)


def test_the_recipes_thresholds_hold_and_the_command_line_wins(artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    """A size budget of a byte in the recipe, then a larger one here."""
    copy = with_verdict(artifact, tmp_path / "int8", {"size_budget": "1B"})
    code, rows = verify(capsys, [copy])
    thresholds = rows[-1]["thresholds"]
    assert code == 1 and isinstance(thresholds, dict)
    assert thresholds["size_budget_bytes"] == {"value": 1, "origin": "recipe"}
    assert verify(capsys, [copy, "--size-budget", "1GB"])[0] == 0


def test_a_recipe_section_that_does_not_hold_is_named(artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    copy = with_verdict(artifact, tmp_path / "int8", {"latency_budget": "30"})
    capsys.readouterr()
    assert main(["verify", copy]) == 2
    assert "[verdict] latency_budget: '30' has no unit" in capsys.readouterr().err


def test_a_recipes_section_survives_on_its_way_to_the_manifest(road: Path) -> None:
    """Read from TOML, carried as plain data, read again."""
    overrides = ["verdict.latency_budget=30ms", "verdict.accuracy_floor=0.98"]
    recipe = read_recipe(road / "tiny.toml", overrides=overrides)
    carried = recipe_thresholds(recipe.model_dump(mode="json"), "artifact")
    assert carried == recipe.verdict == Thresholds(latency_budget="30ms", accuracy_floor=0.98)
    with pytest.raises(RecipeError, match=r"\[verdict\] unknown key 'acuracy_floor'; did you mean 'accuracy_floor'"):
        read_recipe(road / "tiny.toml", overrides=["verdict.acuracy_floor=0.9"])


def test_the_page_is_written_whole_with_every_finding(artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    """Beside the JSON lines, which say the same."""
    path = tmp_path / "verdict.html"
    code, rows = verify(capsys, [str(artifact), "--size-budget", "1B", "--html", str(path), "--rank"])
    page = path.read_text()
    assert code == 1 and page.startswith("<!DOCTYPE html>") and page.rstrip().endswith("</html>")
    details = [html.escape(str(row["detail"]), quote=True).replace("&#x27;", "&#39;") for row in rows if "check" in row]
    assert len(details) >= 4 and all(detail in page for detail in details)
    layers = [row for row in rows if row["row"] == "layer"]
    assert layers and all(str(row["layer"]) in page for row in layers)
    assert all(file.sha256 in page for file in open_artifact(artifact).manifest.files)


def test_a_page_that_cannot_be_written_is_one_line(artifact: Path, tmp_path: Path, capsys: Capture) -> None:
    capsys.readouterr()
    assert main(["verify", str(artifact), *QUICK, "--html", str(tmp_path / "no" / "such" / "folder.html")]) == 2
    assert capsys.readouterr().err.startswith("edge verify: ")
