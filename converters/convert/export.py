"""A checkpoint becomes a graph: float with batch norm folded, or the trained integers."""

import torch

from converters.convert.heads import append_head
from edge.graph.graph import Graph
from edge.quantization.qat.freeze import float_graph, freeze
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
    if checkpoint.kind == "qat":
        return append_head(freeze(module), head)
    preprocess = checkpoint.recipe.preprocess
    example = torch.zeros(1, 3, preprocess.height, preprocess.width)
    return append_head(float_graph(module, example), head)
