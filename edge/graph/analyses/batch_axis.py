"""Which operators mix or move axis 0, so that a graph runs for no batch but its own."""

from edge.graph.graph import Graph, Operator


def _uses_batch_axis(graph: Graph, operator: Operator) -> bool:
    attributes = operator.attributes
    match operator.kind:
        case "Mean" | "ReduceSum" | "ReduceMax" | "ReduceMin":
            return 0 in attributes["axes"]
        case "Concat" | "Softmax" | "LogSoftmax" | "L2Norm" | "ArgMax" | "Gather":
            return int(attributes["axis"]) == 0
        case "Pad" | "ReflectPad":
            return tuple(attributes["pads"][0]) != (0, 0)
        case "Transpose":
            return int(attributes["perm"][0]) != 0
        case "Tile":
            return int(attributes["repeats"][0]) != 1
        case "MatMul":
            first, second = (graph.tensors[name] for name in operator.inputs)
            shape = graph.tensors[operator.outputs[0]].shape
            moving = [tensor for tensor in (first, second) if tensor.data is None]
            if len(shape) == 2 and second.data is None:
                return True
            return any(len(tensor.shape) < len(shape) or tensor.shape[0] != shape[0] for tensor in moving)
        case "Reshape" | "Slice" | "Expand":
            return graph.tensors[operator.inputs[0]].shape[:1] != graph.tensors[operator.outputs[0]].shape[:1]
    return False


def batch_axis_user(graph: Graph) -> Operator | None:
    """The first operator that mixes or moves axis 0, so that only the graph's own batch can run; None if none does."""
    return next((operator for operator in graph.operators if _uses_batch_axis(graph, operator)), None)
