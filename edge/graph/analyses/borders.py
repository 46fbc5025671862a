"""What every window of a network reads beyond the border of its map: pads of its own, and of a Pad before it."""

from collections.abc import Iterator
from dataclasses import dataclass

from edge.graph.graph import Graph, Operator
from edge.graph.ops.padding import PadsHw, PairHw, same_pads, window_output_hw

WINDOWS = frozenset({"Conv", "AveragePool", "MaxPool"})
NO_PADS: PadsHw = (0, 0, 0, 0)


@dataclass(frozen=True, kw_only=True)
class Border:
    """One window that moves over a map of `input_hw`, with what surrounds the map.

    Attributes:
        operator: the Conv or pool. pad: the explicit Pad before it whose result it reads, if any.
        source: the map itself, before that Pad.
        pads: top, left, bottom, right in pixels, of both together. value: the real number that the explicit Pad sets;
            what pads by itself sets 0, a MaxPool nothing.
        outputs: channels of a Conv's weight.
    """

    operator: Operator
    pad: Operator | None
    source: str
    kernel: PairHw
    strides: PairHw
    dilations: PairHw
    input_hw: PairHw
    pads: PadsHw
    value: float
    outputs: int

    @property
    def same(self) -> PadsHw:
        """The pads of TensorFlow's SAME rule."""
        return same_pads(self.input_hw, self.kernel, self.strides, self.dilations)

    @property
    def symmetric(self) -> PadsHw:
        """PyTorch's: as many after as before, (kernel - 1) / 2 times the dilation; none of windows side by side."""
        top, left = (
            (size - 1) * dilation // 2 if size > stride else 0
            for size, stride, dilation in zip(self.kernel, self.strides, self.dilations, strict=True)
        )
        return top, left, top, left

    @property
    def convention(self) -> str:
        """`same`, `symmetric`, `either` where the two are equal, `none` or `own`."""
        names = [name for name, pads in (("same", self.same), ("symmetric", self.symmetric)) if pads == self.pads]
        return "either" if len(names) == 2 else (names or ["none" if self.pads == NO_PADS else "own"])[0]

    @property
    def other(self) -> PadsHw | None:
        """The pads by the other of the two conventions, where it is one of them and the output keeps its size."""
        pads = {"same": self.symmetric, "symmetric": self.same}.get(self.convention)
        return pads if pads is not None and self.output_hw(pads) == self.output_hw(self.pads) else None

    def output_hw(self, pads: PadsHw) -> PairHw:
        """Height and width of the result with these pads."""
        return window_output_hw(self.input_hw, self.kernel, self.strides, self.dilations, pads)


def borders(graph: Graph) -> Iterator[Border]:
    """Every window of more than one position, in the graph's order."""
    made = {operator.outputs[0]: operator for operator in graph.operators}
    axes = spatial_axes(graph)
    for operator in graph.operators:
        if operator.kind not in WINDOWS:
            continue
        given = operator.attributes
        kernel = given["kernel"] if "kernel" in given else graph.tensors[operator.inputs[1]].shape[2:4]
        if kernel == (1, 1):
            continue
        before = made.get(operator.inputs[0])
        pad = before if before is not None and before.kind == "Pad" and is_spatial(graph, before) else None
        source = operator.inputs[0] if pad is None else pad.inputs[0]
        around = NO_PADS if pad is None else pads_hw(graph, pad)
        shape = graph.tensors[source].shape
        yield Border(
            operator=operator,
            pad=pad,
            source=source,
            kernel=(kernel[0], kernel[1]),
            strides=given["strides"],
            dilations=given.get("dilations", (1, 1)),
            input_hw=(shape[axes[0]], shape[axes[1]]),
            pads=plus(given["pads"], around),
            value=0.0 if pad is None else float(pad.attributes["value"]),
            outputs=graph.tensors[operator.inputs[1]].shape[0] if operator.kind == "Conv" else 0,
        )


def spatial_axes(graph: Graph) -> PairHw:
    """The axes of height and width of a map."""
    return (2, 3) if graph.layout == "nchw" else (1, 2)


def is_spatial(graph: Graph, pad: Operator) -> bool:
    """Whether a Pad of a map pads height and width alone."""
    pads = pad.attributes["pads"]
    axes = spatial_axes(graph)
    return len(pads) == 4 and all(pair == (0, 0) for axis, pair in enumerate(pads) if axis not in axes)


def pads_hw(graph: Graph, pad: Operator) -> PadsHw:
    """Top, left, bottom, right of a Pad of a map."""
    (top, bottom), (left, right) = (pad.attributes["pads"][axis] for axis in spatial_axes(graph))
    return top, left, bottom, right


def plus(first: PadsHw, second: PadsHw) -> PadsHw:
    """The pads of two one after the other."""
    top, left, bottom, right = (mine + theirs for mine, theirs in zip(first, second, strict=True))
    return top, left, bottom, right
