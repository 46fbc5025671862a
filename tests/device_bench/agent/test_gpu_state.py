"""A GPU's part of a machine's state, from recorded text."""

import json

from device_bench.agent.gpu_state import gpu_facts, gpu_words, throttle_words
from edge.engines.nvidia_smi import parse_gpus

T4 = "0, Tesla T4, 535.183.01, P0, 1005, 5000, 1590, 84, 69.90, 70.00, 97, 0x0000000000000024\n"


def test_the_fields_are_ready_for_a_record() -> None:
    (facts,) = gpu_facts(lambda arguments: T4)
    assert (facts["sm_mhz"], facts["temperature_c"], facts["power_w"]) == (1005, 84, 69.9)
    assert json.loads(json.dumps(facts)) == facts
    assert gpu_facts(lambda arguments: None) == []


def test_what_holds_the_clocks_down_is_told_in_words() -> None:
    assert throttle_words(0x24) == ["software power cap", "software thermal slowdown"]
    assert throttle_words(0x1) == [] and throttle_words(None) == []


def test_a_line_tells_what_is_known() -> None:
    assert gpu_words(parse_gpus(T4)) == [
        "GPU 0 Tesla T4, driver 535.183.01, P0, SM 1005 MHz, of 1590 MHz, memory 5000 MHz, 84 C, 69.9 W, of 70.0 W, "
        "software power cap, software thermal slowdown"
    ]
    assert gpu_words([]) == []
