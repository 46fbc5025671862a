"""Comparisons: wrong alarms stay below the stated level, real changes are found, what cannot be compared is said."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from device_bench.agent.readers import Readers
from device_bench.bench.bench import bench
from device_bench.compare.compare import judge, pair_records
from device_bench.records.blocks import PIECES, blocks
from device_bench.records.plan import Plan
from device_bench.records.record import Record, rederived
from device_bench.records.record_lines import append_records
from device_bench.records.record_parts import Instructions
from device_bench.statistics.order_bounds import order_bounds
from device_bench.statistics.two_samples import (
    cliffs_delta,
    compare_blocks,
    holm,
    mann_whitney,
    student_below,
    student_quantile,
)
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from tests.benchmarks import fleet

pytestmark = pytest.mark.unhurried

PLAN = Plan(rounds=10, min_runs=200, min_duration_ns=0, max_runs=200)

MANN_WHITNEY = 0.020074485544009122
STUDENT = (
    (2.0, 4.0, 0.9419417382415922),
    (-1.3, 17.5, 0.10523188448851287),
    (3.1, 9.0, 0.993638772010899),
    (0.2, 1.5, 0.567403161627116),
)


def side(chance: np.random.Generator, scale: float, rounds: int = 10, runs: int = 30) -> list[list[int]]:
    """Blocks with a level of their own (1 %), autocorrelated within (0.8), about three percent outliers."""
    found = []
    for _ in range(rounds):
        noise = chance.normal(0, 0.01, runs)
        for place in range(1, runs):
            noise[place] = 0.8 * noise[place - 1] + 0.6 * noise[place]
        late = (chance.random(runs) < 0.03) * chance.exponential(0.3, runs)
        found.append([int(value) for value in 1e6 * scale * np.exp(chance.normal(0, 0.01) + noise + late)])
    return found


@pytest.mark.parametrize("rounds", [5, 10])
def test_wrong_alarms_stay_at_the_stated_level(rounds: int) -> None:
    chance, trials, alpha = np.random.default_rng(7), 200, 0.05
    wrong = sum(
        compare_blocks(side(chance, 1, rounds), side(chance, 1, rounds), 0.5, seed).p_beyond(0) <= alpha
        for seed in range(trials)
    )
    # 200 trials at 5 %: 17 or fewer in 98 % of all times
    assert wrong <= 17


def test_with_the_smallest_effect_of_two_percent_there_are_none_and_five_percent_are_found() -> None:
    chance, trials = np.random.default_rng(8), 60
    quiet = [compare_blocks(side(chance, 1), side(chance, 1), 0.5, seed) for seed in range(trials)]
    moved = [compare_blocks(side(chance, 1), side(chance, 1.05), 0.5, seed) for seed in range(trials)]
    assert sum(entry.p_beyond(0.02) <= 0.05 for entry in quiet) == 0
    assert sum(entry.p_beyond(0.02) <= 0.05 and entry.ratio > 1 for entry in moved) >= 57
    held = sum(low <= 1.05 <= high for low, high in (entry.interval(0.05) for entry in moved))
    assert held >= 53


def test_mann_whitney_and_student_agree_with_scipy() -> None:
    # scipy 1.17.1: mannwhitneyu(a, b, method="asymptotic").pvalue; t.cdf; t.ppf
    first, second = np.array([1.0, 2, 3, 4, 4, 5, 7, 9]), np.array([4.0, 6, 8, 9, 10, 11, 12])
    assert mann_whitney(first, second) == pytest.approx(MANN_WHITNEY, rel=1e-6)
    assert mann_whitney(first, first) == 1
    for value, freedom, expected in STUDENT:
        assert student_below(value, freedom) == pytest.approx(expected, rel=1e-6)
    assert student_quantile(0.975, 18) == pytest.approx(2.10092204024096, rel=1e-6)


def test_cliffs_delta_counts_pairs() -> None:
    assert cliffs_delta(np.array([1.0, 2.0]), np.array([2.0, 3.0])) == pytest.approx(3 / 4)
    assert cliffs_delta(np.array([5.0]), np.array([1.0])) == -1


def test_holm_multiplies_the_smallest_most_and_keeps_the_order() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_order_bounds_are_those_of_the_binomial() -> None:
    assert order_bounds(5, 0.5) is None and order_bounds(6, 0.5) == (1, 6)
    assert order_bounds(100, 0.5) == (40, 61)
    assert order_bounds(100, 0.99) is None
    for count, share in ((37, 0.5), (400, 0.9)):
        low, high = order_bounds(count, share) or (0, 0)
        held = sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(low, high))
        assert 0.95 <= held < 0.99


def test_blocks_are_found_again_from_the_plan() -> None:
    plan = Plan(rounds=5, min_runs=10, min_duration_ns=500, max_runs=100)
    taken = [[60, 60], [10, 20, 30, 50], [99, 1], [100, 100], [50, 50]]
    assert blocks([sample for block in taken for sample in block], plan) == taken


def test_samples_that_do_not_follow_the_plan_are_cut_into_equal_pieces() -> None:
    pieces = blocks(list(range(1, 96)), Plan(rounds=1, min_runs=1, min_duration_ns=0))
    assert len(pieces) == PIECES and [value for piece in pieces for value in piece] == list(range(1, 96))


@pytest.fixture
def record(make_artifact: Callable[..., Path], quick: Plan, readers: Readers) -> Record:
    target = InProcess(readers=readers)
    return bench([open_artifact(make_artifact("int8"))], ["null"], quick, target, command="edge bench int8")[0]


def with_samples(record: Record, blocks_ns: list[list[int]], **changes: object) -> Record:
    runs = sum(map(len, blocks_ns))
    plan = Plan(rounds=len(blocks_ns), min_runs=runs, max_runs=runs, min_duration_ns=0)
    machine = record.machine.model_copy(update={"virtual_machine": None, "container": None, **changes})
    samples_ns = tuple(value for block in blocks_ns for value in block)
    fields = {"samples_ns": samples_ns, "plan": plan, "machine": machine, "throughput_per_s": None}
    return rederived(record.model_copy(update=fields))


def written(path: Path, *records: Record) -> str:
    append_records(path, records)
    return str(path)


def test_a_slower_change_leaves_with_code_1_and_the_same_with_0(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(3)
    base = written(tmp_path / "base.jsonl", with_samples(record, side(chance, 1)))
    same = written(tmp_path / "same.jsonl", with_samples(record, side(chance, 1)))
    slow = written(tmp_path / "slow.jsonl", with_samples(record, side(chance, 1.1)))
    allow = ["--allow-tainted"]
    assert main(["compare", base, same, *allow]) == 0
    assert "no difference shown" in capsys.readouterr().out
    assert main(["compare", base, slow, *allow]) == 1
    assert "slower" in capsys.readouterr().out
    assert main(["compare", slow, base, *allow, "--json"]) == 0
    pair, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert pair["verdict"] == "faster" and pair["cliffs_delta"] < -0.9 and pair["mann_whitney_p"] < 0.01
    assert pair["interval"][0] < 1 / 1.1 < pair["interval"][1]
    assert summary["correction"] == "Holm" and summary["regression"] is False


def test_too_few_samples_are_no_verdict(record: Record) -> None:
    short = with_samples(record, [[100, 101], [102, 103]])
    pairs, alone = pair_records([short], [short])
    assert alone == []
    assert judge(pairs, "p50", 0.02, 0.05)[0].verdict == "too few samples"
    chance = np.random.default_rng(4)
    some = with_samples(record, side(chance, 1))
    pairs, _ = pair_records([some], [some])
    assert judge(pairs, "p99", 0.02, 0.05)[0].verdict == "too few samples"


def test_tainted_records_are_refused_unless_allowed(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = np.random.default_rng(5)
    path = written(tmp_path / "virtual.jsonl", with_samples(record, side(chance, 1), virtual_machine="hypervisor"))
    assert main(["compare", path, path]) == 2
    error = capsys.readouterr().err
    assert "tainted" in error and "virtual" in error and "--allow-tainted" in error
    assert main(["compare", path, path, "--allow-tainted"]) == 0
    captured = capsys.readouterr()
    assert "~" in captured.out and "~ virtual; to do: measure on hardware of your own" in captured.err


def test_emulated_records_are_compared_by_instructions(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def counted(count: int) -> Record:
        instructions = Instructions(per_inference=count, cpu="cortex-a76", runs=(count,))
        changed = with_samples(record, [[1] * 10] * 5, emulation="qemu-user")
        return rederived(changed.model_copy(update={"instructions": instructions}))

    base = written(tmp_path / "base.jsonl", counted(1_000_000))
    more = written(tmp_path / "more.jsonl", counted(1_030_000))
    assert main(["compare", base, base]) == 0
    assert main(["compare", base, more]) == 1
    shown = capsys.readouterr().out
    assert "1.030 M instr." in shown and "+3.0%" in shown and " ms" not in shown
    assert main(["compare", base, more, "--min-effect", "5%"]) == 0


def test_what_stands_on_one_side_only_is_said(record: Record) -> None:
    other = record.model_copy(update={"measured": record.measured.model_copy(update={"name": "other"})})
    pairs, alone = pair_records([record, other], [record])
    assert len(pairs) == 1 and len(alone) == 1
    assert alone[0].startswith("only in BASE: other/")


def test_what_is_asked_wrongly_leaves_with_code_2(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = written(tmp_path / "base.jsonl", record)
    other = record.model_copy(update={"measured": record.measured.model_copy(update={"name": "other"})})
    second = written(tmp_path / "other.jsonl", other)
    (tmp_path / "damaged.jsonl").write_text("{}\n")
    for arguments, words in (
        ([base, second], "no record of the same subject"),
        ([base, str(tmp_path / "absent.jsonl")], "no such file"),
        ([base, base, "--min-effect", "much"], "--min-effect much"),
    ):
        assert main(["compare", *arguments]) == 2
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_compare_and_bench_leave_with_code_1_where_a_file_is_damaged(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, damaged = written(tmp_path / "base.jsonl", record), str(tmp_path / "damaged.jsonl")
    Path(damaged).write_text("{}\n")
    for arguments in (
        ["compare", base, damaged],
        ["bench", base, "-o", damaged],
    ):
        assert main(arguments) == 1
        assert "damaged.jsonl: line 1 is not a record" in capsys.readouterr().err


def test_many_records_of_a_subject_are_drawn_as_wholes() -> None:
    chance = np.random.default_rng(6)
    records = [fleet.record(0, chance) for _ in range(40)]
    clean = [entry for entry in records if entry.machine.board == "Raspberry Pi 5 Model B Rev 1.0" and not entry.taints]
    assert len(clean) >= 12
    pairs, _ = pair_records(clean[::2], clean[1::2])
    judged = judge(pairs, "p50", 0.02, 0.05)[0]
    assert judged.blocks == (len(clean[::2]), len(clean[1::2])) and judged.verdict == "no difference shown"
