"""What Prometheus reads, by a reader of its format."""

import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPConnection

import pytest

from edge.camera.capture import Counts
from edge.camera.exposition import CONTENT_TYPE, exposition
from edge.camera.metrics_server import read_address, serving
from edge.camera.run_counts import BUCKETS_S, KEPT_TIMES, RunCounts
from edge.errors import EdgeError, UsageError
from tests.support.prometheus_text import parse

MS = 1_000_000


def filled() -> RunCounts:
    counts = RunCounts()
    dropped = {"superseded": 5, 'a "cause" with \\ and\nmore': 2}
    counts.frames = lambda: Counts(frames_in=10, answered=3, dropped=dropped, waiting=0)
    counts.is_online = lambda: True
    for age in (20, 30, 150):
        counts.answered(age * MS, over_budget=age > 100)
    counts.undelivered("sink")
    counts.reconnected()
    counts.replaced()
    counts.took({"infer": 3 * MS, "read": round(BUCKETS_S[0] * 1e9)})
    counts.took({"infer": 20_000 * MS})
    return counts


def test_the_page_is_of_the_format_and_says_what_was_counted() -> None:
    metrics = {
        name.removeprefix("edge_camera_"): metric for name, metric in parse(exposition(filled().state())).items()
    }
    assert all(metric.about for metric in metrics.values())
    assert metrics["frames_total"].kind == "counter" and metrics["frames_total"].value() == 10
    assert metrics["answered_total"].value() == 3
    assert metrics["dropped_total"].value(cause="superseded") == 5
    assert metrics["dropped_total"].value(cause='a \\"cause\\" with \\\\ and\\nmore') == 2
    assert metrics["undelivered_total"].value(receiver="sink") == 1
    assert metrics["over_budget_total"].value() == 1
    assert (metrics["restarts_total"].value(), metrics["reconnects_total"].value()) == (1, 1)
    assert metrics["online"].kind == "gauge" and metrics["online"].value() == 1
    assert metrics["answer_age_seconds"].value() == 0.15
    stages = metrics["stage_seconds"]
    assert stages.kind == "histogram"
    assert stages.value("_bucket", stage="infer", le="0.0025") == 0
    assert stages.value("_bucket", stage="infer", le="0.005") == 1
    assert stages.value("_bucket", stage="infer", le="10") == 1  # one is beyond
    assert (stages.value("_count", stage="infer"), stages.value("_sum", stage="infer")) == (2, 20.003)
    assert stages.value("_bucket", stage="read", le="0.0001") == 1  # a bound belongs to its bucket


def test_before_the_first_answer_the_page_stands_and_has_no_age() -> None:
    metrics = parse(exposition(RunCounts().state()))
    assert metrics["edge_camera_frames_total"].value() == 0 and metrics["edge_camera_online"].value() == 0
    assert not metrics["edge_camera_answer_age_seconds"].samples


@pytest.mark.parametrize(
    "text", ["a_total 1", "# TYPE a counter\nb 1\n", "# TYPE a odd\n", '# TYPE a gauge\na{b="} 1\n']
)
def test_the_reader_refuses_what_is_not_of_the_format(text: str) -> None:
    with pytest.raises(AssertionError):
        parse(text)


def test_percentiles_are_those_of_the_last_times_however_many_came() -> None:
    counts = RunCounts()
    for time_ns in (*[10 * MS] * 10, *[MS] * KEPT_TIMES):
        counts.took({"infer": time_ns})
    (row,) = counts.summary()
    assert (row.stage, row.p50_ns, row.p90_ns) == ("infer", MS, MS)
    assert sum(counts.state().times["infer"].counts) == 10 + KEPT_TIMES


def test_the_server_gives_the_page_and_nothing_else() -> None:
    counts = filled()
    with serving(("127.0.0.1", 0), lambda: exposition(counts.state())) as (host, port):
        for path in ("/metrics", "/metrics?a=b"):
            with urllib.request.urlopen(f"http://{host}:{port}{path}") as answer:
                assert answer.headers["Content-Type"] == CONTENT_TYPE
                assert parse(answer.read().decode())["edge_camera_frames_total"].value() == 10
        counts.frames = lambda: Counts(frames_in=11, answered=3, dropped={}, waiting=0)
        with urllib.request.urlopen(f"http://{host}:{port}/metrics") as answer:
            assert parse(answer.read().decode())["edge_camera_frames_total"].value() == 11
        with pytest.raises(urllib.error.HTTPError, match="404") as refused:
            urllib.request.urlopen(f"http://{host}:{port}/etc/passwd")
        refused.value.close()
        connection = HTTPConnection(host, port)
        connection.request("HEAD", "/metrics")
        answer = connection.getresponse()
        assert answer.status == 200 and int(answer.headers["Content-Length"]) > 1000 and answer.read() == b""
        connection.close()
        taken = f"127.0.0.1:{port}: cannot be listened on: Address already in use"
        with pytest.raises(EdgeError, match=taken), serving((host, port), str):
            pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, port))


def test_a_client_that_trickles_does_not_keep_the_page_from_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.camera.metrics_server.LONGEST_REQUEST_S", 0.1)

    def trickle(client: socket.socket) -> None:
        with suppress(OSError):  # it is cut off
            client.sendall(b"GET /metrics HTTP/1.1\r\nName: ")
            while True:
                client.sendall(b"a")
                time.sleep(0.01)

    with serving(("127.0.0.1", 0), str) as address, socket.create_connection(address) as client:
        thread = threading.Thread(target=trickle, args=(client,), daemon=True)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
        monkeypatch.setattr("edge.camera.metrics_server.LONGEST_REQUEST_S", 60.0)
        with socket.create_connection(address, 60) as other:
            other.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.0 200")


def test_an_address_is_a_port_or_a_host_and_a_port() -> None:
    assert read_address("9109") == ("127.0.0.1", 9109)
    assert read_address("0.0.0.0:80") == ("0.0.0.0", 80)
    assert read_address("[::1]:9109") == ("::1", 9109)
    for text in ("", "host", "host:", ":80", "1.2.3.4:65536", "1.2.3.4:-1", "²", "9" * 5000):
        with pytest.raises(UsageError, match="is no address to listen on"):
            read_address(text)
