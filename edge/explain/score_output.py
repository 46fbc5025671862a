"""Where a graph's probabilities of classes come from, and how they are made of it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from edge.artifact.model_file import TensorInfo
from edge.errors import UnsupportedError
from edge.graph.analyses.output_meaning import proof_of
from edge.graph.graph import Graph
from edge.graph.passes.rewrite import rebuild


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What an output's values mean.

    Attributes:
        meaning: `logits` or `probabilities`. scores: `exclusive` or `independent`. class_axis: of a map.
    """

    task: str
    meaning: str
    scores: str | None
    class_axis: int

    def probabilities(self, values: Tensor) -> Tensor:
        """Real values of the output to probabilities (n, classes), of a map (n, classes, rows, columns).

        One score is of yes; its two classes are no and yes.
        """
        scores = values.movedim(self.class_axis, 1) if self.task == "segment" else values.reshape(len(values), -1)
        if self.meaning == "logits":
            scores = scores.sigmoid() if self.scores == "independent" else scores.softmax(dim=1)
        return torch.cat([1 - scores, scores], dim=1) if scores.shape[1] == 1 else scores


def score_output(graph: Graph, task: str, told: TensorInfo, answer: int) -> tuple[Graph, Ending]:
    """The graph up to its scores, as its first output: of a class map up to what its ArgMax takes.

    Args:
        told: the manifest's words for the output at `answer`.

    Raises:
        UnsupportedError: a class map that no ArgMax makes, or one output that is not a map of classes.
    """
    name = graph.outputs[answer]
    if told.meaning != "class_map":
        axis = 3 if told.layout == "nhwc" else 1
        ending = Ending(task=task, meaning=told.meaning, scores=told.scores, class_axis=axis)
        return rebuild(graph, graph.operators, outputs=(name,)), ending
    makers = {operator.outputs[0]: operator for operator in graph.operators}
    while name in makers and makers[name].kind != "ArgMax":
        name = makers[name].inputs[0]
    if name not in makers:
        raise UnsupportedError(f"output '{told.name}': a class map without an ArgMax has no scores to explain")
    operator = makers[name]
    scores = operator.inputs[0]
    meaning = proof_of(graph, scores).values or "logits"
    ending = Ending(task=task, meaning=meaning, scores="exclusive", class_axis=int(operator.attributes["axis"]))
    return rebuild(graph, graph.operators, outputs=(scores,)), ending
