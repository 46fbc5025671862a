"""One graph per operator that the writer knows, float32 and int8, and changes to them."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edge.graph.graph import Graph, Operator, Quantization, Tensor, per_tensor

NO_PADS = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One operator: shapes of its activations and of the constants behind them.

    tied: input and output have one set of parameters. xnnpack: its delegate (LiteRT 2.3) takes the int8 form.
    """

    kind: str
    inputs: tuple[tuple[int, ...], ...] = ((1, 9, 8, 6),)
    weights: tuple[tuple[int, ...], ...] = ()
    output: tuple[int, ...] = (1, 9, 8, 6)
    tied: bool = False
    codes: tuple[str, ...] = ()
    xnnpack: bool = True
    output_parameters: tuple[float, int] = (0.07, -20)
    indices: tuple[int, ...] = ()
    attributes: dict[str, Any] = field(default_factory=dict)


def conv(
    output: tuple[int, ...],
    weight: tuple[int, ...],
    pads: tuple[int, ...],
    *codes: str,
    kind: str = "Conv",
    **other: Any,
) -> Case:
    attributes = {"strides": (1, 1), "pads": pads, "dilations": (1, 1), "group": 1, "activation": "none"}
    return Case(kind=kind, weights=(weight, weight[:1]), output=output, codes=codes, attributes={**attributes, **other})


def pool(kind: str, output: tuple[int, ...], pads: tuple[int, ...], *codes: str, **other: Any) -> Case:
    attributes = {"kernel": (3, 3), "strides": (2, 2), "pads": pads, "activation": "none"}
    if kind == "AveragePool":
        attributes["count_include_pad"] = False
    taken = kind == "MaxPool"  # int8 AVERAGE_POOL_2D runs on the built-in kernel
    return Case(kind=kind, output=output, tied=True, codes=codes, xnnpack=taken, attributes={**attributes, **other})


def resize(mode: str, coordinates: str) -> Case:
    attributes = {"mode": mode, "coordinates": coordinates, "size_hw": (18, 16)}
    code = {"linear": "RESIZE_BILINEAR", "nearest": "RESIZE_NEAREST_NEIGHBOR"}[mode]
    return Case(
        kind="Resize", output=(1, 18, 16, 6), tied=True, codes=(code,), xnnpack=mode == "linear", attributes=attributes
    )


def moved(kind: str, output: tuple[int, ...], code: str, *, xnnpack: bool = True, **attributes: Any) -> Case:
    return Case(kind=kind, output=output, tied=True, codes=(code,), xnnpack=xnnpack, attributes=attributes)


