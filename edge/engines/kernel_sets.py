"""The kernel sets that every engine offers, by name: what stands behind `--engine NAME:KERNELS`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from edge.errors import UsageError, unknown_name

# engine -> its kernel sets, the default one first. What each of them is: the table in the engine's module.
KERNEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "litert": ("xnnpack", "builtin", "reference"),
        "tflite-runtime": ("xnnpack", "builtin", "reference"),
        "onnxruntime": ("mlas", "xnnpack", "cuda", "tensorrt"),
        "torch": (
            "aten",
            "eager",
            "eager-channels-last",
            "compile",
            "compile-channels-last",
            "bf16",
            "compile-bf16",
            "fp16",
            "cuda",
            "cuda-channels-last",
            "cuda-compile",
            "cuda-fp16",
            "cuda-fp16-channels-last",
            "cuda-fp16-compile",
            "cuda-bf16",
            "cuda-bf16-channels-last",
            "cuda-bf16-compile",
        ),
        "null": ("none",),
    }
)


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """An engine and the kernel set asked of it; None leaves the set to the engine."""

    engine: str
    kernels: str | None

    @property
    def text(self) -> str:
        """As it is written: `torch:cuda-fp16`, or `torch`."""
        return self.engine if self.kernels is None else f"{self.engine}:{self.kernels}"


def engine_spec(text: str) -> EngineSpec:
    """Read `NAME` or `NAME:KERNELS`: `litert`, `litert:builtin`, `torch:cuda-fp16-compile`.

    Raises:
        UsageError: an unknown engine or kernel set, with the nearest known one; nothing after the colon.
    """
    engine, colon, kernels = text.partition(":")
    if engine not in KERNEL_SETS:
        raise UsageError(unknown_name("engine", engine, KERNEL_SETS))
    if not colon:
        return EngineSpec(engine=engine, kernels=None)
    if not kernels:
        raise UsageError(f"engine '{text}': no kernel set after the colon; known: {', '.join(KERNEL_SETS[engine])}")
    if kernels not in KERNEL_SETS[engine]:
        raise UsageError(unknown_name(f"kernel set of {engine}", kernels, KERNEL_SETS[engine]))
    return EngineSpec(engine=engine, kernels=kernels)
