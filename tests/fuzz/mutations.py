"""Damaged copies of model files: blind damage to the bytes of structure, and ONNX files changed field by field."""

import random
from collections.abc import Callable

import onnx
from onnx import ModelProto

LARGEST_KEPT = 48  # a run of weights at least this long counts as content, not structure
EXTREMES = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBERS = (0, 1, -1, 2, 3, 5, 17, 127, 1 << 15, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 40, (1 << 63) - 1)

Mutation = Callable[[bytes, random.Random], bytes]


def structure(data: bytes, contents: list[bytes]) -> list[tuple[int, int]]:
    """Spans (start, end) of a file that are not among its large constants."""
    spans = []
    start = 0
    found = sorted({place: len(part) for part in contents if (place := data.find(part)) >= 0}.items())
    for place, size in found:
        if place > start:
            spans.append((start, place))
        start = max(start, place + size)
    if start < len(data):
        spans.append((start, len(data)))
    return spans


def place_in(spans: list[tuple[int, int]], rng: random.Random) -> int:
    """An offset, uniform over the spans' bytes."""
    index = rng.randrange(sum(end - start for start, end in spans))
    for start, end in spans:
        if index < end - start:
            return start + index
        index -= end - start
    raise AssertionError("the index is within the spans")


def damaged(data: bytes, spans: list[tuple[int, int]], others: list[bytes], rng: random.Random) -> bytes:
    """The bytes with one to four blind changes; one in ten anywhere, else in the structure."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        place = rng.randrange(len(changed)) if rng.random() < 0.1 else min(place_in(spans, rng), len(changed) - 1)
        match rng.randrange(8):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                changed[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
            case 2 | 3:
                aligned = place & ~3
                changed[aligned : aligned + 4] = rng.choice(EXTREMES).to_bytes(4, "little")
            case 4:
                del changed[place : place + rng.choice((1, 2, 4, 16, 1 << 10))]
            case 5:
                part = changed[place : place + rng.choice((1, 4, 64))]
                changed[place:place] = part
            case 6:
                other = rng.choice(others)
                begin = rng.randrange(len(other))
                part_ = other[begin : begin + rng.choice((4, 16, 256))]
                changed[place : place + len(part_)] = part_
            case 7:
                if rng.random() < 0.3:
                    del changed[place:]
                else:
                    changed[place : place + 4] = changed[rng.randrange(len(changed)) :][:4]
        if not changed:
            return b""
    return bytes(changed)


def changed_onnx(model: ModelProto, rng: random.Random) -> bytes:
    """A copy of an ONNX model with one to three fields changed to something a hostile or careless tool may write."""
    copy = ModelProto()
    copy.CopyFrom(model)
    for _ in range(rng.choice((1, 1, 2, 3))):
        rng.choice(FIELDS)(copy, rng)
    data: bytes = copy.SerializeToString()
    return data


def _node(model: ModelProto, rng: random.Random) -> onnx.NodeProto:
    return rng.choice(model.graph.node) if model.graph.node else model.graph.node.add()


def _names(model: ModelProto) -> list[str]:
    names = [name for node in model.graph.node for name in (*node.input, *node.output)]
    return [*names, *(constant.name for constant in model.graph.initializer), "", "nowhere"]


def _kind(model: ModelProto, rng: random.Random) -> None:
    _node(model, rng).op_type = rng.choice([*KINDS, *(node.op_type for node in model.graph.node)])


def _rewire(model: ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    side = rng.choice((node.input, node.output))
    if side:
        side[rng.randrange(len(side))] = rng.choice(_names(model))


def _arity(model: ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    side = rng.choice((node.input, node.output))
    if side and rng.random() < 0.6:
        del side[rng.randrange(len(side))]
    else:
        side.append(rng.choice(_names(model)))


def _attribute(model: ModelProto, rng: random.Random) -> None:
    node = _node(model, rng)
    if not node.attribute:
        node.attribute.append(
            onnx.helper.make_attribute(rng.choice(("axis", "group", "pads", "perm")), rng.choice(NUMBERS))
        )
        return
    attribute = rng.choice(node.attribute)
    match rng.randrange(5):
        case 0:
            attribute.i = rng.choice(NUMBERS)
        case 1:
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
            else:
                attribute.ints.extend([1, 2, 3])
        case 2:
            attribute.type = rng.randrange(15)
        case 3:
            attribute.name = rng.choice(("axis", "axes", "pads", "kernel_shape", "mode", "strides", "other"))
        case 4:
            node.attribute.remove(attribute)


def _constant(model: ModelProto, rng: random.Random) -> None:
    if not model.graph.initializer:
        return
    constant = rng.choice(model.graph.initializer)
    match rng.randrange(7):
        case 0:
            constant.raw_data = constant.raw_data[: rng.randrange(len(constant.raw_data) + 1)]
        case 1:
            constant.data_type = rng.randrange(24)
        case 2:
            constant.dims.append(rng.choice(NUMBERS))
        case 3:
            if constant.dims:
                constant.dims[rng.randrange(len(constant.dims))] = rng.choice(NUMBERS)
        case 4:
            constant.name = rng.choice(_names(model))
        case 5:
            size = len(constant.raw_data)
            constant.raw_data = bytes(rng.choice((0, 0xFF, 0x7F)) for _ in range(min(size, 64))) * (size // 64 + 1)
            constant.raw_data = constant.raw_data[:size]
        case 6:
            constant.data_location = onnx.TensorProto.EXTERNAL
            entry = constant.external_data.add()
            entry.key, entry.value = "location", rng.choice(("../../etc/passwd", "/dev/zero", "weights.bin"))


def _signature(model: ModelProto, rng: random.Random) -> None:
    values = [*model.graph.input, *model.graph.output, *model.graph.value_info]
    if not values:
        return
    value = rng.choice(values)
    kind = value.type.tensor_type
    match rng.randrange(4):
        case 0:
            kind.elem_type = rng.randrange(24)
        case 1:
            kind.shape.dim.add().dim_value = rng.choice(NUMBERS)
        case 2:
            if kind.shape.dim:
                kind.shape.dim[rng.randrange(len(kind.shape.dim))].dim_value = rng.choice(NUMBERS)
        case 3:
            value.name = rng.choice(_names(model))


def _order(model: ModelProto, rng: random.Random) -> None:
    nodes = list(model.graph.node)
    match rng.randrange(3):
        case 0:
            rng.shuffle(nodes)
        case 1:
            nodes.append(rng.choice(nodes))
        case 2:
            nodes.pop(rng.randrange(len(nodes)))
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _header(model: ModelProto, rng: random.Random) -> None:
    match rng.randrange(3):
        case 0:
            model.ir_version = rng.choice(NUMBERS)
        case 1:
            model.opset_import[0].version = rng.choice(NUMBERS)
        case 2:
            model.opset_import[0].domain = rng.choice(("", "ai.onnx", "com.example"))


KINDS = [
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Min",
    "Max",
    "Concat",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
    "ReduceMean",
    "ReduceMax",
    "ReduceSum",
    "Resize",
    "Pad",
    "Relu",
    "Clip",
    "LeakyRelu",
    "PRelu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Tanh",
    "Gelu",
    "Softmax",
    "ArgMax",
    "Reshape",
    "Flatten",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Slice",
    "Split",
    "Gather",
    "DepthToSpace",
    "SpaceToDepth",
    "Expand",
    "Tile",
    "Cast",
    "Sqrt",
    "Exp",
    "Abs",
    "Neg",
    "BatchNormalization",
    "LpNormalization",
    "QuantizeLinear",
    "DequantizeLinear",
    "QLinearConv",
    "QLinearMatMul",
    "Identity",
    "Constant",
    "ConstantOfShape",
    "Shape",
    "Range",
    "Where",
    "If",
    "Loop",
    "Scan",
    "NonZero",
    "Dropout",
]
FIELDS: tuple[Callable[[ModelProto, random.Random], None], ...] = (
    _kind,
    _rewire,
    _arity,
    _attribute,
    _attribute,
    _constant,
    _constant,
    _signature,
    _order,
    _header,
)
