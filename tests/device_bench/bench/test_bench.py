"""Benching artifacts with the null engine: records are complete, self-contained and survive a file."""

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from device_bench.agent.readers import Readers
from device_bench.bench.bench import bench
from device_bench.bench.remarks import remarks
from device_bench.records.plan import Plan
from device_bench.records.record import Record, parse_line, parse_records, record_line, record_schema, rederived
from device_bench.records.record_lines import append_records, read_records
from device_bench.report.table import float_counterpart, kernels_used, latency_table, milliseconds, state_text
from device_bench.targets.in_process import InProcess
from edge.artifact.manifest import open_artifact
from edge.cli.main import main
from edge.engines.engine import EngineInfo, Session
from edge.engines.null import NullSession
from edge.errors import EngineError, FileError, printable
from edge.port import Port
from edge.terminal import show_wide

pytestmark = pytest.mark.unhurried  # every test measures

MakeArtifact = Callable[..., Path]
SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "record.schema.json"
QUICK = Plan(rounds=2, warmup_runs=1, warmup_duration_ns=0, min_runs=4, min_duration_ns=0)
QUICK_OPTIONS = ["--rounds", "2", "--min-runs", "4", "--min-seconds", "0", "--warmup-seconds", "0"]


@pytest.fixture
def two_records(make_artifact: MakeArtifact, readers: Readers) -> list[Record]:
    wide = {"dtype": "float32", "scale": None, "zero_point": None}
    real = {"outputs": (np.zeros((2, 3), np.float32),), "output": {"scale": None, "zero_point": None}}
    parent = make_artifact("float", precision="float32", input=wide, **real)
    folders = [parent, make_artifact("int8")]
    opened = [open_artifact(folder) for folder in folders]
    return bench(opened, ["null"], QUICK, InProcess(readers=readers), command="edge bench float int8")


def test_a_record_stands_alone(two_records: list[Record]) -> None:
    first, second = two_records
    assert (first.measured.name, second.measured.name) == ("float", "int8")
    assert (first.position, second.position) == ((0, 2), (1, 2))
    assert (first.engine.engine, first.engine.kernels) == ("null", "none")
    assert first.latency_ns is not None
    assert len(first.samples_ns) == first.latency_ns.runs == 4
    assert (first.measured.multiply_adds, first.measured.parameters) == (1000, 10)
    assert first.before.time_utc <= first.after.time_utc
    assert {"python", "numpy"} <= set(first.versions)


