"""Whether torch's native kernel sets can run here, and with which settings of torch."""

import os
import shutil
from collections.abc import Mapping

import torch

from edge.engines.kernel_sets import TORCH, TorchKernels
from edge.errors import EngineError

COMPILERS = ("g++", "clang++", "c++", "cl")


def check_here(name: str) -> None:
    """Refuse (EngineError) a kernel set whose device or compiler is not here; one line says what brings it."""
    kernels = TORCH[name]
    if kernels.device == "cuda" and not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "`nvidia-smi` lists the devices"
        raise EngineError(f"torch: no CUDA device here; kernel set '{name}' needs one ({built})")
    if kernels.compiled and kernels.device == "cpu" and cpp_compiler(os.environ) is None:
        raise EngineError(
            f"torch: no C++ compiler here; kernel set '{name}' compiles the model: "
            f"install g++ or clang++, or name one in CXX; 'eager' runs without"
        )


def cpp_compiler(environment: Mapping[str, str]) -> str | None:
    """The C++ compiler that torch.compile finds: CXX, else the first known one on PATH; None without any."""
    for name in (environment.get("CXX", ""), *COMPILERS):
        found = shutil.which(name, path=environment.get("PATH", "")) if name else None
        if found is not None:
            return found
    return None


def torch_options(kernels: TorchKernels) -> dict[str, str]:
    """What torch says of the settings that decide speed and precision; none of them is changed here.

    On a GPU float32 convolutions may be computed in TF32: `cudnn.allow_tf32` and `matmul.allow_tf32` say so.
    """
    options = {
        "memory_format": "channels_last" if kernels.channels_last else "as in the file",
        "compiled": "inductor" if kernels.compiled else "no",
    }
    if kernels.device == "cpu":
        return {**options, "mkldnn": str(torch.backends.mkldnn.enabled)}
    major, minor = torch.cuda.get_device_capability(0)
    return {
        **options,
        "cudnn.allow_tf32": str(torch.backends.cudnn.allow_tf32),
        "matmul.allow_tf32": str(torch.backends.cuda.matmul.allow_tf32),
        "cudnn.benchmark": str(torch.backends.cudnn.benchmark),
        "cuda": str(torch.version.cuda),
        "cudnn": str(torch.backends.cudnn.version()),  # type: ignore[no-untyped-call]
        "compute_capability": f"{major}.{minor}",
    }
