"""Random graphs of moving, joining and computing operators: the NHWC form computes the same, whatever the order."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.passes.layout.nhwc import to_nhwc_with_reasons
from edge.execution.float_run import run_float
from edge.graph.graph import Graph, Operator, Tensor
from tests.support.examples import examples

SHAPE = (1, 4, 6, 2)


@dataclass
class Builder:
    """A graph that grows by one drawn operator after the other; every result may be read again."""

    draw: st.DrawFn
    tensors: dict[str, Tensor] = field(default_factory=dict)
    operators: list[Operator] = field(default_factory=list)

    def any(self, *, rank: int | None = None) -> Tensor | None:
        known = [t for t in self.tensors.values() if t.data is None and (rank is None or len(t.shape) == rank)]
        return self.draw(st.sampled_from(known)) if known else None

    def constant(self, shape: tuple[int, ...]) -> str:
        name = f"k{len(self.tensors)}"
        data = np.random.default_rng(len(self.tensors)).normal(size=shape).astype(np.float32)
        self.tensors[name] = Tensor(name=name, shape=shape, dtype="float32", data=data)
        return name

    def add(self, kind: str, inputs: tuple[str, ...], shape: tuple[int, ...], /, **attributes: object) -> None:
        name = f"t{len(self.tensors)}"
        self.tensors[name] = Tensor(name=name, shape=shape, dtype="float32")
        self.operators.append(
            Operator(kind=kind, name=f"op_{name}", inputs=inputs, outputs=(name,), attributes=attributes)
        )


def _conv(builder: Builder) -> None:
    x = builder.any(rank=4)
    if x is not None:
        weight = builder.constant((4, x.shape[1], 1, 1))
        shape = (x.shape[0], 4, *x.shape[2:])
        window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1, "activation": "none"}
        builder.add("Conv", (x.name, weight, ""), shape, **window)


def _transpose(builder: Builder) -> None:
    x = builder.any()
    assert x is not None
    perm = tuple(builder.draw(st.permutations(range(len(x.shape)))))
    builder.add("Transpose", (x.name,), tuple(x.shape[axis] for axis in perm), perm=perm)


def _reshape(builder: Builder) -> None:
    x = builder.any()
    assert x is not None
    sizes = list(x.shape)
    for _ in range(builder.draw(st.integers(1, 3))):
        if len(sizes) > 1 and builder.draw(st.booleans()):
            place = builder.draw(st.integers(0, len(sizes) - 2))
            sizes[place : place + 2] = [sizes[place] * sizes[place + 1]]
        elif len(sizes) < 5:
            place = builder.draw(st.integers(0, len(sizes) - 1))
            divisor = builder.draw(st.sampled_from([d for d in (1, 2, 3, 4, 6) if sizes[place] % d == 0]))
            sizes[place : place + 1] = [divisor, sizes[place] // divisor]
    builder.add("Reshape", (x.name,), tuple(sizes), shape=tuple(sizes))


def _joined(builder: Builder) -> None:
    x = builder.any()
    assert x is not None
    same = [t.name for t in builder.tensors.values() if t.data is None and t.shape == x.shape]
    other = builder.draw(st.sampled_from(same))
    match builder.draw(st.sampled_from(["Add", "Concat", "constant", "lower"])):
        case "Add":
            builder.add("Add", (x.name, other), x.shape, activation="none")
        case "Concat":
            axis = builder.draw(st.integers(0, len(x.shape) - 1))
            shape = tuple(2 * size if place == axis else size for place, size in enumerate(x.shape))
            if np.prod(shape) <= 400:
                builder.add("Concat", (x.name, other), shape, axis=axis)
        case "constant":
            builder.add("Mul", (builder.constant(x.shape[1:]), x.name), x.shape, activation="none")
        case _:
            axes = tuple(range(builder.draw(st.integers(1, max(1, len(x.shape) - 1)))))
            if len(axes) < len(x.shape):
                builder.add("Mean", (x.name,), x.shape[len(axes) :], axes=axes, keepdims=False)
                builder.add("Sub", (x.name, list(builder.tensors)[-1]), x.shape, activation="none")


def _along_an_axis(builder: Builder) -> None:
    x = builder.any()
    assert x is not None
    axis = builder.draw(st.integers(0, len(x.shape) - 1))
    match builder.draw(st.sampled_from(["Softmax", "Mean", "Slice"])):
        case "Softmax":
            builder.add("Softmax", (x.name,), x.shape, axis=axis)
        case "Mean":
            shape = tuple(1 if place == axis else size for place, size in enumerate(x.shape))
            builder.add("Mean", (x.name,), shape, axes=(axis,), keepdims=True)
        case _:
            end = tuple(max(1, size // 2) if place == axis else size for place, size in enumerate(x.shape))
            builder.add("Slice", (x.name,), end, begin=(0,) * len(end), end=end, strides=(1,) * len(end))


def _linear(builder: Builder) -> None:
    x = builder.any(rank=2)
    if x is not None:
        builder.add("Gemm", (x.name, builder.constant((6, x.shape[1])), ""), (x.shape[0], 6), activation="none")


def _relu(builder: Builder) -> None:
    x = builder.any()
    assert x is not None
    builder.add("Relu", (x.name,), x.shape)


STEPS = (_conv, _transpose, _transpose, _reshape, _reshape, _joined, _along_an_axis, _linear, _relu)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    builder = Builder(draw=draw)
    builder.tensors["x"] = Tensor(name="x", shape=SHAPE, dtype="float32")
    for _ in range(draw(st.integers(2, 12))):
        draw(st.sampled_from(STEPS))(builder)
    made = [operator.outputs[0] for operator in builder.operators] or ["x"]
    outputs = tuple(dict.fromkeys([made[-1], draw(st.sampled_from(made))]))
    if "x" in outputs:
        builder.add("Relu", ("x",), SHAPE)
        outputs = (list(builder.tensors)[-1],)
    return Graph(
        name="random",
        layout="nchw",
        operators=tuple(builder.operators),
        tensors=builder.tensors,
        inputs=("x",),
        outputs=outputs,
    )


@pytest.mark.unhurried
@given(graph=graphs(), keep_nchw_io=st.booleans())
@examples(250)
def test_the_nhwc_form_computes_the_same(graph: Graph, keep_nchw_io: bool) -> None:
    nhwc, needed = to_nhwc_with_reasons(graph, keep_nchw_io=keep_nchw_io)
    left = [operator for operator in nhwc.operators if operator.kind == "Transpose"]
    assert len(left) == len(needed) and all(entry.reason for entry in needed)
    assert all(operator.attributes["perm"] != tuple(range(len(operator.attributes["perm"]))) for operator in left)
    x = np.random.default_rng(3).normal(size=SHAPE).astype(np.float32)
    expected = run_float(graph, [x])
    found = run_float(nhwc, [x if keep_nchw_io else np.ascontiguousarray(x.transpose(0, 2, 3, 1))])
    assert nhwc.outputs == graph.outputs
    for name in graph.outputs:
        wanted = np.asarray(expected[name])
        wanted = wanted.transpose(0, 2, 3, 1) if wanted.ndim == 4 and not keep_nchw_io else wanted
        np.testing.assert_allclose(np.asarray(found[name]), wanted, rtol=1e-4, atol=1e-4)
