from collections.abc import Callable

import pytest
import torch

from edge.recipe.recipe import Recipe
from edge.training import bfloat16
from edge.training.bfloat16 import autocast, bfloat16_notes, computes_bfloat16

Make = Callable[..., Recipe]
CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("features", "native"),
    [
        ({"avx2", "fma"}, False),
        ({"avx2", "avx512f", "avx512_vnni"}, False),
        ({"avx2", "avx512f", "avx512_bf16"}, True),
        ({"amx_tile", "amx_bf16"}, True),
        ({"asimd", "asimddp"}, False),
        ({"asimd", "asimddp", "bf16"}, True),
        (set(), False),
    ],
)
def test_bfloat16_is_taken_where_the_processor_computes_it_and_said_where_not(
    features: set[str], native: bool, segmenter: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bfloat16, "cpu_features", lambda: frozenset(features))
    assert computes_bfloat16(CPU) == native
    with autocast(CPU, True):
        computed = torch.ones(2, 2) @ torch.ones(2, 2)
    assert computed.dtype == (torch.bfloat16 if native else torch.float32)
    with autocast(CPU, False):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    assert len(bfloat16_notes(segmenter(), CPU)) == (not native)
    assert bfloat16_notes(segmenter(train__bf16=False), CPU) == []
