"""Padding: whether the windows of a network pad as its weights were trained to.

What surrounds a map tells a network where a pixel is (Islam et al., arXiv 2001.08248); with other pads than those of
its training every map is displaced, and no comparison of files shows it when all have them. Against a float parent pads
are compared, which costs nothing. Without one, or where the parent has them too, the network itself is asked: with the
padding it was trained with its answers tell images apart best.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.artifact.verdict import Finding
from edge.errors import EdgeError, UnsupportedError, UsageError
from edge.explain.answers import information, probabilities, standard_errors
from edge.explain.feature_maps import backbone
from edge.explain.network import Network
from edge.explain.position import features_of, scores
from edge.explain.position_readout import fit
from edge.explain.position_targets import position_targets
from edge.explain.score_output import score_output
from edge.graph.analyses.borders import Border, borders
from edge.graph.graph import Graph
from edge.graph.ops.padding import PadsHw
from edge.graph.passes.repad import with_pads
from edge.verification.checks.images import Images
from edge.verification.checks.parent import Parent
from edge.verification.checks.subject import Subject

LOOKED_AT = 128
READ = 48
"""Images that are asked about, and that positions are read on; MobileNetV2 is hardly told by 64."""
FEWEST = 16
SURE = 4.0
"""Standard errors of the mean by which answers must tell more: by chance 1 in 16,000."""
FITTED = 2 / 3
JUDGED = "horizontal"
"""Photographs themselves tell above from below and the middle from the rim, but not left from right."""
NAMES = {"same": "TensorFlow's SAME", "symmetric": "symmetric, as PyTorch's padding=1"}
CURES = {
    "symmetric": "pad as the weights were trained: before a window of stride 2 at the bottom and right alone (in "
    "PyTorch F.pad(x, (0, 1, 0, 1)) and padding=0), or train on with these pads",
    "same": "pad as the weights were trained: before a window of stride 2 on every side (in PyTorch padding=1), or "
    "train on with these pads",
}


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A window and the pads, top, left, bottom, right, that it may have to have."""

    border: Border
    pads: PadsHw

    @property
    def words(self) -> str:
        """The layer, what it pads, and what it should."""
        here = f"{_numbers(self.border.pads)}{_named(self.border)}"
        if self.border.value:
            here += f" of {self.border.value:.3g}"
        return f"{self.border.operator.kind} '{self.border.operator.name}' pads {here}, not {_numbers(self.pads)}"


def padding_findings(subject: Subject, parent: Parent | None, images: Images | None) -> list[Finding]:
    """What is wrong with the padding of an artifact's windows; with images also that nothing is.

    Args:
        parent: whose pads are the right ones, where its windows are the same ones.
        images: to ask the network and to read positions on; None: pads are compared, no image is looked at.

    Raises:
        UsageError: fewer than FEWEST images.
    """
    if images is not None and images.count < FEWEST:
        raise UsageError(
            f"--padding-check needs at least {FEWEST} images, {images.origin} has {images.count}; give --images or "
            "--split"
        )
    graph = subject.graphs.get(subject.source.path)
    if graph is None:
        return [] if images is None else [_unjudged(subject, "the file holds operators that are not read here")]
    named = subject.source.path
    wrong = unlike_parent(graph, parent)
    if wrong:
        evidence = {} if images is None else _read_evidence(graph, wrong, images)
        return [_fault(named, wrong, "the float parent does", evidence)]
    if wrong := not_zero(graph):
        return [_fault(named, wrong, "a border of zeros: integer 0 stands for another number", {})]
    return [] if images is None else [_by_answers(subject, graph, images)]


def unlike_parent(graph: Graph, parent: Parent | None) -> list[Suspect]:
    """The convolutions that pad otherwise than the float parent's, where both have the same ones in the same order."""
    if parent is None:
        return []
    try:
        return pads_apart(graph, parent.graph())
    except EdgeError:  # a parent that only ONNX Runtime can run
        return []


def pads_apart(graph: Graph, parent: Graph) -> list[Suspect]:
    """The same of the parent's graph."""
    theirs = [border for border in borders(parent) if border.outputs]
    mine = [border for border in borders(graph) if border.outputs]
    if [_window(border) for border in mine] != [_window(border) for border in theirs]:
        return []
    return [
        Suspect(border=border, pads=right.pads)
        for border, right in zip(mine, theirs, strict=True)
        if border.pads != right.pads or (border.value and not right.value)
    ]


def not_zero(graph: Graph) -> list[Suspect]:
    """Convolutions before which a Pad sets integer 0, where another integer stands for zero."""
    found = []
    for border in borders(graph):
        told = graph.tensors[border.source].quantization
        if border.value and border.outputs and told is not None:
            zero = -float(told.zero_point[0]) * float(told.scale[0])
            if abs(border.value - zero) < float(told.scale[0]) / 2:
                found.append(Suspect(border=border, pads=border.pads))
    return found


def other_conventions(graph: Graph) -> list[Suspect]:
    """The strided windows whose pads are those of one convention, with those of the other."""
    return [Suspect(border=border, pads=other) for border in borders(graph) if (other := border.other) is not None]


def _window(border: Border) -> tuple[Any, ...]:
    group = border.operator.attributes.get("group", 1)
    return border.kernel, border.strides, border.dilations, border.input_hw, border.outputs, group


