"""`edge explain --compare`: whether two models look at the same places, on an image or on many."""

from math import isnan
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from edge.cli.explain_one import missed
from edge.data.damaged import without_damaged
from edge.data.splits import Split
from edge.errors import UsageError
from edge.terminal import Bars, say, say_json, show_wide
from edge.vision.pixels import Pixels

if TYPE_CHECKING:
    from edge.explain.drift import Drift
    from edge.explain.explain_image import Method
    from edge.explain.explained import Explained
    from edge.explain.integrated_gradients import Attribution
    from edge.explain.target import Box

    Pair = tuple[Explained, Explained]


def compare_image(
    pair: "Pair",
    image: Path,
    frame: Pixels,
    method: "Method",
    named: str | None,
    box: "Box | None",
    out: Path,
    *,
    as_json: bool,
) -> None:
    """Explain one score of an image by two models; writes the arrays of both and the three pictures beside another."""
    from edge.explain.drift import drift
    from edge.explain.output import write_attributions

    reference, other = _ordered(pair)
    found = drift(reference, other, frame, method, named, box)
    for stem, attribution in ((image.stem, found.reference), (f"{image.stem}.compared", found.other)):
        write_attributions(out, stem, frame, attribution, reference.preprocess)
    picture = out / f"{image.stem}.both.png"
    _write_both(picture, frame, reference, other, found)
    told = {**_facts(str(image), reference, found), "picture": str(picture)}
    if as_json:
        say_json({"reference": reference.name, "other": other.name, **told})
        return
    say(
        f"{image}: {told['class']}; reference {reference.name}, {reference.kind}, {100 * told['score']:.2f} %; "
        f"other {other.name}, {other.kind}, {100 * told['other_score']:.2f} %{_words(told, '; ')}",
        f"rank correlation on windows {told['correlation']:.3f}, noise floor {told['floor_correlation']:.4f}; "
        f"the sums are off by {100 * found.reference.error:.2f} % and {100 * found.other.error:.2f} %",
        *_missed([told], (reference, other), method),
        f"written: {picture}",
    )


def compare_split(
    pair: "Pair",
    split: Split,
    samples: int | None,
    method: "Method",
    named: str | None,
    box: "Box | None",
    out: Path,
    *,
    as_json: bool,
    skip: bool,
) -> None:
    """Compare on the images of a split; writes pictures of those on which the other model looks elsewhere."""
    from edge.explain.drift import drift

    reference, other = _ordered(pair)
    if samples is not None:
        split = split.subset(range(min(samples, len(split))))
    split = without_damaged(split, skip=skip)
    rows = []
    with Bars() as progress:
        bar = progress.add_task("explain", total=len(split))
        for index in range(len(split)):
            frame = split.image(index)
            try:
                found = drift(reference, other, frame, method, named, box)
            except UsageError as error:
                raise UsageError(f"{split.name(index)}: {error}") from error
            told = _facts(split.name(index), reference, found)
            if found.elsewhere:
                told["picture"] = str(
                    out / f"{Path(split.name(index)).with_suffix('').as_posix().replace('/', '_')}.both.png"
                )
                _write_both(Path(told["picture"]), frame, reference, other, found)
            rows.append(told)
            if as_json:
                say_json({"row": "image", **told})
            progress.advance(bar)
    summary = _summary(rows)
    if as_json:
        say_json({"row": "drift", "reference": reference.name, "other": other.name, "split": split.origin, **summary})
        return
    say(
        f"reference {reference.name}, {reference.kind}; other {other.name}, {other.kind}; {split.origin}, "
        f"{len(rows)} images"
    )
    _print(_worst_first(rows))
    say(
        f"drift {summary['drift']:.3f} (1 - mean rank correlation on windows of 16x16), noise floor "
        f"{summary['floor']:.3f}; looks elsewhere on {len(summary['elsewhere'])} of {len(rows)} images",
        *_missed(rows, (reference, other), method),
    )


