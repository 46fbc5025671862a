"""bfloat16 where the device computes it: asking for it makes no training slower than without."""

import torch

from edge.engines.cpu_features import cpu_features
from edge.recipe.recipe import Recipe

NATIVE = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
"""Features of x86-64 and aarch64 processors by which torch multiplies bfloat16 without widening it first."""


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 itself.

    Where it does not, torch widens: with AVX2 alone that takes 5 times the time of float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type != "cpu" or not NATIVE.isdisjoint(cpu_features())


def autocast(device: torch.device, asked: bool) -> torch.autocast:
    """The forward pass in bfloat16 where it is asked for and the device computes it, else as it is."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=asked and computes_bfloat16(device))


def bfloat16_notes(recipe: Recipe, device: torch.device) -> list[str]:
    """What is to be said of a recipe that asks for bfloat16 on a device without it."""
    asked = recipe.train.bf16 or (recipe.qat is not None and recipe.qat.bf16)
    if not asked or computes_bfloat16(device):
        return []
    return [f"bf16 = true: this {device.type} has no bfloat16 instructions, where float32 is faster: float32 it is"]
