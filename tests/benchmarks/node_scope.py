"""The scope of the float TFLite writer: which node tests it must pass, and the reason why another is outside.

A case is inside unless a rule below says otherwise. The rules speak of dtypes, shapes and attributes, never of the
names of cases; `docs/operators.md` says the same in words.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from edge.graph.importers.onnx.parsing.opset import OLDEST_OPSET
from tests.benchmarks.node_cases import NodeCase

# A rule tells why a case is outside, or gives None.
Rule = Callable[[NodeCase], str | None]


def out_of_scope(case: NodeCase) -> str | None:
    """Why a case is outside the scope; None when it is inside and must convert and match."""
    for rule in (*GENERAL, *BY_OPERATOR.get(case.operator, ())):
        reason = rule(case)
        if reason is not None:
            return reason
    return None


def _body(case: NodeCase) -> str | None:
    return "a function body; the operator itself is tested" if case.node is None else None


def _opset(case: NodeCase) -> str | None:
    return f"an operator set before {OLDEST_OPSET}" if case.opset < OLDEST_OPSET else None


def _tensors(case: NodeCase) -> str | None:
    values = (*case.inputs.values(), *case.parameters.values(), *case.outputs.values())
    return None if all(isinstance(value, np.ndarray) for value in values) else "a sequence or an optional"


def _activation_dtype(case: NodeCase) -> str | None:
    """Activations are float32; a model of integers from end to end is no vision network."""
    dtypes = [np.asarray(value).dtype.name for value in case.inputs.values()]
    other = [dtype for dtype in dtypes if dtype != "float32"]
    return f"{'string' if other[0].startswith(('str', 'object')) else other[0]} activations" if other else None


RESULTS = frozenset({"float32", "float16", "int8", "uint8", "int16", "int32", "int64", "bool"})


def _result_dtype(case: NodeCase) -> str | None:
    """Results may also be indices, quantized integers or a Cast's."""
    other = [dtype for dtype in (np.asarray(v).dtype.name for v in case.outputs.values()) if dtype not in RESULTS]
    return f"{other[0]} results" if other else None


def _no_activation(case: NodeCase) -> str | None:
    return None if case.inputs else "no activation: a constant, computed while reading"


def _shapes(case: NodeCase) -> str | None:
    values = [np.asarray(value) for value in (*case.inputs.values(), *case.outputs.values())]
    if any(value.size == 0 for value in values):
        return "an empty tensor"
    if any(value.ndim == 0 for value in values):
        return "a scalar activation (rank 0)"
    return None


GENERAL: tuple[Rule, ...] = (_body, _opset, _tensors, _no_activation, _activation_dtype, _result_dtype, _shapes)


def attribute_is(name: str, values: tuple[Any, ...], reason: str) -> Rule:
    """A rule: outside when the attribute has one of these values."""
    return lambda case: reason if case.attribute(name) in values else None


def _several_outputs(reason: str) -> Rule:
    return lambda case: reason if case.node is not None and len([n for n in case.node.output if n]) > 1 else None


def _spatial_rank(case: NodeCase) -> str | None:
    rank = np.asarray(case.input(0)).ndim
    return f"{rank - 2}-d windows" if rank not in (3, 4) else None


def _dilated(case: NodeCase) -> str | None:
    dilated = any(value != 1 for value in case.attribute("dilations") or ())
    return "a dilated pool: TFLite has none" if dilated else None


def _linear_scale(case: NodeCase) -> str | None:
    """TFLite knows the sizes alone: another scale, or another rule for one pixel, looks at other positions."""
    if case.attribute("mode") != "linear":
        return None
    before, after = np.asarray(case.input(0)).shape, np.asarray(next(iter(case.outputs.values()))).shape
    scales = case.input(2)
    stated = [] if scales is None else np.asarray(scales).reshape(-1)[-2:].tolist()
    pairs = list(zip(before[-2:], after[-2:], strict=True))
    if any(abs(scale * old / new - 1) > 1e-6 for scale, (old, new) in zip(stated, pairs, strict=False)):
        return "linear by a scale that is not the ratio of the sizes"
    one = any(new == 1 != old for old, new in pairs)
    pytorch = case.attribute("coordinate_transformation_mode") == "pytorch_half_pixel"
    return "linear, pytorch_half_pixel to one pixel" if pytorch and one else None


def _training(case: NodeCase) -> str | None:
    mode = case.input(2)
    return "training mode" if mode is not None and bool(np.asarray(mode)) else None


def _many_scales(case: NodeCase) -> str | None:
    return "an activation of several scales: TFLite has one" if np.asarray(case.input(1)).size > 1 else None


def _int16_offset(case: NodeCase) -> str | None:
    zero_point = case.input(2)
    is_offset = zero_point is not None and np.asarray(zero_point).dtype == np.int16 and bool(np.any(zero_point))
    return "int16 with a zero point: TFLite's 16-bit activations are symmetric" if is_offset else None


BY_OPERATOR: Mapping[str, tuple[Rule, ...]] = MappingProxyType(
    {
        "ArgMax": (attribute_is("select_last_index", (1,), "the last of equal values: TFLite takes the first"),),
        "AveragePool": (_spatial_rank, _dilated),
        "BatchNormalization": (attribute_is("training_mode", (1,), "training mode"),),
        "Conv": (_spatial_rank,),
        "ConvTranspose": (_spatial_rank,),
        "DequantizeLinear": (_many_scales,),
        "Dropout": (_several_outputs("a mask: training"), _training),
        "LayerNormalization": (_several_outputs("mean and deviation as outputs: training"),),
        "MaxPool": (_spatial_rank, _dilated, _several_outputs("indices of the largest values")),
        "QuantizeLinear": (_many_scales, _int16_offset),
        "Resize": (
            attribute_is("mode", ("cubic",), "cubic: TFLite has none"),
            attribute_is("antialias", (1,), "antialias: TFLite has none"),
            attribute_is("coordinate_transformation_mode", ("tf_crop_and_resize",), "crop and resize: TFLite has none"),
            _linear_scale,
        ),
    }
)