def _ordered(pair: "Pair") -> "Pair":
    """The reference first: the float one of the two, else the first. Refuses (UsageError) models of other classes."""
    first, second = pair
    if first.task != second.task or first.names != second.names:
        raise UsageError(f"{first.name} and {second.name} have other tasks or classes; nothing can be compared")
    if first.preprocess != second.preprocess:
        raise UsageError(f"{first.name} and {second.name} preprocess images otherwise; nothing can be compared")
    return (second, first) if second.kind == "float" != first.kind else pair


def _facts(image: str, reference: "Explained", found: "Drift") -> dict[str, Any]:
    return {
        "image": image,
        "class": reference.names[found.target.index],
        "index": found.target.index,
        "score": found.reference.score,
        "other_score": found.other.score,
        "decides_alike": found.decides_alike,
        "correlation": found.correlation,
        "floor_correlation": found.floor,
        "elsewhere": found.elsewhere,
        "undecided": found.undecided,
        "steps": [found.reference.steps, found.other.steps],
        "completeness_error": [found.reference.error, found.other.error],
        "complete": [found.reference.complete, found.other.complete],
    }


def _summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    known = [told for told in rows if not isnan(told["correlation"]) and not isnan(told["floor_correlation"])]
    return {
        "images": len(rows),
        "drift": 1 - fmean(told["correlation"] for told in known) if known else float("nan"),
        "floor": 1 - fmean(told["floor_correlation"] for told in known) if known else float("nan"),
        "elsewhere": [told["image"] for told in _worst_first(rows) if told["elsewhere"]],
    }


def _worst_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By correlation; last where there is none, as of an image that is its own baseline."""
    return sorted(rows, key=lambda told: (isnan(told["correlation"]), told["correlation"]))


def _missed(rows: list[dict[str, Any]], pair: "Pair", method: "Method") -> list[str]:
    """A line for each model whose attributions do not sum to the change of its score."""
    lines = []
    for place, (role, model) in enumerate(zip(("reference", "other"), pair, strict=True)):
        if count := sum(not told["complete"][place] for told in rows):
            where = f" on {count} of {len(rows)} images" if len(rows) > 1 else ""
            lines.append(f"{role}{where} {missed(model.kind, method.steps_for(model))}")
    return lines


def _words(told: dict[str, Any], before: str = "") -> str:
    words = [
        *(["looks elsewhere"] if told["elsewhere"] else []),
        *(["cannot be told: the sums are too far off"] if told["undecided"] else []),
        *([] if told["decides_alike"] else ["decides otherwise"]),
    ]
    return before * bool(words) + ", ".join(words)


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table()
    table.add_column("image")
    table.add_column("class")
    for title in ("score %", "other %", "correlation", "floor", "off %", "other off %"):
        table.add_column(title, justify="right")
    table.add_column("")
    for told in rows:
        shares = [100 * told["score"], 100 * told["other_score"]]
        off = [100 * share for share in told["completeness_error"]]
        table.add_row(
            Path(told["image"]).name,
            told["class"].partition(",")[0],
            *(f"{share:.2f}" for share in shares),
            f"{told['correlation']:.3f}",
            f"{told['floor_correlation']:.4f}",
            *(f"{share:.2f}" for share in off),
            _words(told),
        )
    show_wide(table)


def _write_both(path: Path, frame: Pixels, reference: "Explained", other: "Explained", found: "Drift") -> None:
    from edge.explain.explain_image import summed
    from edge.explain.picture import draw_attributions
    from edge.vision.picture_file import write_side_by_side

    def drawn(attribution: "Attribution") -> Pixels:
        return draw_attributions(frame, summed(attribution), reference.preprocess)

    name = reference.names[found.target.index].partition(",")[0]
    pictures = [
        (name, np.ascontiguousarray(frame)),
        (f"{reference.kind} {100 * found.reference.score:.1f} %", drawn(found.reference)),
        (f"{other.kind} {100 * found.other.score:.1f} %", drawn(found.other)),
    ]
    write_side_by_side(path, pictures)