TWO = ((1, 9, 8, 6), (1, 9, 8, 6))
CASES: dict[str, Case] = {
    "1x1": conv((1, 9, 8, 5), (5, 6, 1, 1), NO_PADS, "CONV_2D", activation="relu"),
    "same": conv((1, 9, 8, 5), (5, 6, 3, 3), (1, 1, 1, 1), "CONV_2D"),
    "same stride 2": conv((1, 5, 4, 5), (5, 6, 3, 3), (1, 0, 1, 1), "CONV_2D", strides=(2, 2), activation="relu6"),
    "valid": conv((1, 7, 6, 5), (5, 6, 3, 3), NO_PADS, "CONV_2D"),
    "explicit pads": conv((1, 5, 4, 5), (5, 6, 3, 3), (1, 1, 1, 1), "PAD", "CONV_2D", strides=(2, 2)),
    "dilated": conv((1, 9, 8, 5), (5, 6, 3, 3), (2, 2, 2, 2), "CONV_2D", dilations=(2, 2)),
    "grouped": conv((1, 9, 8, 4), (4, 3, 3, 3), (1, 1, 1, 1), "CONV_2D", group=2),
    "depthwise": conv((1, 9, 8, 6), (6, 1, 3, 3), (1, 1, 1, 1), "DEPTHWISE_CONV_2D", group=6, activation="relu6"),
    "depthwise x2": conv((1, 5, 4, 12), (12, 1, 3, 3), (1, 0, 1, 1), "DEPTHWISE_CONV_2D", group=6, strides=(2, 2)),
    "depthwise dilated": conv((1, 9, 8, 6), (6, 1, 3, 3), (2, 2, 2, 2), "DEPTHWISE_CONV_2D", group=6, dilations=(2, 2)),
    "gemm": Case(
        kind="Gemm",
        inputs=((1, 20),),
        weights=((7, 20), (7,)),
        output=(1, 7),
        codes=("FULLY_CONNECTED",),
        attributes={"activation": "none"},
    ),
    "add": Case(kind="Add", inputs=TWO, codes=("ADD",), attributes={"activation": "relu"}),
    "add broadcast": Case(kind="Add", inputs=(TWO[0], (1, 1, 1, 6)), codes=("ADD",), attributes={"activation": "none"}),
    "sub": Case(kind="Sub", inputs=TWO, codes=("SUB",), attributes={"activation": "none"}),
    "mul": Case(kind="Mul", inputs=TWO, codes=("MUL",), attributes={"activation": "none"}),
    "average pool": pool("AveragePool", (1, 4, 3, 6), NO_PADS, "AVERAGE_POOL_2D"),
    "average pool same": pool("AveragePool", (1, 5, 4, 6), (1, 0, 1, 1), "AVERAGE_POOL_2D"),
    "average pool padded": pool(
        "AveragePool", (1, 5, 4, 6), (1, 0, 1, 1), "PAD", "AVERAGE_POOL_2D", count_include_pad=True
    ),
    "max pool": pool("MaxPool", (1, 5, 4, 6), (1, 0, 1, 1), "MAX_POOL_2D"),
    "max pool padded": Case(
        **{
            **vars(pool("MaxPool", (1, 5, 4, 6), (1, 1, 1, 1), "PADV2", "MAX_POOL_2D")),
            "xnnpack": False,
        }
    ),
    "mean": Case(kind="Mean", output=(1, 6), codes=("MEAN",), attributes={"axes": (1, 2), "keepdims": False}),
    "mean kept": Case(kind="Mean", output=(1, 1, 1, 6), codes=("MEAN",), attributes={"axes": (1, 2), "keepdims": True}),
    **{
        f"resize {mode} {coordinates}": resize(mode, coordinates)
        for mode in ("linear", "nearest")
        for coordinates in ("half_pixel", "asymmetric", "align_corners")
    },
    "concat": Case(
        kind="Concat",
        inputs=(*TWO, (1, 9, 8, 2)),
        output=(1, 9, 8, 14),
        tied=True,
        codes=("CONCATENATION",),
        attributes={"axis": 3},
    ),
    "pad": moved("Pad", (1, 12, 9, 6), "PAD", pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=0.0),
    "pad of ones": moved(
        "Pad", (1, 12, 9, 6), "PADV2", xnnpack=False, pads=((0, 0), (1, 2), (0, 1), (0, 0)), value=0.5
    ),
    "reshape": moved("Reshape", (1, 72, 6), "RESHAPE", shape=(1, 72, 6)),
    "transpose": moved("Transpose", (1, 6, 9, 8), "TRANSPOSE", perm=(0, 3, 1, 2)),
    "slice": moved("Slice", (1, 6, 8, 4), "SLICE", begin=(0, 2, 0, 1), end=(1, 8, 8, 5), strides=(1, 1, 1, 1)),
    "strided slice": moved(
        "Slice",
        (1, 5, 4, 6),
        "STRIDED_SLICE",
        xnnpack=False,
        begin=(0, 0, 1, 0),
        end=(1, 9, 8, 6),
        strides=(1, 2, 2, 1),
    ),
    "slice backwards": moved(
        "Slice",
        (1, 9, 4, 6),
        "STRIDED_SLICE",
        xnnpack=False,
        begin=(0, 8, 7, 0),
        end=(1, -1, -1, 6),
        strides=(1, -1, -2, 1),
    ),
    "reflect pad": moved(
        "ReflectPad", (1, 12, 12, 6), "MIRROR_PAD", xnnpack=False, pads=((0, 0), (1, 2), (0, 4), (0, 0))
    ),
    "gather": Case(
        kind="Gather",
        output=(1, 9, 8, 4),
        tied=True,
        codes=("GATHER",),
        xnnpack=False,
        attributes={"axis": 3},
        indices=(5, 0, 3, 3),
    ),
    "depth to space": Case(
        kind="DepthToSpace",
        inputs=((1, 4, 5, 12),),
        output=(1, 8, 10, 3),
        tied=True,
        codes=("DEPTH_TO_SPACE",),
        attributes={"block": 2, "mode": "DCR"},
    ),
    "space to depth": Case(
        kind="SpaceToDepth",
        inputs=((1, 4, 6, 3),),
        output=(1, 2, 3, 12),
        tied=True,
        codes=("SPACE_TO_DEPTH",),
        attributes={"block": 2},
    ),
    "tile": moved("Tile", (1, 18, 8, 18), "TILE", xnnpack=False, repeats=(1, 2, 1, 3)),
    "expand": Case(
        kind="Expand",
        inputs=((1, 1, 8, 1),),
        output=(1, 9, 8, 6),
        tied=True,
        codes=("BROADCAST_TO",),
        xnnpack=False,
        attributes={"shape": (1, 9, 8, 6)},
    ),
    "matmul": Case(
        kind="MatMul",
        inputs=((1, 3, 4, 5), (1, 3, 5, 6)),
        output=(1, 3, 4, 6),
        codes=("BATCH_MATMUL",),
        xnnpack=False,
    ),
    "gemm of more axes": Case(
        kind="Gemm",
        inputs=((2, 3, 20),),
        weights=((7, 20), (7,)),
        output=(2, 3, 7),
        codes=("FULLY_CONNECTED",),
        attributes={"activation": "relu"},
    ),
    "conv transpose same": conv(
        (1, 18, 16, 5), (5, 6, 4, 4), (1, 1, 1, 1), "TRANSPOSE_CONV", kind="ConvTranspose", strides=(2, 2)
    ),
    "conv transpose valid": conv(
        (1, 20, 18, 5),
        (5, 6, 3, 3),
        NO_PADS,
        "TRANSPOSE_CONV",
        kind="ConvTranspose",
        strides=(2, 2),
        activation="relu6",
    ),
    "conv transpose cut": conv(
        (1, 18, 16, 5), (5, 6, 3, 3), (1, 1, 0, 0), "TRANSPOSE_CONV", "SLICE", kind="ConvTranspose", strides=(2, 2)
    ),
    "softmax": Case(
        kind="Softmax",
        inputs=((1, 10),),
        output=(1, 10),
        codes=("SOFTMAX",),
        xnnpack=False,
        output_parameters=(1 / 256, -128),
        attributes={"axis": 1},
    ),
    "relu": Case(kind="Relu", codes=("RELU",), tied=True, xnnpack=False),
    "relu6": Case(kind="Relu6", codes=("RELU6",), tied=True, xnnpack=False),
    "clip": Case(kind="Clip", codes=("RELU6",), tied=True, xnnpack=False, attributes={"min": 0.0, "max": 6.0}),
    "sigmoid": Case(kind="Sigmoid", codes=("LOGISTIC",), output_parameters=(1 / 256, -128)),
    "tanh": Case(kind="Tanh", codes=("TANH",), output_parameters=(1 / 128, 0)),
    "hard swish": Case(kind="HardSwish", codes=("HARD_SWISH",), xnnpack=False),
}
X_PARAMETERS = per_tensor(0.0625, -3)


