"""Devices that answer garbage: each is one line that names it, and costs the others nothing."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from device_bench.agent.machine_facts import machine_facts
from device_bench.agent.machine_state_facts import state_facts
from device_bench.targets.adb_client import AdbClient, choose_device
from device_bench.targets.agent_process import AgentProcess
from device_bench.targets.android_facts import android_machine, android_state
from device_bench.targets.benchmark_model import parse
from device_bench.targets.bounded_run import MOST_BYTES, run_bounded
from device_bench.targets.replies import probed
from device_bench.targets.ssh import SshTarget
from device_bench.targets.ssh_client import parse_address
from edge.cli.main import main
from edge.engines.framing import MAGIC, PREFIX
from edge.errors import EngineError

MakeArtifact = Callable[..., Path]
QUICK = ["--rounds", "1", "--min-runs", "2", "--min-seconds", "0", "--warmup-seconds", "0"]


def message(header: bytes, payload: bytes = b"") -> bytes:
    """A framed message of any bytes, its hash right."""
    digest = hashlib.sha256(header + payload).digest()
    return PREFIX.pack(MAGIC, len(header), len(payload), digest) + header + payload


REPLY = b'{"answer": true}'
HONEST: dict[str, Any] = {
    "python": "3.11.2",
    "numpy": "2.0.0",
    "engines": ["null"],
    "machine": machine_facts(),
    "state": state_facts(),
    "versions": {},
}


def probe_with(**fields: Any) -> bytes:
    return message(REPLY, json.dumps({**HONEST, **fields}).encode())


GARBAGE = {
    "no JSON": message(REPLY, b"{"),
    "nested payload": message(REPLY, b"[" * 200_000),
    "nested object": message(REPLY, b'{"a":' * 200_000),
    "deep but closed": message(REPLY, b'{"engines":' + b"[" * 900 + b"]" * 900 + b"}"),
    "nested header": message(b"[" * 200_000),
    "huge integer": message(REPLY, b'{"engines": ' + b"9" * 5000 + b"}"),
    "integer of 65 bits": probe_with(machine={**HONEST["machine"], "cores": 2**64}),
    "integer of 400 digits": probe_with(machine={**HONEST["machine"], "memory_bytes": 10**400}),
    "no UTF-8": message(REPLY, b'{"engines": "\xff\xfe"}'),
    "header no UTF-8": message(b'{"answer": "\xff"}'),
    "an array": message(REPLY, b"[1, 2]"),
    "engines a number": probe_with(engines=5),
    "engines null": probe_with(engines=None),
    "engines numbers": probe_with(engines=[1, 2]),
    "engines objects": probe_with(engines=[{"a": 1}]),
    "many engines": probe_with(engines=["x"] * 10_000),
    "a machine of text": probe_with(machine="pi"),
    "no state": message(REPLY, json.dumps({k: v for k, v in HONEST.items() if k != "state"}).encode()),
    "NaN": probe_with(state={**HONEST["state"], "load_average_1m": float("nan")}),
    "escape codes": probe_with(python="\x1b]0;pwn\x07"),
    "a lone surrogate": message(REPLY, b'{"python": "\\ud800"}'),
    "progress of 400 digits": message(b'{"progress": [' + b"9" * 400 + b", 1]}"),
    "progress of text": message(b'{"progress": "half"}'),
    "an error that is a list": message(b'{"error": [[[["x"]]], "\\u001b[31m"]}'),
    "a payload of a terabyte": PREFIX.pack(MAGIC, 2, 1 << 40, bytes(32)) + b"{}",
    "a payload of 300 MB": PREFIX.pack(MAGIC, 2, 300 << 20, bytes(32)) + b"{}",
    "another hash": PREFIX.pack(MAGIC, 2, 0, bytes(32)) + b"{}",
    "no message": b"hello, this is no message of the agent's at all, is it? no",
}
SSH = """#!{python}
import os, sys
sys.stdout.buffer.write(b"edge-agent have\\n")
sys.stdout.buffer.flush()
answer = open({reply!r}, "rb").read()
while os.read(0, 1 << 16):
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
"""
Fake = Callable[[str, str], Path]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Put a program first on PATH."""

    def put(name: str, script: str) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        return folder / name

    return put


