"""What an output means: proved by the graph, said by the card, or the ordinary case; anything else is refused."""

from dataclasses import dataclass

from edge.artifact.card import CardValues
from edge.artifact.model_file import Labels, TensorInfo
from edge.artifact.output_form import OUTPUT_FORMS, score_count
from edge.errors import UsageError
from edge.graph.analyses.output_meaning import Proof, Values, proof_of
from edge.graph.graph import Graph
from edge.port import Scores

WAY_OUT = "with -o NAME.tflite the model is converted without a task"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What is known besides the graph: `values` and `scores` of a card, or of what this product trained."""

    values: CardValues | None = None
    scores: Scores | None = None


NOTHING_SAID = Said()


def output_meaning(graph: Graph, said: Said, *, task: str, count: int) -> tuple[Values, Scores | None]:
    """The meaning of a graph's only output, and whether its scores exclude each other (None for a class map).

    Args:
        count: scores per image, or per cell of a segmenter.

    Raises:
        UsageError: what is said contradicts the graph, or nothing says what the scores are; with what to do.
    """
    return meaning_of(proof_of(graph, graph.outputs[0]), said, task=task, count=count)


def meaning_of(
    proof: Proof, said: Said, *, task: str, count: int, way_out: str = WAY_OUT
) -> tuple[Values, Scores | None]:
    """The same of what one output proves; `way_out` is what to do with a model that is none of the task."""
    if proof.values == "class_map":
        if proof.values not in OUTPUT_FORMS[task].meanings:
            raise UsageError(f"the model ends in {proof.ending}, a class and no scores; {way_out}")
        return "class_map", None
    values = _values(proof, said, way_out)
    if count == 1:
        if "exclusive" in (said.scores, proof.scores):
            raise UsageError(
                "one score cannot exclude others: a model that answers yes or no ends in a Sigmoid or in its logit, "
                f"and this one in {proof.ending}; take scores = 'exclusive' out of the card if it says so, or "
                f"{way_out}"
            )
        return values, "independent"
    if proof.scores == "exclusive" and said.scores == "independent":
        raise UsageError(f"the card says scores = 'independent', and the model ends in {proof.ending}")
    scores = said.scores or proof.scores
    if OUTPUT_FORMS[task].per_cell and scores == "independent":
        raise UsageError(
            f"{count} independent scores per cell (the model ends in {proof.ending}): masks that overlap make no class "
            f"map; say scores = 'exclusive' in the card if the largest one wins, or {way_out}"
        )
    # The ordinary case: several logits of a classifier or segmenter are trained by cross-entropy.
    return values, scores or "exclusive"


def _values(proof: Proof, said: Said, way_out: str) -> Values:
    if proof.values is None and (said.values is None or said.scores is None):
        raise UsageError(
            f"the model ends in {proof.ending}, which does not prove what its scores are: say values = 'logits' or "
            f"'probabilities' and scores = 'exclusive' or 'independent' at the top of the card, or {way_out}"
        )
    if proof.values == "probabilities" and said.values == "logits":
        raise UsageError(f"the card says values = 'logits', and the model ends in {proof.ending}: probabilities")
    return said.values or proof.values or "logits"


def named_classes(labels: Labels, task: str, output: TensorInfo) -> Labels:
    """The names of an output's classes: a single score with one name stands for `not NAME` and NAME."""
    one = output.meaning != "class_map" and score_count(task, output) == 1
    if not one or len(labels.names) != 1:
        return labels
    palette = None if labels.palette is None else ((0, 0, 0), labels.palette[0])
    return labels.model_copy(update={"names": (f"not {labels.names[0]}", labels.names[0]), "palette": palette})