def test_records_survive_a_file_and_are_added_to_it(two_records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_records(path, two_records[:1])
    append_records(path, two_records[1:])
    assert read_records(path) == two_records
    assert len(path.read_text().splitlines()) == 2


def test_those_who_add_to_one_file_at_once_lose_nothing(two_records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(append_records, path, two_records[:1]) for _ in range(24)]:
            done.result()
    assert read_records(path) == two_records[:1] * 24


@pytest.mark.parametrize(("name", "code"), [("no/records.jsonl", 2), ("/sys/records.jsonl", 1), ("notes.txt", 1)])
def test_where_no_record_could_be_kept_is_said_before_anything_is_measured(
    name: str, code: int, make_artifact: MakeArtifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody waits for the ten minutes that are asked for here."""
    (tmp_path / "notes.txt").write_text("mine\n")
    out = str(tmp_path / name)
    lasting = ["--engine", "null", "--min-seconds", "600", "--max-runs", "1000000000"]
    assert main(["bench", str(make_artifact()), *lasting, "-o", out]) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(f"edge bench: {out}: ") and captured.err.count("\n") == 1


def test_a_file_of_something_else_is_refused_and_kept(two_records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text('{"schema_version": 3}\n')
    with pytest.raises(FileError, match=r"notes\.txt: line 1 is not a record"):
        append_records(path, two_records)
    assert path.read_text() == '{"schema_version": 3}\n'


def test_a_record_of_an_earlier_schema_is_refused_in_one_clear_line(two_records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "old.jsonl"
    path.write_text(json.dumps(json.loads(record_line(two_records[0])) | {"schema_version": 1}) + "\n")
    with pytest.raises(FileError, match="is a record of schema 1, this version reads 2: measure again"):
        read_records(path)


def emulated(record: Record) -> Record:
    machine = record.machine.model_copy(update={"emulation": "qemu-user"})
    return rederived(record.model_copy(update={"machine": machine}))


def test_emulated_time_is_never_a_latency(two_records: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    record = emulated(two_records[0])
    assert record.latency_ns is None and record.samples_ns and "emulated" in {taint.kind for taint in record.taints}
    assert Record.model_validate_json(record_line(record)) == record
    fields = json.loads(record_line(record)) | {"latency_ns": json.loads(record_line(two_records[0]))["latency_ns"]}
    with pytest.raises(ValidationError, match="does not follow"):
        Record.model_validate_json(json.dumps(fields))
    show_wide(latency_table([record]))
    text = capsys.readouterr().out
    assert "emulated" in text


def test_taints_cannot_be_taken_off_a_record(two_records: list[Record]) -> None:
    fields = json.loads(record_line(emulated(two_records[0]))) | {"taints": []}
    with pytest.raises(ValidationError, match="taints do not follow"):
        Record.model_validate_json(json.dumps(fields))


def test_a_tainted_figure_is_marked_in_the_table(two_records: list[Record], capsys: pytest.CaptureFixture[str]) -> None:
    tainted = rederived(
        two_records[0].model_copy(
            update={"machine": two_records[0].machine.model_copy(update={"virtual_machine": "hypervisor"})}
        )
    )
    show_wide(latency_table([tainted]))
    text = capsys.readouterr().out
    assert "~" in text and "virtual" in text


def quiet(record: Record) -> Record:
    """As on a machine that says nothing against it."""
    machine = record.machine.model_copy(update={"virtual_machine": None, "container": None, "cores": 64})
    silent = {"busy_ticks": None, "steal_ticks": None, "load_average_1m": 0.0, "group_throttled_count": None}
    silent |= {"governors": (), "frequencies_khz": (), "swapped_in_pages": None, "swapped_out_pages": None}
    states = tuple(state.model_copy(update=silent) for state in record.states)
    warmup = record.warmup.model_copy(update={"stable": True})
    return rederived(record.model_copy(update={"machine": machine, "states": states, "warmup": warmup}))


def test_a_reader_sees_which_rows_are_clean_and_what_to_do_about_the_others(two_records: list[Record]) -> None:
    clean, warming = (quiet(record) for record in two_records)
    unsettled = {"warmup": clean.warmup.model_copy(update={"stable": False})}
    tainted = rederived(warming.model_copy(update=unsettled))
    virtual = clean.machine.model_copy(update={"virtual_machine": "hypervisor", "container": "docker"})
    both = rederived(clean.model_copy(update=unsettled | {"machine": virtual}))
    table = latency_table([clean, tainted, both])
    assert list(table.columns[-1].cells) == ["clean", "warm-up", "virtual warm-up"]
    first, *rest = remarks([clean, tainted, both])
    assert first == "~ marks figures that are not clean, in 2 of 3 rows:"
    assert [line.split(": ")[0] for line in rest] == ["~ virtual", "  to do", "~ warm-up", "  to do", "note"]
    assert rest[-1] == "note: a container (docker)"
    assert remarks([clean]) == []


def test_remarks_of_several_targets_name_each(two_records: list[Record]) -> None:
    far = two_records[0].target.model_copy(update={"name": "ssh://pi@board:22"})
    near, other = (emulated(record) for record in (two_records[0], two_records[0].model_copy(update={"target": far})))
    lines = remarks([near, other])
    told = [line for line in lines if line.startswith("~ emulated: ")]
    assert [line.split(": ")[1] for line in told] == ["local", "ssh://pi@board:22"]
    assert sum(line.startswith("  to do: measure on the device itself") for line in lines) == 1


def test_a_record_whose_percentiles_do_not_follow_from_its_samples_is_refused(two_records: list[Record]) -> None:
    fields = json.loads(record_line(two_records[0]))
    fields["samples_ns"][0] += 10**9
    with pytest.raises(ValidationError, match="does not follow"):
        Record.model_validate_json(json.dumps(fields))


def test_int8_is_compared_with_the_float_artifact_of_the_same_network(two_records: list[Record]) -> None:
    used = two_records[0].engine.model_copy(update={"engine": "litert"})
    parent, record = (entry.model_copy(update={"engine": used}) for entry in two_records)
    two_records = [parent, record]
    assert float_counterpart(record, two_records) is parent
    assert float_counterpart(parent, two_records) is None
    assert float_counterpart(record, [parent, parent, record]) is None


def test_the_table_says_how_many_operators_the_delegate_took(two_records: list[Record]) -> None:
    used = two_records[0].engine.model_copy(update={"kernels": "xnnpack", "operators": 65, "delegated_operators": 64})
    assert kernels_used(two_records[0].model_copy(update={"engine": used})) == "xnnpack 64/65"


def test_a_narrow_terminal_cuts_no_figure(
    two_records: list[Record], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    show_wide(latency_table(two_records))
    text = capsys.readouterr().out
    header, *rows = text.splitlines()
    assert len(rows) == 2
    assert "MMAdds" in header and "…" not in text
    assert all(
        row.split("0.0 ")[-1].split() == state_text(record).split()
        for row, record in zip(rows, two_records, strict=True)
    )


@pytest.mark.parametrize(
    ("ns", "text"), [(12_340, "0.01234"), (234_500, "0.234"), (2_310_000, "2.31"), (130_710_000, "130.7")]
)
def test_milliseconds_keep_three_digits(ns: int, text: str) -> None:
    assert milliseconds(ns) == text


def test_a_failed_self_test_stops_the_bench(make_artifact: MakeArtifact) -> None:
    class Other(NullSession):
        @property
        def info(self) -> EngineInfo:
            return replace(super().info, engine="litert")

    ports = (Port(name="o", shape=(1, 3), dtype="int8", scale=1 / 256, zero_point=-128),)

    def wrong(engine: str, path: Path, *, threads: int, kernels: str | None) -> Session:
        given = (Port(name="i", shape=(1, 8, 8, 3), dtype="int8", scale=1 / 255, zero_point=-128),)
        return Other(inputs=given, outputs=ports, values=[np.full((1, 3), 5, np.int8)])

    artifact = open_artifact(make_artifact())
    with pytest.raises(EngineError, match=r"self-test of model\.tflite: differs by 5, 0 is allowed"):
        bench([artifact], ["litert"], QUICK, InProcess(opener=wrong), command="")
    unproved = QUICK.model_copy(update={"selftest": False})
    (record,) = bench([artifact], ["litert"], unproved, InProcess(opener=wrong), command="")
    assert record.selftest is None and "untested" in {taint.kind for taint in record.taints}


def test_json_lines_are_records_and_the_only_output(
    make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "records.jsonl"
    arguments = ["bench", str(make_artifact()), "--engine", "null", "--json", "-o", str(out), *QUICK_OPTIONS]
    assert main(arguments) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert Record.model_validate_json(line) == read_records(out)[0]


def test_wrong_requests_are_one_line(make_artifact: MakeArtifact, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make_artifact())
    assert main(["bench", folder, "--engine", "litret"]) == 2
    assert "did you mean 'litert'" in capsys.readouterr().err
    assert main(["bench", folder, "--engine", "onnxruntime"]) == 1
    assert "no onnx file for onnxruntime; it holds model.tflite" in capsys.readouterr().err
    assert main(["bench", folder, "--max-runs", "3"]) == 2
    assert main(["bench", folder + "-absent"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_published_schema_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text()) == record_schema()


def integers(schema: object, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every integer of a JSON Schema, by its place."""
    if isinstance(schema, Mapping):
        if schema.get("type") == "integer":
            yield path, schema
        for name, entry in schema.items():
            yield from integers(entry, f"{path}/{name}")
    elif isinstance(schema, list):
        for place, entry in enumerate(schema):
            yield from integers(entry, f"{path}/{place}")


def test_no_integer_of_a_record_exceeds_what_64_bits_hold() -> None:
    found = dict(integers(record_schema()))
    assert len(found) > 80
    unbounded = [name for name, entry in found.items() if "const" not in entry and entry.get("maximum", 2**63) >= 2**63]
    assert unbounded == []


def numbers(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The places of all numbers in a JSON document; of a list of numbers the first."""
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from numbers(entry, (*path, name))
    elif isinstance(value, list):
        for place, entry in enumerate(value[:1]):
            yield from numbers(entry, (*path, place))
    elif type(value) in (int, float):
        yield path


@pytest.mark.parametrize("huge", ["1" + "0" * 30, "1" + "0" * 400, "9" * 5000, "NaN", "-Infinity"])
def test_a_record_with_a_huge_number_is_no_record(two_records: list[Record], huge: str) -> None:
    document = json.loads(record_line(two_records[0]))
    places = list(numbers(document))
    assert len(places) > 40
    for place in places:
        changed = json.loads(json.dumps(document))
        within = changed
        for part in place[:-1]:
            within = within[part]
        real = type(within[place[-1]]) is float
        within[place[-1]] = "HERE"
        line = json.dumps(changed).replace('"HERE"', huge)
        if real and huge == "1" + "0" * 30:
            continue  # a real number may be large
        with pytest.raises(FileError, match="line 7 is not a record"):
            parse_line(line, 7, "r.jsonl")


@pytest.mark.parametrize("line", ["[" * 200_000, '{"schema_version":' * 50_000, "\\ud800", '{"run_id": "\\ud800"}'])
def test_a_line_that_no_reader_digests_is_no_record(line: str) -> None:
    with pytest.raises(FileError, match="line 1 is not a record"):
        parse_line(line, 1, "r.jsonl")


@pytest.mark.parametrize("name", ["[/nope] x", "run[bold]1", ":smile: \x1b[31m", "a\u2028b\u202e"])
def test_the_table_shows_any_name_as_plain_text(
    two_records: list[Record], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = two_records[0].measured.model_copy(update={"name": name})
    show_wide(latency_table([two_records[0].model_copy(update={"measured": measured})]))
    (_, row) = capsys.readouterr().out.splitlines()
    assert row.startswith(printable(name))


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x0c", "\x1c"])
def test_a_name_may_hold_what_other_systems_end_lines_with(
    two_records: list[Record], tmp_path: Path, separator: str
) -> None:
    measured = two_records[0].measured.model_copy(update={"name": f"a{separator}b"})
    named = two_records[0].model_copy(update={"measured": measured})
    path = tmp_path / "r.jsonl"
    append_records(path, [named])
    append_records(path, [two_records[1]])
    assert read_records(path) == [named, two_records[1]]
    assert parse_records(path.read_text(encoding="utf-8"), path) == [named, two_records[1]]


class Full(io.StringIO):
    """A standard output that cannot be written."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_records_are_kept_where_they_cannot_be_printed(
    make_artifact: MakeArtifact,
    tmp_path: Path,
    options: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "records.jsonl"
    artifact = str(make_artifact())
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", Full())
        assert main(["bench", artifact, "--engine", "null", *QUICK_OPTIONS, *options, "-o", str(out)]) == 1
    assert len(read_records(out)) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("edge bench: ")]
    assert lines == ["edge bench: standard output: cannot be written: No space left on device"]


def test_a_name_that_is_no_text_stands_escaped_in_the_record(
    tmp_path: Path, quick: Plan, opener: Any, readers: Readers
) -> None:
    class Named(InProcess):
        name = os.fsdecode(b"local:/py\xff")

    path, out = tmp_path / os.fsdecode(b"m\xff.tflite"), tmp_path / os.fsdecode(b"r\xff.jsonl")
    path.write_bytes(b"any")
    append_records(out, bench([path], ["litert"], quick, Named(opener=opener, readers=readers), command="edge bench"))
    (record,) = read_records(out)
    assert (record.measured.name, record.measured.file) == ("m\\udcff", "m\\udcff.tflite")
    assert record.target.name == "local:/py\\udcff"
