"""What another process says of its engine is checked before it is believed."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from edge.engines.engine import EngineInfo
from edge.engines.reply_fields import read_info
from edge.errors import EngineError

INFO = EngineInfo(
    engine="litert",
    version="2.3.0",
    kernels="xnnpack",
    delegate="XNNPACK",
    operators=5,
    delegated_operators=4,
    threads=1,
    machine="aarch64",
    emulated=None,
    package="ai-edge-litert",
    wheel_tag="cp311-cp311-manylinux_2_27_aarch64",
    kernels_isa="dotprod",
    affinity=(0, 2),
    provider_options={"use_tf32": "0"},
    device="NVIDIA T4",
    precision="float16",
)


def replied(**changed: Any) -> dict[str, Any]:
    """The answer as it arrives: JSON."""
    reply: dict[str, Any] = json.loads(json.dumps({**asdict(INFO), **changed}))
    return reply


def test_every_field_survives_the_way() -> None:
    assert read_info(replied()) == INFO


def test_what_an_answer_does_not_say_is_unknown_and_not_this_machine_s() -> None:
    short = {name: value for name, value in replied().items() if name not in ("affinity", "package", "device")}
    info = read_info(short)
    assert (info.affinity, info.package, info.device) == (None, None, None)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"affinity": "0,1"}, "'affinity' is '0,1'"),
        ({"affinity": [-1]}, "'affinity' is '-1'"),
        ({"provider_options": {"a": 1}}, "'a' is '1'"),
        ({"provider_options": ["a"]}, "'provider_options'"),
        ({"wheel_tag": 3}, "'wheel_tag' is '3'"),
        ({"precision": "x" * 5000}, "'precision'"),
    ],
)
def test_what_is_no_such_field_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(EngineError, match=told):
        read_info(replied(**changed))
