"""What ssh is called with, and what its failures are told as."""

import pytest

from device_bench.targets.ssh_client import ConnectionCut, parse_address
from edge.errors import UsageError


def test_an_address_becomes_options_that_ask_nothing_and_check_the_host() -> None:
    address = parse_address("ssh://pi@raspberrypi.local:2222")
    command = address.command("true")
    assert address.name == "ssh://pi@raspberrypi.local:2222"
    assert {"BatchMode=yes", "StrictHostKeyChecking=yes"} <= set(command)
    assert command[-7:-1] == ["-l", "pi", "-p", "2222", "--", "raspberrypi.local"]


def test_an_ipv6_address_keeps_its_brackets_in_the_name_only() -> None:
    address = parse_address("ssh://[fe80::1%eth0]:22")
    assert (address.host, address.name) == ("fe80::1%eth0", "ssh://[fe80::1%eth0]:22")


@pytest.mark.parametrize(
    "text",
    [
        "ssh://-oProxyCommand=id",
        "ssh://-l@host",
        "ssh://pi:secret@host",
        "ssh://",
        "ssh://h:0",
        "ssh://h:65536",
        "ssh://a b",
    ],
)
def test_what_ssh_could_take_for_an_option_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="without a password"):
        parse_address(text)


@pytest.mark.parametrize(
    ("status", "said", "told"),
    [
        (127, "sh: 1: exec: python3: not found", "no such Python"),
        (1, "numpy is missing in /usr/bin/python3", "--prepare --on ssh://h"),
        (1, "Python 3.10 or newer is needed, this is 3.9.2", "Python 3.10 or newer"),
        (3, "", "exit code 3"),
    ],
)
def test_failures_of_the_device_are_final(status: int, said: str, told: str) -> None:
    error = parse_address("ssh://h").failure(status, said)
    assert told in str(error) and not isinstance(error, ConnectionCut)


def test_a_lost_connection_may_be_tried_again() -> None:
    assert isinstance(parse_address("ssh://h").failure(255, "client_loop: send disconnect: Broken pipe"), ConnectionCut)