def graph_of(case: Case, *, quantized: bool) -> Graph:
    """A one-operator graph with random constants; names are x0, x1, ..., w0, w1, y."""
    rng = np.random.default_rng(3)
    dtype = "int8" if quantized else "float32"
    output_parameters = X_PARAMETERS if case.tied else per_tensor(*case.output_parameters)
    tensors = [
        Tensor(name=f"x{k}", shape=shape, dtype=dtype, quantization=X_PARAMETERS if quantized else None)
        for k, shape in enumerate(case.inputs)
    ]
    tensors += _constants(case, rng, quantized=quantized)
    names = tuple(tensor.name for tensor in tensors)
    output = Tensor(name="y", shape=case.output, dtype=dtype, quantization=output_parameters if quantized else None)
    operator = Operator(kind=case.kind, name="y", inputs=names, outputs=("y",), attributes=case.attributes)
    return Graph(
        name="main",
        layout="nhwc",
        operators=(operator,),
        tensors={tensor.name: tensor for tensor in (*tensors, output)},
        inputs=names[: len(case.inputs)],
        outputs=("y",),
    )


def _constants(case: Case, rng: np.random.Generator, *, quantized: bool) -> list[Tensor]:
    if case.indices:
        indices = np.array(case.indices, np.int32)
        return [Tensor(name="i", shape=indices.shape, dtype="int32", data=indices)]
    if not case.weights:
        return []
    weight_shape, bias_shape = case.weights
    if not quantized:
        arrays = [rng.normal(size=shape).astype(np.float32) for shape in case.weights]
        return [Tensor(name=f"w{k}", shape=array.shape, dtype="float32", data=array) for k, array in enumerate(arrays)]
    scale = rng.uniform(0.001, 0.02, weight_shape[0]).astype(np.float32)
    zero = np.zeros(scale.size, np.int64)
    weight = rng.integers(-127, 128, weight_shape).astype(np.int8)
    bias = rng.integers(-2000, 2000, bias_shape).astype(np.int32)
    bias_scale = X_PARAMETERS.scale * scale
    return [
        Tensor(
            name="w0",
            shape=weight.shape,
            dtype="int8",
            data=weight,
            quantization=Quantization(scale=scale, zero_point=zero, axis=0),
        ),
        Tensor(
            name="w1",
            shape=bias.shape,
            dtype="int32",
            data=bias,
            quantization=Quantization(scale=bias_scale, zero_point=zero, axis=0),
        ),
    ]


def change_tensor(graph: Graph, name: str, **changes: Any) -> Graph:
    tensor = graph.tensors[name]
    fields = {key: getattr(tensor, key) for key in ("name", "shape", "dtype", "data", "quantization")}
    return graph.with_tensors([Tensor(**{**fields, **changes})])


def change_attribute(graph: Graph, **changes: Any) -> Graph:
    old = graph.operators[0]
    operator = Operator(
        kind=old.kind, name=old.name, inputs=old.inputs, outputs=old.outputs, attributes={**old.attributes, **changes}
    )
    return Graph(
        name=graph.name,
        layout=graph.layout,
        operators=(operator,),
        tensors=graph.tensors,
        inputs=graph.inputs,
        outputs=graph.outputs,
    )