@pytest.fixture
def fake_ssh(fake: Fake, tmp_path: Path) -> Callable[[bytes], None]:
    """An `ssh` that greets as the agent does and gives one answer to everything."""

    def put(reply: bytes) -> None:
        (tmp_path / "answer").write_bytes(reply)
        fake("ssh", SSH.format(python=sys.executable, reply=str(tmp_path / "answer")))

    return put


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_over_ssh_is_one_line(kind: str, fake_ssh: Callable[[bytes], None]) -> None:
    fake_ssh(GARBAGE[kind])
    target = SshTarget(parse_address("ssh://x@h"), reconnect_seconds=0)
    started = time.monotonic()
    try:
        with pytest.raises(EngineError) as caught:
            probed(target)
    finally:
        target.close()
    told = str(caught.value)
    assert told.startswith("ssh://x@h: ") and told.isprintable() and len(told) < 2100
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("kind", ["no JSON", "nested header", "engines a number", "huge integer", "no UTF-8"])
def test_one_device_of_garbage_costs_the_others_nothing(
    kind: str,
    fake_ssh: Callable[[bytes], None],
    make_artifact: MakeArtifact,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake_ssh(GARBAGE[kind])
    out = tmp_path / "records.jsonl"
    words = ["bench", str(make_artifact()), "--engine", "null", "--on", "local", "--on", "ssh://x@h", *QUICK]
    assert main([*words, "-o", str(out)]) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 2
    assert len([line for line in told.err.splitlines() if "ssh://x@h" in line]) == 1
    assert len(out.read_text().splitlines()) == 1


def test_probe_goes_on_after_garbage(fake_ssh: Callable[[bytes], None], capsys: pytest.CaptureFixture[str]) -> None:
    fake_ssh(GARBAGE["engines null"])
    assert main(["probe", "--on", "ssh://x@h", "--on", "local", "--json"]) == 1
    told = capsys.readouterr()
    first, second = (json.loads(line) for line in told.out.splitlines())
    assert first["target"] == "ssh://x@h" and "engines" in first["error"]
    assert second["target"] == "local" and second["machine"]["cores"]
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdin.buffer.read(60); sys.stdout.buffer.write(bytes.fromhex({reply!r})); sys.stdout.flush()",
        "import os\nwhile True: os.write(2, b'x' * 65536)",
    ],
)
def test_a_local_process_of_garbage_is_one_line(code: str) -> None:
    command = [sys.executable, "-c", code.format(reply=GARBAGE["deep but closed"].hex())]
    with AgentProcess(command, name="x", reply_seconds=2.0) as agent, pytest.raises(EngineError) as caught:
        agent.ask({"do": "probe"})
    assert str(caught.value).startswith("x: ") and str(caught.value).isprintable()


@pytest.mark.parametrize("stream", ["1", "2"])
def test_output_without_an_end_is_ended(stream: str, fake: Fake) -> None:
    program = fake("adb", f"#!/bin/sh\nyes 0123456789012345678901234567890123456789 >&{stream}\n")
    client = AdbClient(program=str(program), serial="X")
    with pytest.raises(EngineError, match=rf"^adb:X: (it prints more than {MOST_BYTES} bytes|no answer within 2 s)"):
        client.shell("true", seconds=2 if stream == "2" else 60)
    if stream == "1":
        with pytest.raises(EngineError, match=r"^adb: it prints more than"):
            choose_device(str(program), None)


def test_a_program_is_given_its_input_and_ended_in_time() -> None:
    done = run_bounded(["cat"], name="x", seconds=30, given=b"a\xff" * 200_000)
    assert (done.status, len(done.out), done.err) == (0, 400_000, "")
    assert run_bounded(["true"], name="x", seconds=30, given=bytes(1 << 20)).status == 0
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        run_bounded(["sh", "-c", "sleep 60 & sleep 60"], name="x", seconds=0.5)
    assert time.monotonic() - started < 10


def test_figures_of_a_telephone_that_are_none_are_left_away() -> None:
    many = "9" * 5000
    machine = android_machine(lambda script: f"cores={many}\nusable=4\nmemory=MemTotal: {many} kB\nuname=aarch64\n")
    assert (machine["cores"], machine["usable_cores"], machine["memory_bytes"]) == (None, 4, None)
    state = android_state(lambda script: f"level={many}\nfrequency={many}\nzone=a:{many}\nthermal={many}\n")
    assert (state["battery_percent"], state["frequencies_khz"], state["thermal_status"]) == (None, [], None)


def test_times_of_a_tool_that_are_none_are_refused() -> None:
    line = "count=2 first=1 curr=1 min=1 max=1 avg=1 std=0"
    text = (
        f"{line}\n{line}\nInference timings in us: Init: 1e999, First inference: 1, Warmup (avg): 1, Inference (avg): 1"
    )
    with pytest.raises(EngineError, match="prints a time of 1e999 us"):
        parse(text, "adb:X: m")


def test_a_serial_number_with_escape_codes_reaches_no_terminal(fake: Fake, capfdbinary: Any) -> None:
    fake("adb", "#!/bin/sh\n[ \"$1\" = devices ] && printf 'List\\n\\033[31mX\\007\\tdevice\\n'\nexit 0\n")
    assert main(["bench", "--remove-agent", "--on", "adb"]) == 0
    told = capfdbinary.readouterr()
    assert b"is removed" in told.out and b"\x1b" not in told.out + told.err and b"\x07" not in told.out
