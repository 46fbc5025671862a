"""Engines and kernel sets by name."""

import pytest

from edge.engines import litert, onnx_providers
from edge.engines.engine import ENGINES
from edge.engines.kernel_sets import KERNEL_SETS, EngineSpec, engine_spec
from edge.errors import UsageError


def test_every_engine_has_its_kernel_sets() -> None:
    assert set(KERNEL_SETS) == set(ENGINES)
    assert set(KERNEL_SETS["litert"]) == set(KERNEL_SETS["tflite-runtime"]) == set(litert.RESOLVERS)
    assert KERNEL_SETS["onnxruntime"] == tuple(onnx_providers.PROVIDERS)


@pytest.mark.parametrize(
    ("text", "engine", "kernels"),
    [("litert", "litert", None), ("litert:builtin", "litert", "builtin"), ("torch:cuda-fp16", "torch", "cuda-fp16")],
)
def test_a_spec_names_an_engine_and_a_kernel_set(text: str, engine: str, kernels: str | None) -> None:
    spec = engine_spec(text)
    assert spec == EngineSpec(engine=engine, kernels=kernels)
    assert spec.text == text


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("lite", "unknown engine 'lite'; did you mean 'litert'?"),
        ("torch:cuda-f16", "unknown kernel set of torch 'cuda-f16'; did you mean 'cuda-fp16'?"),
        ("onnxruntime:", "engine 'onnxruntime:': no kernel set after the colon; known: mlas, xnnpack, cuda, tensorrt"),
        ("litert:builtin:2", "unknown kernel set of litert 'builtin:2'; did you mean 'builtin'?"),
        ("", "unknown engine ''; known: litert, null, onnxruntime, tflite-runtime, torch"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        engine_spec(text)
    assert str(caught.value) == told
