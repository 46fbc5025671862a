"""What a sliding window's node says about one or two axes, in two axes: one axis becomes the second of (1, length)."""

from dataclasses import dataclass
from math import prod

from edge.graph.graph import Tensor
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]

LARGEST_STEP = 2**24  # of strides, dilations and pads: no map is larger, and every size still fits 32 bits


@dataclass(frozen=True, kw_only=True)
class Window:
    """A window over (height, width).

    Attributes:
        pads: (top, left, bottom, right).
    """

    kernel: Pair
    strides: Pair
    dilations: Pair
    pads: Pads


def window(node: Node, size: tuple[int, ...], kernel: tuple[int, ...]) -> Window:
    """The node's window over the spatial axes of one or two sizes. Refuses (NotCanonical) other forms."""
    if len(size) not in (1, 2) or len(kernel) != len(size) or min(kernel) < 1:
        raise NotCanonical(f"a window {kernel} over {len(size)} spatial axes")
    strides, dilations = per_axis(node, "strides", len(size)), per_axis(node, "dilations", len(size))
    mode = node.attributes.get("auto_pad", "NOTSET")
    sides = (0,) * (2 * len(size))
    if mode == "NOTSET":
        sides = tuple(int(value) for value in node.attributes.get("pads", sides))
        if len(sides) != 2 * len(size) or min(sides) < 0:
            raise NotCanonical(f"pads {sides}")
    elif mode in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [
            same_sides(one, window_, stride, dilation, upper=mode == "SAME_UPPER")
            for one, window_, stride, dilation in zip(size, kernel, strides, dilations, strict=True)
        ]
        sides = (*(before for before, _ in pairs), *(after for _, after in pairs))
    elif mode != "VALID":
        raise NotCanonical(f"auto_pad {mode}")
    if max(*strides, *dilations, *sides) > LARGEST_STEP:
        raise NotCanonical(f"strides {strides}, dilations {dilations}, pads {sides}: over {LARGEST_STEP}")
    half = len(size)
    before, after = _in_two(sides[:half], 0), _in_two(sides[half:], 0)
    return Window(
        kernel=_in_two(kernel, 1),
        strides=_in_two(strides, 1),
        dilations=_in_two(dilations, 1),
        pads=(*before, *after),
    )


def per_axis(node: Node, name: str, count: int) -> tuple[int, ...]:
    """An attribute with one positive value per spatial axis, ones where absent."""
    values = tuple(int(value) for value in node.attributes.get(name, (1,) * count))
    if len(values) != count or min(values) < 1:
        raise NotCanonical(f"{name} {values}")
    return values


def same_sides(size: int, kernel: int, stride: int, dilation: int, *, upper: bool) -> Pair:
    """Padding before and after by the SAME rule; an odd pixel goes after (upper) or before."""
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    smaller = total // 2
    return (smaller, total - smaller) if upper else (total - smaller, smaller)


def _in_two(values: tuple[int, ...], filler: int) -> Pair:
    return (values[0], values[1]) if len(values) == 2 else (filler, values[0])


def raised(importer: Importer, node: Node, x: Tensor) -> Tensor:
    """The activation (n, c, length) as (n, c, 1, length), by a Reshape; one of rank 4 as it is."""
    if len(x.shape) == 4:
        return x
    if len(x.shape) != 3:
        raise NotCanonical(f"an input of {len(x.shape)} axes; 1-D and 2-D windows are known")
    shape = (*x.shape[:2], 1, x.shape[2])
    return importer.tensor(importer.step("Reshape", node, (x.name,), {"shape": shape}, shape, dtype=x.dtype))


def raised_weight(importer: Importer, weight: Tensor) -> Tensor:
    """The weight (O, I, k) as (O, I, 1, k); one of rank 4 as it is."""
    if len(weight.shape) == 4:
        return weight
    if len(weight.shape) != 3 or weight.data is None:
        raise NotCanonical(f"a weight of {len(weight.shape)} axes")
    shape = (*weight.shape[:2], 1, weight.shape[2])
    importer.reserve(shape, weight.data.dtype.itemsize)
    data = weight.data.reshape(shape)
    return importer.tensors[importer.add_constant(f"{weight.name}/2d", data, weight.quantization, fresh=True)]


def finish(
    importer: Importer, node: Node, kind: str, inputs: tuple[str, ...], attributes: dict[str, object], dtype: str
) -> None:
    """Add the operator over two axes and, where the node's output has one, the Reshape that takes the other away."""
    output = node.outputs[0]
    shape = importer.types[output][1] if output in importer.types else ()
    if len(shape) == 4:
        importer.emit(kind, node, inputs, attributes)
        return
    if len(shape) != 3 or not prod(shape):
        raise NotCanonical("output of unknown shape")
    made = importer.step(kind, node, inputs, attributes, (*shape[:2], 1, shape[2]), dtype=dtype)
    importer.emit("Reshape", node, (made,), {"shape": shape})
