import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.unhurried


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What two ranks on this machine say, which meet at a file."""
    meeting = tmp_path_factory.mktemp("ranks") / "meeting"
    script = Path(__file__).with_name("two_ranks.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-P", script, str(rank), str(meeting)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for rank in range(2)
    ]
    outputs = [rank.communicate(timeout=240) for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], outputs
    return [json.loads(output) for output, _ in outputs]


def test_ranges_are_the_same_on_every_rank(both: list[dict[str, Any]]) -> None:
    one, other = (said["ranks"] for said in both)
    assert len(one) == 6 and one == other


def test_the_ranks_batches_are_observed_as_one(both: list[dict[str, Any]]) -> None:
    for name, found in both[0]["ranks"].items():
        assert found["observed"] == pytest.approx(both[0]["single"], rel=1e-6), name


def test_learned_ranges_move_on_all_ranks_alike(both: list[dict[str, Any]]) -> None:
    found = both[0]["ranks"]
    assert found["learned, before"]["trained"] != found["learned, before"]["observed"]
    assert found["learned, before"]["trained"] == pytest.approx(found["learned, after"]["trained"], rel=1e-6)
    assert found["moving_average, before"]["trained"] == found["moving_average, before"]["observed"]
