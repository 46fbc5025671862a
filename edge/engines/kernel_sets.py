"""The kernel sets of every engine, as data: what each of them is, and what is known of its integers."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, kw_only=True)
class KernelSet:
    """What every kernel set has.

    Attributes:
        family: of `edge.engines.cpu_features`; '' where none is known, and for kernels of plain C++.
        exact_on: machines, as `platform.machine()` names them, on which the integer simulation predicts every bit.
        compared: an artifact states its largest difference, and `edge verify --all-kernels` runs it.
        plans_arena: the activations lie in the arena that TFLite plans; a delegate's memory is its own.
    """

    family: str = ""
    exact_on: tuple[str, ...] = ()
    compared: bool = False
    plans_arena: bool = False


@dataclass(frozen=True, kw_only=True)
class TfliteKernels(KernelSet):
    """A kernel set of a TFLite interpreter. `resolver`: the name of its op resolver."""

    resolver: str = "AUTO"


@dataclass(frozen=True, kw_only=True)
class Provider(KernelSet):
    """A kernel set of ONNX Runtime.

    Attributes:
        names: providers in the order in which nodes are offered to them; the first one names the set.
        source: what brings a provider that is missing, for a message.
        absent: what is wrong when the runtime has the provider and it does not start.
        on_gpu: whether the model's memory is a GPU's.
    """

    names: tuple[str, ...] = ("CPUExecutionProvider",)
    source: str = "pip install onnxruntime"
    absent: str = "it did not start"
    on_gpu: bool = False


@dataclass(frozen=True, kw_only=True)
class TorchKernels(KernelSet):
    """A kernel set of torch: `aten` executes a file as it is stored, every other one as a person would in torch.

    Attributes:
        device: `cpu` or `cuda`. precision: key of `edge.engines.torch.module.REAL_DTYPES`.
        compiled: by torch.compile. channels_last: 4-D tensors lie as NHWC in memory; their axes stay NCHW.
    """

    device: str = "cpu"
    precision: str = "float32"
    compiled: bool = False
    channels_last: bool = False


BUILTIN: Mapping[str, TfliteKernels] = {
    "builtin": TfliteKernels(
        resolver="BUILTIN_WITHOUT_DEFAULT_DELEGATES", family="ruy", compared=True, plans_arena=True
    ),
    "reference": TfliteKernels(resolver="BUILTIN_REF", compared=True, plans_arena=True),
}
LITERT: Mapping[str, TfliteKernels] = MappingProxyType(
    {"xnnpack": TfliteKernels(family="xnnpack", exact_on=("x86_64",), compared=True), **BUILTIN}
)
TFLITE_RUNTIME: Mapping[str, TfliteKernels] = MappingProxyType(
    {"xnnpack": TfliteKernels(family="xnnpack-2.14", compared=True), **BUILTIN}
)
NO_CUDA = "no CUDA device here (`nvidia-smi` lists them), or CUDA's or cuDNN's libraries are missing"
PROVIDERS: Mapping[str, Provider] = MappingProxyType(
    {
        "mlas": Provider(family="mlas", compared=True),
        "xnnpack": Provider(
            names=("XnnpackExecutionProvider",),
            source="ONNX Runtime built with --use_xnnpack has it, no published wheel does",
            family="xnnpack",
        ),
        "cuda": Provider(
            names=("CUDAExecutionProvider",),
            source="pip install onnxruntime-gpu (in place of onnxruntime) brings it",
            absent=NO_CUDA,
            on_gpu=True,
        ),
        "tensorrt": Provider(
            names=("TensorrtExecutionProvider", "CUDAExecutionProvider"),
            source="pip install onnxruntime-gpu tensorrt (in place of onnxruntime) brings it",
            absent=f"TensorRT's libraries are missing, or {NO_CUDA}",
            on_gpu=True,
        ),
    }
)
TORCH: Mapping[str, TorchKernels] = MappingProxyType(
    {
        "aten": TorchKernels(),
        "eager": TorchKernels(),
        "eager-channels-last": TorchKernels(channels_last=True),
        "compile": TorchKernels(compiled=True),
        "compile-channels-last": TorchKernels(compiled=True, channels_last=True),
        "bf16": TorchKernels(precision="bfloat16"),
        "compile-bf16": TorchKernels(precision="bfloat16", compiled=True),
        "fp16": TorchKernels(precision="float16"),
        "cuda": TorchKernels(device="cuda"),
        "cuda-channels-last": TorchKernels(device="cuda", channels_last=True),
        "cuda-compile": TorchKernels(device="cuda", compiled=True),
        "cuda-fp16": TorchKernels(device="cuda", precision="float16"),
        "cuda-fp16-channels-last": TorchKernels(device="cuda", precision="float16", channels_last=True),
        "cuda-fp16-compile": TorchKernels(device="cuda", precision="float16", compiled=True),
        "cuda-bf16": TorchKernels(device="cuda", precision="bfloat16"),
        "cuda-bf16-channels-last": TorchKernels(device="cuda", precision="bfloat16", channels_last=True),
        "cuda-bf16-compile": TorchKernels(device="cuda", precision="bfloat16", compiled=True),
    }
)
NULL: Mapping[str, KernelSet] = MappingProxyType({"none": KernelSet()})
