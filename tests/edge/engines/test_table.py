"""Engines and kernel sets by name."""

from importlib import import_module

import pytest

from edge.engines.table import (
    COMPUTE_NOTHING,
    DEVICE_ENGINES,
    ENGINES,
    EXACT_KERNELS,
    PREFERRED,
    EngineSpec,
    engine_spec,
)
from edge.errors import UsageError


def test_what_follows_from_the_rows() -> None:
    assert DEVICE_ENGINES == ("litert", "tflite-runtime", "onnxruntime")
    assert {"null"} == COMPUTE_NOTHING
    assert PREFERRED == {"tflite": "litert", "onnx": "onnxruntime"}
    assert {"litert/xnnpack/x86_64"} == EXACT_KERNELS
    assert {name: row.compared_kernels for name, row in ENGINES.items()} == {
        "litert": ("xnnpack", "builtin", "reference"),
        "tflite-runtime": ("xnnpack", "builtin", "reference"),
        "onnxruntime": ("mlas",),
        "torch": (),
        "null": (),
    }
    assert {name: row.default_kernels for name, row in ENGINES.items() if not row.for_devices} == {
        "torch": "aten",
        "null": "none",
    }


@pytest.mark.parametrize("name", ENGINES)
def test_what_a_row_names_is_there(name: str) -> None:
    module, function = ENGINES[name].opener
    if not ENGINES[name].for_devices:  # those for devices import their runtime within the opener
        pytest.importorskip(ENGINES[name].runtime or "edge")
    assert callable(getattr(import_module(module), function))


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
