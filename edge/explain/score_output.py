"""Where a graph's probabilities of classes come from, and how they are made of it."""

from collections.abc import Callable, Mapping, Sequence
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
        meaning: `logits` or `probabilities`. scores: `exclusive` or `independent`. class_axis: of a map, or of anchors.
        background: of a detector, the column that is no class; None: every column is one.
    """

    task: str
    meaning: str
    scores: str | None
    class_axis: int
    background: int | None = None

    def probabilities(self, values: Tensor) -> Tensor:
        """Real values of the output to probabilities (n, classes), of a map (n, classes, rows, columns).

        One score is of yes; its two classes are no and yes. A detector's score of a class is that of its best anchor.
        """
        scores = CLASSES_FIRST[self.task](values, self.class_axis)
        if self.meaning == "logits":
            scores = scores.sigmoid() if self.scores == "independent" else scores.softmax(dim=1)
        return OF_CLASSES[self.task](scores, self.background)


def _of_image(values: Tensor, class_axis: int) -> Tensor:
    return values.reshape(len(values), -1)


def _of_cells(values: Tensor, class_axis: int) -> Tensor:
    return values.movedim(class_axis, 1)


def _no_and_yes(scores: Tensor, background: int | None) -> Tensor:
    return torch.cat([1 - scores, scores], dim=1) if scores.shape[1] == 1 else scores


def _best_anchor(scores: Tensor, background: int | None) -> Tensor:
    classes = [column for column in range(scores.shape[1]) if column != background]
    return scores[:, classes].amax(dim=2)


CLASSES_FIRST: Mapping[str, Callable[[Tensor, int], Tensor]] = {
    "classify": _of_image,
    "segment": _of_cells,
    "detect": _of_cells,
}
OF_CLASSES: Mapping[str, Callable[[Tensor, int | None], Tensor]] = {
    "classify": _no_and_yes,
    "segment": _no_and_yes,
    "detect": _best_anchor,
}
NETWORK_ENDINGS: Mapping[str, tuple[int, int, int | None]] = {
    "classify": (0, 1, None),
    "segment": (0, 1, None),
    "detect": (1, 2, 0),
}
"""Of the networks that are trained here: the place of the output with the scores, their class axis, the background."""


def score_output(
    graph: Graph, task: str, outputs: Sequence[TensorInfo], background: int | None = None
) -> tuple[Graph, Ending]:
    """The graph up to its scores, as its first output: of a class map up to what its ArgMax takes.

    Args:
        outputs: the manifest's words for all of them. background: see `Ending`.

    Raises:
        UnsupportedError: a class map that no ArgMax makes, one output that is not a map of classes, or no scores.
    """
    scored = [place for place, told in enumerate(outputs) if told.meaning in ("logits", "probabilities", "class_map")]
    if not scored:
        raise UnsupportedError(f"output '{outputs[0].name}': no output is scores of classes that could be explained")
    told, name = outputs[scored[0]], graph.outputs[scored[0]]
    if told.meaning != "class_map":
        axis = {"nhwc": 3, "nac": 2}.get(told.layout, 1)
        ending = Ending(task=task, meaning=told.meaning, scores=told.scores, class_axis=axis, background=background)
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
