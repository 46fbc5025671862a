"""The node tests that the onnx package carries for backends, as cases that a file writer can be held against."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper

Array = npt.NDArray[Any]

# Operator -> the inputs that are parameters: constants in the networks that this product converts. The node tests feed
# them as inputs of the model; here they become initializers. Every other input stays an activation.
PARAMETERS: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "BatchNormalization": (1, 2, 3, 4),
        "Clip": (1, 2),
        "ConstantOfShape": (0,),
        "Conv": (1, 2),
        "ConvTranspose": (1, 2),
        "DequantizeLinear": (1, 2),
        "Dropout": (1, 2),
        "Expand": (1,),
        "Gather": (1,),
        "Gemm": (1, 2),
        "GroupNormalization": (1, 2),
        "InstanceNormalization": (1, 2),
        "LayerNormalization": (1, 2),
        "PRelu": (1,),
        "Pad": (1, 2, 3),
        "QuantizeLinear": (1, 2),
        "ReduceL1": (1,),
        "ReduceL2": (1,),
        "ReduceLogSum": (1,),
        "ReduceLogSumExp": (1,),
        "ReduceMax": (1,),
        "ReduceMean": (1,),
        "ReduceMin": (1,),
        "ReduceProd": (1,),
        "ReduceSum": (1,),
        "ReduceSumSquare": (1,),
        "Reshape": (1,),
        "Resize": (1, 2, 3),
        "Slice": (1, 2, 3, 4),
        "Split": (1,),
        "Squeeze": (1,),
        "Tile": (1,),
        "TopK": (1,),
        "Unsqueeze": (1,),
        "Upsample": (1,),
    }
)


@dataclass(frozen=True, kw_only=True)
class NodeCase:
    """One node test.

    Attributes:
        operator: type of the tested operator, with its domain before it if that is not the default one. For a case
            `..._expanded`, which holds the operator's function body, the operator itself.
        node: the tested node, None for a function body.
        model: the model, parameters (see PARAMETERS) as initializers.
        opset: version of the default operator set; 0 where the model imports none.
        inputs: the activations by name, in the model's order; a value that is no array (a sequence) stays what it is.
        parameters: the constants by name.
        outputs: the expected ones by name, in the model's order.
    """

    name: str
    operator: str
    node: NodeProto | None
    model: ModelProto
    opset: int
    inputs: Mapping[str, Any]
    parameters: Mapping[str, Any]
    outputs: Mapping[str, Any]
    rtol: float
    atol: float

    def attribute(self, name: str, default: Any = None) -> Any:
        """Plain value of an attribute of the node; text decoded."""
        for attribute in self.node.attribute if self.node is not None else ():
            if attribute.name == name:
                value = _plain_attribute(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def input(self, index: int) -> Any:
        """Value of the node's input; None where it is absent."""
        assert self.node is not None
        name = self.node.input[index] if index < len(self.node.input) else ""
        return self.inputs.get(name, self.parameters.get(name))


def node_cases() -> list[NodeCase]:
    """Every node test of the installed onnx package, in its order. Takes about five seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package's own example arithmetic overflows on purpose
        from onnx.backend.test.loader import load_model_tests

        tests = [(test, test.model) for test in load_model_tests(kind="node") if test.model is not None]
    operators: dict[str, str] = {}
    cases = []
    for test, model in tests:
        if "_expanded" not in test.name and len(model.graph.node) == 1:
            operators[test.name] = _kind(model.graph.node[0])
    for test, model in tests:
        base = test.name.split("_expanded")[0]
        several = ",".join(dict.fromkeys(_kind(node) for node in model.graph.node))
        cases.append(_case(test, operators.get(base, several), is_body=test.name not in operators))
    return cases


def _kind(node: NodeProto) -> str:
    return f"{node.domain}.{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def _case(test: Any, operator: str, *, is_body: bool) -> NodeCase:
    model = ModelProto()
    model.CopyFrom(test.model)
    given, expected = ([_array(value) for value in side] for side in test.data_sets[0])
    values = dict(zip((value.name for value in model.graph.input), given, strict=False))
    node = None if is_body else model.graph.node[0]
    fixed = {node.input[i] for i in PARAMETERS.get(operator, ()) if i < len(node.input)} if node is not None else set()
    fixed = {name for name in fixed if isinstance(values.get(name), np.ndarray)}
    kept = [value for value in model.graph.input if value.name not in fixed]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(values[name], name) for name in sorted(fixed))
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return NodeCase(
        name=test.name,
        operator=operator,
        node=node,
        model=model,
        opset=versions[0] if versions else 0,
        inputs={value.name: values[value.name] for value in kept if value.name in values},
        parameters={name: values[name] for name in sorted(fixed)},
        outputs=dict(zip((value.name for value in model.graph.output), expected, strict=False)),
        rtol=test.rtol,
        atol=test.atol,
    )


def _array(value: Any) -> Any:
    """An array of a scalar or a TensorProto; what is neither stays."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    return np.asarray(value) if isinstance(value, np.generic) else value


def _plain_attribute(attribute: Any) -> Any:
    from onnx.helper import get_attribute_value

    return get_attribute_value(attribute)
