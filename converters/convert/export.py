"""A checkpoint becomes a graph: float with batch norm folded, or the trained integers."""

import torch

from converters.convert.heads import append_head
from converters.packaging.point_head import PointHeadGraph
from edge.errors import UsageError
from edge.graph.graph import Graph
from edge.models.point_head import PointHead, point_head_of
from edge.quantization.qat.freeze import float_graph, freeze
from edge.quantization.qat.point_rend import QuantizedPointRend, frozen_network
from edge.training.checkpoint import Checkpoint, restore_module


def export_checkpoint(checkpoint: Checkpoint, *, head: str = "logits") -> Graph:
    """The graph that a checkpoint stands for.

    Args:
        checkpoint: of kind `float` (a float32 graph comes out) or `qat` (int8, exactly the trained parameters).
        head: what a segmenter ends in, see `append_head`; `logits` for a classifier.

    Returns:
        An NCHW graph of batch 1.

    Raises:
        UsageError: the head is unknown or does not fit the task.
        UnsupportedError: the network holds an operation that cannot be exported, by name.
    """
    module = restore_module(checkpoint)
    module.eval()
    if isinstance(module, QuantizedPointRend):
        return _only_logits(frozen_network(module), head)
    if checkpoint.kind == "qat":
        return append_head(freeze(module), head)
    preprocess = checkpoint.recipe.preprocess
    example = torch.zeros(1, 3, preprocess.height, preprocess.width)
    graph = float_graph(module, example)
    return append_head(graph, head) if point_head_of(module) is None else _only_logits(graph, head)


def export_point_head(checkpoint: Checkpoint) -> PointHeadGraph | None:
    """The graph of a checkpoint's point head, float or of the trained integers; None where it has none."""
    module = restore_module(checkpoint)
    if isinstance(module, QuantizedPointRend):
        return PointHeadGraph(graph=freeze(module.point_head), steps=module.steps)
    head = point_head_of(module)
    return None if head is None else PointHeadGraph(graph=float_head_graph(head), steps=head.steps)


def float_head_graph(head: PointHead) -> Graph:
    """The float graph (nchw) of a point head for its number of points."""
    return float_graph(head.eval(), torch.zeros(head.input_shape))


def _only_logits(graph: Graph, head: str) -> Graph:
    if head != "logits":
        raise UsageError(f"--head {head}: a point head refines the network's own logits; take --head logits")
    return graph
