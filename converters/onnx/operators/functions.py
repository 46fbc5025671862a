"""Functions of one value, norms and reductions, as operator set 17 spells them.

Gelu, Rsqrt and a few more have no node there: they are written out, and `edge.graph.passes.fuse_functions` reads them
    back.
"""

import math

import numpy as np

from converters.onnx.operators.builder import Builder
from converters.onnx.operators.node import computed, reals
from edge.graph.graph import Operator


def slope(out: Builder, operator: Operator) -> None:
    """LeakyRelu and Elu."""
    computed(out, operator, operator.kind, reals(out, operator), alpha=operator.attributes["alpha"])


def rsqrt(out: Builder, operator: Operator) -> None:
    """Sqrt and its Reciprocal."""
    root = f"{operator.outputs[0]}/root"
    out.node("Sqrt", reals(out, operator), (root,), f"{operator.name}/sqrt")
    computed(out, operator, "Reciprocal", (root,))


def gelu(out: Builder, operator: Operator) -> None:
    """0.5 x (1 + erf(x / sqrt 2)), or tanh's formula."""
    (x,), name = reals(out, operator), operator.outputs[0]

    def step(kind: str, *inputs: str) -> str:
        made = f"{name}/gelu_{len(out.nodes)}"
        out.node(kind, inputs, (made,), f"{operator.name}/{kind.lower()}_{len(out.nodes)}")
        return made

    if operator.attributes["approximate"]:
        cube = step("Mul", step("Mul", x, x), x)
        inner = step("Add", x, step("Mul", cube, out.scalar(float(np.float32(0.044715)))))
        curve = step("Tanh", step("Mul", inner, out.scalar(float(np.float32(math.sqrt(2 / math.pi))))))
    else:
        curve = step("Erf", step("Div", x, out.scalar(float(np.float32(math.sqrt(2))))))
    product = step("Mul", x, step("Add", curve, out.scalar(1.0)))
    computed(out, operator, "Mul", (product, out.scalar(0.5)))


def along_axis(out: Builder, operator: Operator) -> None:
    """LogSoftmax."""
    computed(out, operator, operator.kind, reals(out, operator), axis=operator.attributes["axis"])


def l2_norm(out: Builder, operator: Operator) -> None:
    """LpNormalization with p = 2."""
    computed(out, operator, "LpNormalization", reals(out, operator), axis=operator.attributes["axis"], p=2)


def reduction(out: Builder, operator: Operator) -> None:
    """ReduceMax and ReduceMin with the axes as attribute, ReduceSum with them as input."""
    given = operator.attributes
    keepdims = int(given["keepdims"])
    if operator.kind == "ReduceSum":
        axes = out.constant(f"{operator.outputs[0]}/axes", np.array(given["axes"], np.int64))
        computed(out, operator, "ReduceSum", (*reals(out, operator), axes), keepdims=keepdims)
    else:
        computed(out, operator, operator.kind, reals(out, operator), axes=given["axes"], keepdims=keepdims)
