"""AveragePool, MaxPool and GlobalAveragePool."""

from edge.graph.importers.onnx.operators.windows import finish, raised, window
from edge.graph.importers.onnx.parsing.importer import Importer, Node, NotCanonical


def pool(importer: Importer, node: Node) -> None:
    """AveragePool and MaxPool over one or two axes; what ceil_mode adds becomes pads at the end.

    Those are never counted, and a window that would lie in them alone is omitted. Where the file's own pads are
    counted beside them, these become a Pad in front.
    """
    x = importer.tensor(node.input(0))
    kernel = tuple(int(value) for value in node.attributes.get("kernel_shape", ()))
    if len(node.outputs) > 1 and any(node.outputs[1:]):
        raise NotCanonical("the indices of the largest values")
    if len(x.shape) not in (3, 4):
        raise NotCanonical(f"a pool over {len(x.shape) - 2} axes; one and two are known")
    seen, axes = window(node, x.shape[2:], kernel), len(x.shape) - 2
    if seen.dilations != (1, 1):
        raise NotCanonical("a dilated pool")
    average = node.kind == "AveragePool"
    include = average and bool(node.attributes.get("count_include_pad", 0))
    output = node.outputs[0]
    shape = importer.types[output][1] if output in importer.types else ()
    if len(shape) != len(x.shape):
        raise NotCanonical("output of unknown shape")
    shape = importer.types[output][1][:2] + tuple(
        made - 1 if (made - 1) * stride >= size + before else made
        for made, stride, size, before in zip(
            shape[2:], seen.strides[-axes:], x.shape[2:], seen.pads[:2][-axes:], strict=True
        )
    )
    importer.types[output] = (x.dtype, shape)
    flat = raised(importer, node, x)
    size_hw, out_hw, pads = flat.shape[2:], (1, *shape[2:])[-2:], list(seen.pads)
    for side in range(2):
        reach = (out_hw[side] - 1) * seen.strides[side] + seen.kernel[side] - size_hw[side] - pads[side]
        if reach > pads[2 + side] and include and any(pads):
            return _counted_then_more(importer, node)
        pads[2 + side] = max(pads[2 + side], reach)
    attributes: dict[str, object] = {"kernel": seen.kernel, "strides": seen.strides, "pads": tuple(pads)}
    attributes["activation"] = "none"
    if average:
        attributes["count_include_pad"] = include and any(seen.pads)
    finish(importer, node, node.kind, (flat.name,), attributes, x.dtype)


def _counted_then_more(importer: Importer, node: Node) -> None:
    """Pads that count and, from ceil_mode, further ones that do not: a Pad in front, then the pool without pads."""
    x = importer.tensor(node.input(0))
    seen = window(node, x.shape[2:], tuple(node.attributes["kernel_shape"]))
    half = len(x.shape) - 2
    starts, ends = seen.pads[:2][-half:], seen.pads[2:][-half:]
    pads = ((0, 0), (0, 0), *zip(starts, ends, strict=True))
    shape = tuple(size + sum(pair) for size, pair in zip(x.shape, pads, strict=True))
    padded = importer.step("Pad", node, (x.name,), {"pads": pads, "value": 0.0}, shape, dtype=x.dtype)
    kept = {name: value for name, value in node.attributes.items() if name not in ("pads", "auto_pad")}
    attributes = kept | {"count_include_pad": 0}
    pool(importer, Node(kind=node.kind, name=node.name, inputs=(padded,), outputs=node.outputs, attributes=attributes))


def global_average_pool(importer: Importer, node: Node) -> None:
    """A Mean over the spatial axes that keeps them."""
    x = importer.tensor(node.input(0))
    importer.emit("Mean", node, (x.name,), {"axes": tuple(range(2, len(x.shape))), "keepdims": True})
