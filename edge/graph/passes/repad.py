"""The same network with other padding and at another size: what its borders tell it can then be measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from edge.errors import UnsupportedError
from edge.graph.analyses.borders import NO_PADS, Border, borders, is_spatial, pads_hw, spatial_axes
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.ops.padding import PadsHw, PairHw, same_pads, window_output_hw
from edge.graph.passes.rewrite import fresh_name, rebuild, renamed_inputs

Padding = Literal["own", "reflect", "none"]
# fmt: off
KEEPS_SIZE = frozenset(
    {
        "Relu", "Relu6", "Clip", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "LeakyRelu", "PRelu", "Elu", "Gelu",
        "Abs", "Neg", "Sqrt", "Rsqrt", "Exp", "Log", "Floor", "Ceil", "Round", "Sin", "Cos", "L2Norm", "BatchNorm",
        "Quantize", "Dequantize", "Cast", "Softmax",
    }
)
# fmt: on
JOINS = frozenset({"Add", "Sub", "Mul", "Div", "Min", "Max", "Pow", "Concat"})
REDUCES = frozenset({"Mean", "ReduceSum", "ReduceMax", "ReduceMin"})


def with_pads(graph: Graph, pads: Mapping[str, PadsHw]) -> Graph:
    """The same network with zeros of another width around the maps of some windows, whose results keep their size.

    Args:
        pads: by the operator's name top, left, bottom, right. What a Pad before it added is among them: the window
            then reads the map itself.
    """
    changed = {border.operator.name: border for border in borders(graph) if border.operator.name in pads}
    operators = [
        operator
        if operator.name not in changed
        else replace(
            operator,
            inputs=(changed[operator.name].source, *operator.inputs[1:]),
            attributes={**operator.attributes, "pads": pads[operator.name]},
        )
        for operator in graph.operators
    ]
    return rebuild(graph, operators)


def repadded(graph: Graph, padding: Padding, size_hw: PairHw | None = None) -> Graph:
    """The same weights with other values, or none, beyond the border of every map, for images of another size.

    Requires: one image as input; operators whose size follows from their input's (a backbone). Ensures: the same
    outputs in their order; for `own` at the graph's own size the same values. A Pad before a window becomes the
    window's own.

    Args:
        padding: `own`: as it is. `reflect`: as wide, but the map mirrored. `none`: no window leaves the map; what is
            added, multiplied or joined is cut in the middle to the smallest.
        size_hw: height and width of the images in pixels; None: the graph's own. A window that pads by TensorFlow's
            SAME rule does so there too.

    Raises:
        UnsupportedError: an operator whose size does not follow, or an image that is too small, by name.
    """
    state = _Rewriting(graph=graph, padding=padding)
    (image,) = graph.inputs
    given = graph.tensors[image].shape
    state.declare(graph.tensors[image], size_hw or (given[state.axes[0]], given[state.axes[1]]))
    for operator in graph.operators:
        state.rewrite(operator)
    outputs = tuple(state.names.get(name, name) for name in graph.outputs)
    return rebuild(graph, state.operators, state.tensors, outputs=outputs)


@dataclass(kw_only=True)
class _Rewriting:
    """A graph on its way: what is made so far, and by which name an original tensor goes."""

    graph: Graph
    padding: Padding
    operators: list[Operator] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.axes = spatial_axes(self.graph)
        self.windows: dict[str, Border] = {border.operator.name: border for border in borders(self.graph)}
        self.tensors.update({name: made for name, made in self.graph.tensors.items() if made.data is not None})

    def rewrite(self, operator: Operator) -> None:
        """One operator of the original, in order."""
        border = self.windows.get(operator.name)
        if border is not None:
            self.window(border)
        elif operator.kind in ("Conv", "AveragePool", "MaxPool"):
            shape = self.size(operator.inputs[0])
            self.emit(operator, window_output_hw(shape, (1, 1), operator.attributes["strides"], (1, 1), NO_PADS))
        elif operator.kind == "Pad" and is_spatial(self.graph, operator):
            self.pad(operator)
        elif operator.kind in JOINS:
            self.join(operator)
        elif operator.kind in REDUCES and all(axis in operator.attributes["axes"] for axis in self.axes):
            self.emit(operator, (1, 1))
        elif operator.kind in KEEPS_SIZE or operator.kind in REDUCES:
            self.emit(operator, self.size(operator.inputs[0]))
        else:
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': its size does not follow from its input's; padding and size can "
                "be changed of a backbone alone"
            )

    def window(self, border: Border) -> None:
        """A convolution or pool of more than one position, with the pads of a Pad before it."""
        operator, source = border.operator, self.names.get(border.source, border.source)
        size, pads = self.size(border.source), border.pads
        if pads == border.same and size != border.input_hw:
            pads = same_pads(size, border.kernel, border.strides, border.dilations)
        if self.padding == "none":
            pads = NO_PADS
        elif self.padding == "reflect" and pads != NO_PADS:
            source = self.mirrored(source, pads)
            size, pads = (size[0] + pads[0] + pads[2], size[1] + pads[1] + pads[3]), NO_PADS
        output = window_output_hw(size, border.kernel, border.strides, border.dilations, pads)
        if min(output) < 1:
            raise UnsupportedError(
                f"{operator.kind} '{operator.name}': its map of {size[0]}x{size[1]} is smaller than its window; "
                "take larger images"
            )
        made = replace(
            operator, inputs=(source, *operator.inputs[1:]), attributes={**operator.attributes, "pads": pads}
        )
        self.operators.append(made)
        self.declare(self.graph.tensors[operator.outputs[0]], output)

    def pad(self, operator: Operator) -> None:
        """A Pad that windows take up is left to them; for what else reads it, it stands."""
        name, (top, left, bottom, right) = operator.inputs[0], pads_hw(self.graph, operator)
        height, width = self.size(name)
        if self.padding == "none":
            self.names[operator.outputs[0]] = self.names.get(name, name)
            return
        made = replace(operator, kind="ReflectPad", attributes={"pads": operator.attributes["pads"]})
        size = (height + top + bottom, width + left + right)
        self.emit(made if self.padding == "reflect" else operator, size)

    def join(self, operator: Operator) -> None:
        """Operands of one size: those larger than the smallest map are cut in the middle; one position stays one."""
        maps = [name for name in operator.inputs if name and self.is_map(name)]
        sizes = [self.size(name) for name in maps]
        common = tuple(
            min((size[axis] for size in sizes if size != (1, 1)), default=1) for axis in range(len(self.axes))
        )
        inputs = tuple(
            self.cut(name, (common[0], common[1])) if name in maps and self.size(name) != (1, 1) else name
            for name in operator.inputs
        )
        self.emit(replace(operator, inputs=inputs), (common[0], common[1]))

    def cut(self, name: str, size_hw: PairHw) -> str:
        """The middle of a map; itself where it has that size."""
        here = self.size(name)
        if here == size_hw:
            return name
        source = self.tensors[self.names.get(name, name)]
        begin, end = [0] * 4, list(source.shape)
        for axis, old, new in zip(self.axes, here, size_hw, strict=True):
            begin[axis] = (old - new) // 2
            end[axis] = begin[axis] + new
        return self.moved(
            source.name, "Slice", {"begin": tuple(begin), "end": tuple(end), "strides": (1,) * 4}, size_hw
        )

    def mirrored(self, name: str, pads: PadsHw) -> str:
        """A map with its mirror image around it."""
        pairs = [(0, 0)] * 4
        height, width = (self.tensors[name].shape[axis] for axis in self.axes)
        pairs[self.axes[0]], pairs[self.axes[1]] = (pads[0], pads[2]), (pads[1], pads[3])
        if max(pads[0], pads[2]) >= height or max(pads[1], pads[3]) >= width:
            raise UnsupportedError(
                f"'{name}': a map of {height}x{width} has too few positions to be mirrored {max(pads)} wide around it"
            )
        size = (height + pads[0] + pads[2], width + pads[1] + pads[3])
        return self.moved(name, "ReflectPad", {"pads": tuple(pairs)}, size)

    def moved(self, name: str, kind: str, attributes: Mapping[str, object], size_hw: PairHw) -> str:
        """The name of a tensor with the values of another in other places."""
        source = self.tensors[name]
        made = fresh_name(f"{name}/{kind}", {*self.graph.tensors, *self.tensors})
        self.operators.append(Operator(name=made, kind=kind, inputs=(name,), outputs=(made,), attributes=attributes))
        self.declare(replace(source, name=made), size_hw)
        return made

    def emit(self, operator: Operator, size_hw: PairHw) -> None:
        """An operator of the original whose output has this height and width."""
        self.operators.append(renamed_inputs(operator, self.names))
        self.declare(self.graph.tensors[operator.outputs[0]], size_hw)

    def declare(self, tensor: Tensor, size_hw: PairHw) -> None:
        """A tensor with this height and width; one that is no map keeps its shape."""
        shape = list(tensor.shape)
        if len(shape) == 4:
            for axis, size in zip(self.axes, size_hw, strict=True):
                shape[axis] = size
        self.tensors[tensor.name] = replace(tensor, shape=tuple(shape))

    def is_map(self, name: str) -> bool:
        """Whether a tensor is an activation with height and width."""
        made = self.tensors[self.names.get(name, name)]
        return made.data is None and len(made.shape) == 4

    def size(self, name: str) -> PairHw:
        """Height and width of an original tensor, as it is now."""
        shape = self.tensors[self.names.get(name, name)].shape
        return (shape[self.axes[0]], shape[self.axes[1]]) if len(shape) == 4 else (1, 1)