def _by_answers(subject: Subject, graph: Graph, images: Images) -> Finding:
    """Whether the network's answers tell more where windows have the pads of the other convention."""
    named, groups = subject.source.path, by_convention(other_conventions(graph))
    if not groups:
        return _unjudged(subject, "no window pads otherwise by TensorFlow's rule than by PyTorch's")
    told: list[tuple[float, str, dict[str, Any]]] = []
    try:
        mine = informations(subject, graph, images)
        for suspects in groups:
            others = informations(subject, with_pads(graph, _pads(suspects)), images)
            t, better = standard_errors(others - mine), int((others > mine).sum())
            words = f"{others.mean():.3f} against {mine.mean():.3f} nats an image, {abs(t):.1f} standard errors"
            data = {"images": len(mine), "better_otherwise": better, "standard_errors": t}
            data |= {"information": float(mine.mean()), "information_otherwise": float(others.mean())}
            if t > SURE:
                reason = (
                    f"its weights were trained: its answers then tell more of {better} of {len(mine)} images ({words})"
                )
                return _fault(named, suspects, reason, {**data, **_read_evidence(graph, suspects, images)})
            told.append((t, f"of {len(suspects)} windows by the other of SAME and symmetric: {words}", data))
    except UnsupportedError as error:
        return _unjudged(subject, str(error))
    t, words, data = max(told, key=lambda entry: entry[0])
    if t > -SURE:
        detail = f"not told by these images; with pads {words}"
        return Finding(check="padding", subject=named, passed=None, detail=detail, data=data)
    detail = f"the network's answers tell less with pads {words}"
    return Finding(check="padding", subject=named, passed=True, detail=detail, data=data)


def by_convention(suspects: Sequence[Suspect]) -> list[list[Suspect]]:
    """The suspects of each convention that is there."""
    groups = ([one for one in suspects if one.border.convention == name] for name in NAMES)
    return [group for group in groups if group]


def informations(subject: Subject, graph: Graph, images: Images) -> np.ndarray:
    """How much the network's answer tells of every image looked at, in nats: float64 (n,).

    Raises:
        UnsupportedError: no output is scores of classes, or an operator has no formula.
    """
    manifest = subject.artifact.manifest
    background = None if manifest.detection is None else manifest.detection.background
    scored = score_output(graph, manifest.task, subject.source.outputs, background)
    every = max(1, int(np.prod(scored[0].tensors[scored[0].outputs[0]].shape)))
    answers = probabilities(scored, _pixels(images, LOOKED_AT), manifest.preprocess, cells=every)
    return information(answers, scored[1], by_cell=False)


def _read_evidence(graph: Graph, suspects: Sequence[Suspect], images: Images) -> dict[str, Any]:
    """The readout of position fitted on the maps with the right pads: how well it reads those, and the file's own."""
    preprocess = images.artifact.manifest.preprocess
    try:
        right, here = (
            Network(graph=backbone(made), preprocess=preprocess) for made in (with_pads(graph, _pads(suspects)), graph)
        )
        pixels = _pixels(images, READ)
        cut = round(FITTED * len(pixels))
        readout = fit(features_of(right, pixels[:cut]), tuple(position_targets().values()))
        read, misread = (scores(readout.predict(features_of(probed, pixels[cut:]))) for probed in (right, here))
    except UnsupportedError:  # a network without five maps: its pads are wrong all the same
        return {}
    return {
        "spearman": {name: found.spearman for name, found in misread.items()},
        "spearman_otherwise": {name: found.spearman for name, found in read.items()},
    }


def _fault(named: str, suspects: Sequence[Suspect], as_what: str, data: Mapping[str, Any]) -> Finding:
    first = suspects[0]
    more = f" (and {len(suspects) - 1} more windows)" if len(suspects) > 1 else ""
    detail = f"{first.words}{more}, as {as_what}"
    if "spearman" in data:
        here, there = data["spearman"][JUDGED], data["spearman_otherwise"][JUDGED]
        if here < there:
            detail += f"; a readout of horizontal position fitted on maps so padded: {there:.2f}, on these {here:.2f}"
    cure = "pad with the integer that stands for zero" if first.border.value else CURES.get(first.border.convention)
    detail += f"; {cure or 'pad as the float parent does'}"
    layers = [suspect.border.operator.name for suspect in suspects]
    pads = {suspect.border.operator.name: [list(suspect.border.pads), list(suspect.pads)] for suspect in suspects}
    return Finding(
        check="padding", subject=named, passed=False, detail=detail, data={**data, "layers": layers, "pads": pads}
    )


def _unjudged(subject: Subject, reason: str) -> Finding:
    return Finding(check="padding", subject=subject.source.path, passed=None, detail=f"not judged: {reason}")


def _pads(suspects: Sequence[Suspect]) -> dict[str, PadsHw]:
    return {suspect.border.operator.name: suspect.pads for suspect in suspects}


def _pixels(images: Images, most: int) -> list[np.ndarray]:
    """Images spread over the list."""
    places = np.linspace(0, images.count - 1, min(most, images.count)).round().astype(int)
    return [images.pixels(int(place)) for place in places]


def _numbers(pads: PadsHw) -> str:
    top, left, bottom, right = pads
    return f"{top} above, {left} left, {bottom} below, {right} right"


def _named(border: Border) -> str:
    name = NAMES.get(border.convention)
    return "" if name is None else f" ({name})"
