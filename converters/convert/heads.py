"""What a segmenter ends in, logits or a class map, at the network's own resolution or at full size; and a detector."""

from collections.abc import Mapping
from dataclasses import replace

from converters.packaging.four_outputs import POSTPROCESS
from edge.errors import UsageError, unknown_name
from edge.graph.graph import Graph, Operator, Tensor, channel_axis

HEADS = ("logits", "full_logits", "class_map", "full")
RAW = "raw"
TASK_HEADS: Mapping[str, tuple[str, ...]] = {"classify": (), "segment": HEADS, "detect": (RAW, POSTPROCESS)}
"""What a task's model can end in; the first where nothing else is asked for.

`raw`: box codes and scores; `postprocess`: in the TFLite file TFLite_Detection_PostProcess behind them, which gives
boxes, classes, scores and their number.
"""


def append_head(graph: Graph, head: str) -> Graph:
    """Append a segmentation head to a graph whose one output is logits (n, classes, h, w) or (n, h, w, classes).

    Args:
        graph: float32 or int8, either layout.
        head: `logits` changes nothing, nor do a detector's; `class_map` appends an arg-max over classes; `full`
            first resizes the logits bilinearly (half-pixel centres, same quantization parameters) to the size of the
            input; `full_logits` ends there. Class maps are int32 (n, h, w); ties go to the lower class.

    Raises:
        UsageError: an unknown head, or a graph that does not end in one 4-D tensor.
    """
    if head not in (*HEADS, RAW, POSTPROCESS):
        raise UsageError(unknown_name("head", head, HEADS))
    if head in ("logits", RAW, POSTPROCESS):
        return graph
    if len(graph.outputs) != 1 or len(graph.tensors[graph.outputs[0]].shape) != 4:
        raise UsageError(f"head '{head}' needs a model that ends in one 4-D tensor of logits")
    logits = graph.tensors[graph.outputs[0]]
    axis = channel_axis(graph.layout, 4)
    if logits.shape[axis] == 1 and head in ("full", "class_map"):
        raise UsageError(
            f"head '{head}' takes the largest of several classes, and this model has one score per cell, yes or "
            "no: leave --head out (or full_logits); a cell is yes from a probability of 0.5 on"
        )
    if head in ("full", "full_logits"):
        graph = _resized_to_input(graph)
    if head == "full_logits":
        return graph
    logits = graph.tensors[graph.outputs[0]]
    shape = tuple(size for index, size in enumerate(logits.shape) if index != axis)
    class_map = Tensor(name="class_map", shape=shape, dtype="int32")
    operator = Operator(
        kind="ArgMax",
        name="head.arg_max",
        inputs=(logits.name,),
        outputs=(class_map.name,),
        attributes={"axis": axis, "keepdims": False},
    )
    return _extended(graph, operator, class_map)


def _resized_to_input(graph: Graph) -> Graph:
    logits = graph.tensors[graph.outputs[0]]
    channels = channel_axis(graph.layout, 4)
    spatial = (2, 3) if graph.layout == "nchw" else (1, 2)
    given = graph.tensors[graph.inputs[0]].shape
    size_hw = (given[spatial[0]], given[spatial[1]])
    n, c = logits.shape[0], logits.shape[channels]
    shape = (n, c, *size_hw) if graph.layout == "nchw" else (n, *size_hw, c)
    resized = Tensor(name="full_logits", shape=shape, dtype=logits.dtype, quantization=logits.quantization)
    operator = Operator(
        kind="Resize",
        name="head.resize",
        inputs=(logits.name,),
        outputs=(resized.name,),
        attributes={"mode": "linear", "coordinates": "half_pixel", "size_hw": size_hw},
    )
    return _extended(graph, operator, resized)


def _extended(graph: Graph, operator: Operator, output: Tensor) -> Graph:
    return replace(
        graph,
        operators=(*graph.operators, operator),
        tensors={**graph.tensors, output.name: output},
        outputs=(output.name,),
    )
