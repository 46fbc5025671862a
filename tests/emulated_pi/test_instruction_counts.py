"""Instructions per inference on the emulated processor: the same every time, and held to the committed baseline.

The baseline is written by

    python tests/emulated_pi/small_models.py runs/small
    for cpu in cortex-a72 cortex-a76; do
        edge bench runs/small/small_mobilenet_v2 runs/small/small_fast_scnn --on emulated-arm64 --cpu $cpu \
            --engine litert --engine onnxruntime --engine tflite-runtime \
            --baseline tests/emulated_pi/baseline.json --write-baseline
    done
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from device_bench.bench.instruction_baseline import TOLERANCE, read_baseline
from device_bench.records.record import Record, parse_records
from edge.cli.main import main
from tests.emulated_pi.small_models import SMALL, small_model

BASELINE = Path(__file__).parent / "baseline.json"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """The folder of a small artifact, built when it is first asked for; with `changes`, one of another shape."""
    root = tmp_path_factory.mktemp("small")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def folder(name: str, **changes: object) -> Path:
        place = root / ("worse" if changes else "own")
        place.mkdir(exist_ok=True)
        return place / name if (place / name).exists() else small_model(name, place, **changes).folder

    yield folder
    torch.set_num_threads(threads)


def count(emulated_pi: str, *arguments: object) -> int:
    """`edge bench` on the emulated processor; its exit code."""
    return main(["bench", *map(str, arguments), "--on", f"emulated-arm64:{Path(emulated_pi).parent}"])


def counts(path: Path) -> list[Record]:
    """The records of a file."""
    return parse_records(path.read_text(), path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("engine", "cpu"), [("litert", "cortex-a76"), ("onnxruntime", "cortex-a76"), ("tflite-runtime", "cortex-a72")]
)
def test_no_count_is_above_the_baseline(
    small: Callable[..., Path],
    emulated_pi: str,
    engine: str,
    cpu: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "records.jsonl"
    folders = [small(name) for name in SMALL]
    code = count(emulated_pi, *folders, "--engine", engine, "--cpu", cpu, "--baseline", BASELINE, "--check", "-o", out)
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "emulated" in told.out
    for record in counts(out):
        assert record.instructions is not None and record.instructions.cpu == cpu
        assert record.latency_ns is None and record.target.name == f"emulated-arm64:{cpu}"
        assert "emulated" in {taint.kind for taint in record.taints}
        assert record.instructions.spread < 0.005  # of the small network, mostly Python's own first runs


def test_a_worse_artifact_fails_the_check_by_name_and_both_counts(
    small: Callable[..., Path], emulated_pi: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same network, a little wider, under the same name."""
    worse = small("small_mobilenet_v2", width=0.5)
    code = count(emulated_pi, worse, "--engine", "litert", "--cpu", "cortex-a76", "--baseline", BASELINE, "--check")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "regression" in line]
    (base,) = [
        entry.instructions
        for entry in read_baseline(BASELINE).counts
        if entry.key == ("small_mobilenet_v2", "model.tflite", "litert:xnnpack", "cortex-a76")
    ]
    assert code == 1 and "small_mobilenet_v2" in line and "litert" in line and f"{base:,}" in line


def test_the_same_bytes_count_the_same_and_a_small_surplus_is_a_regression(
    small: Callable[..., Path], emulated_pi: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, baseline = tmp_path / "records.jsonl", tmp_path / "baseline.json"
    given = [
        small("small_mobilenet_v2"),
        "--engine",
        "litert",
        "--cpu",
        "cortex-a72",
        "-o",
        out,
        "--baseline",
        baseline,
    ]
    assert count(emulated_pi, *given, "--write-baseline") == 0
    assert count(emulated_pi, *given, "--check") == 0
    first, second = (record.instructions.per_inference for record in counts(out) if record.instructions)
    assert abs(first - second) <= 1e-4 * first
    held = json.loads(baseline.read_text())
    held["counts"][0]["instructions"] = int(first / (1 + 1.2 * TOLERANCE))
    baseline.write_text(json.dumps(held))
    assert count(emulated_pi, *given, "--check") == 1
    assert "regression: small_mobilenet_v2" in capsys.readouterr().err


def test_a_count_does_not_hang_on_what_was_counted_before(
    small: Callable[..., Path], emulated_pi: str, tmp_path: Path
) -> None:
    """Each is counted in a fork of a process that counted none."""
    folders = [small(name) for name in SMALL]
    told = []
    for place, order in enumerate((folders, folders[::-1])):
        out = tmp_path / f"{place}.jsonl"
        assert count(emulated_pi, *order, "--engine", "litert", "--cpu", "cortex-a76", "-o", out) == 0
        told.append({record.measured.name: record.instructions for record in counts(out)})
    assert len(told[0]) == 2
    for name, found in told[0].items():
        again = told[1][name]
        assert found is not None and again is not None
        assert found.per_inference == pytest.approx(again.per_inference, rel=1e-4)


def test_what_fits_a_budget_of_instructions_is_counted_the_same_by_bench(
    emulated_pi: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Listed is what holds the budget by the margin of two counts, 0.1 %; of two, the budget lies between them."""
    there = ["--on", f"emulated-arm64:{Path(emulated_pi).parent}", "--cpu", "cortex-a76"]
    grid = ["mobilenet_v1", "--width", "0.25", "--classes", "3", "--sizes", "32,64"]
    main(["models", "--fit", *grid, *there, "--instruction-budget", "700k", "-o", str(tmp_path), "--json"])
    entries = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["outcome"] for entry in entries] == ["fits", "too slow"]
    out = tmp_path / "again.jsonl"
    assert count(emulated_pi, *(entry["artifact"] for entry in entries), "--cpu", "cortex-a76", "-o", out) == 0
    again = {record.measured.name: record.instructions for record in counts(out)}
    for entry in entries:
        counted = again[entry["name"]]
        assert counted is not None
        assert counted.per_inference == pytest.approx(entry["instructions"], rel=1e-4)
        assert (counted.per_inference <= 700_000) == (entry["outcome"] == "fits")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--threads", "2"], "one thread"),
        (["--cpu", "cortex-a67"], "cortex-a76"),
        (["--on", "local"], "call edge bench for each"),
        (["--check"], "--baseline FILE"),
        (["--rounds", "3"], "nothing drifts"),
    ],
)
def test_what_no_count_can_hold_is_refused_in_one_line(
    small: Callable[..., Path],
    emulated_pi: str,
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert count(emulated_pi, small("small_mobilenet_v2"), "--engine", "litert", *arguments) == 2
    error = capsys.readouterr().err.strip()
    assert told in error and "\n" not in error
