"""What `edge quantize` says below the table of gains."""

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from edge.cli.quantize_steps import lines_of
from edge.quantization.ptq.improve import Improved, Outcome, improve
from edge.quantization.ptq.judge import Score
from tests.support.ptq_network import SmoothImages, uneven_graph


@cache
def plain() -> Improved:
    torch.set_num_threads(1)
    return improve(uneven_graph(), SmoothImages(10), steps=(), multiply_adds=0, epochs=0, decides=True)


def score(sqnr_db: float, agreement: float | None = 1.0) -> Score:
    return Score(sqnr_db=sqnr_db, agreement=agreement)


def last_step(*, kept: bool, brought: float) -> tuple[Outcome, ...]:
    after = score(20 + brought)
    return (Outcome(step="distil", before=score(20), after=after, kept=kept, refused=None, seconds=1.0),)


@pytest.mark.parametrize(
    ("effort", "found", "said"),
    [
        (
            "fast",
            {"activations": score(24), "total": score(21)},
            "rounded weights cost 3.0 dB of that: --effort default is",
        ),
        (
            "fast",
            {"activations": score(21), "total": score(21, 0.9)},
            "10.0% of decisions differ: --effort default may",
        ),
        ("fast", {"activations": score(21), "total": score(21)}, "little is left to gain: --effort default"),
        ("fast", {"activations": score(21), "total": score(21, None)}, "little is left to gain: --effort default"),
        ("default", {"outcomes": last_step(kept=True, brought=2.0)}, "distil still brought 2.0 dB: --effort best is"),
        (
            "default",
            {"outcomes": last_step(kept=False, brought=2.0), "total": score(20, 0.75)},
            "25.0% of decisions differ: --effort best may",
        ),
        (
            "default",
            {"outcomes": last_step(kept=True, brought=0.05), "total": score(20)},
            "little is left to gain: --effort best",
        ),
    ],
)
def test_whether_more_would_pay_is_said(effort: str, found: dict[str, Any], said: str) -> None:
    assert lines_of(replace(plain(), **found), effort)[-1].startswith(said)


def test_after_best_there_is_no_more() -> None:
    assert len(lines_of(replace(plain(), outcomes=last_step(kept=True, brought=2.0)), "best")) == 1
