"""Why time is lost and what would pay: each follows from times that were measured, none is said without."""

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

from device_bench.explanation import Change, ExplainedOperator, Reason

if TYPE_CHECKING:
    from device_bench.explain_speed.roofline import OperatorFacts

SMALLEST_GAIN = 0.005  # of the whole time; less is noise
TILE = 8  # channels that the narrowest of the common int8 kernels computes at once
BOUNDARY = ("Quantize", "Dequantize", "QuantizeLinear", "DequantizeLinear")  # the latter: put in by ONNX Runtime
MOVING = ("Transpose", "ReorderInput", "ReorderOutput")
WEIGHTED = ("Conv", "Gemm", "ConvTranspose", "MatMul")

# name -> (which operators, what is said of them, the change that removes them or None)
CLASSES: Mapping[str, tuple[Callable[["OperatorFacts"], bool], str, str | None]] = MappingProxyType(
    {
        "pad": (lambda fact: fact.kind == "Pad", "pads of their own", "fold the pads into the convolutions (SAME)"),
        "transpose": (lambda fact: fact.kind in MOVING, "transposes", "take the transposes out"),
        "quantize": (lambda fact: fact.kind in BOUNDARY, "changes of precision", "keep one precision throughout"),
        "resize": (lambda fact: fact.kind == "Resize", "resizes", None),
        "depthwise": (lambda fact: fact.depthwise, "depthwise convolutions", None),
        "channels": (
            lambda fact: fact.kind in WEIGHTED and fact.channels % TILE != 0,
            f"weighted operators whose channels are no multiple of {TILE}",
            None,
        ),
    }
)


def reasons(facts: Sequence["OperatorFacts"], operators: Sequence[ExplainedOperator]) -> tuple[Reason, ...]:
    """Every class of operators that stands in the model, with its measured share, the largest first."""
    found = []
    for name, (belongs, words, _) in CLASSES.items():
        shares = [operator.share_time for fact, operator in zip(facts, operators, strict=True) if belongs(fact)]
        if shares:
            sentence = f"{len(shares)} {words} take {sum(shares):.1%} of the time"
            found.append(Reason(name=name, sentence=sentence, share_time=sum(shares)))
    floats = _float_positions(facts)
    if floats:
        share = sum(operators[place].share_time for place in floats)
        sentence = f"{len(floats)} operators of an integer model compute in float, {share:.1%} of the time"
        found.append(Reason(name="float", sentence=sentence, share_time=share))
    return tuple(sorted(found, key=lambda reason: -reason.share_time))


def changes(facts: Sequence["OperatorFacts"], operators: Sequence[ExplainedOperator]) -> tuple[Change, ...]:
    """The three that would save most; those below SMALLEST_GAIN are left away."""
    found = [*_removals(facts, operators), *_smaller_class_map(facts, operators), *_other_widths(facts, operators)]
    paying = [change for change in found if change.gain >= SMALLEST_GAIN]
    return tuple(sorted(paying, key=lambda change: -change.gain)[:3])


def _removals(facts: Sequence["OperatorFacts"], operators: Sequence[ExplainedOperator]) -> list[Change]:
    found = []
    for belongs, words, change in CLASSES.values():
        shares = [operator.share_time for fact, operator in zip(facts, operators, strict=True) if belongs(fact)]
        if change is not None and shares:
            how = f"the measured time of the {len(shares)} {words}, all of it saved"
            found.append(Change(sentence=change, gain=sum(shares), how=how))
    return found


def _smaller_class_map(facts: Sequence["OperatorFacts"], operators: Sequence[ExplainedOperator]) -> list[Change]:
    """An ArgMax right behind a Resize: classes can be chosen before the map is made large."""
    found = []
    for place in range(1, len(facts)):
        if (facts[place - 1].kind, facts[place].kind) == ("Resize", "ArgMax"):
            resize, choice = operators[place - 1].share_time, operators[place].share_time
            kept = choice * facts[place - 1].input_share
            how = "the measured time of Resize and ArgMax less an ArgMax of the small map, by its number of values"
            sentence = "choose classes before the last resize (coarser borders)"
            found.append(Change(sentence=sentence, gain=resize + choice - kept, how=how))
    return found


def _other_widths(facts: Sequence["OperatorFacts"], operators: Sequence[ExplainedOperator]) -> list[Change]:
    """Convolutions of an odd width, if they ran at the median rate of the others of their kind."""
    gain, count = 0.0, 0
    for depthwise in (False, True):
        chosen = [
            (fact, operator)
            for fact, operator in zip(facts, operators, strict=True)
            if fact.kind in WEIGHTED and fact.depthwise == depthwise and fact.multiply_adds and operator.time_ns > 0
        ]
        rates = [
            (fact.multiply_adds or 0) / operator.share_time for fact, operator in chosen if not fact.channels % TILE
        ]
        for fact, operator in chosen:
            if fact.channels % TILE and rates:
                saved = operator.share_time - (fact.multiply_adds or 0) / median(rates)
                gain, count = gain + max(saved, 0.0), count + (saved > 0)
    how = f"{count} operators at the median rate measured for multiples of {TILE}, same multiply-adds"
    return [Change(sentence=f"make widths multiples of {TILE}", gain=gain, how=how)] if count else []


def _float_positions(facts: Sequence["OperatorFacts"]) -> list[int]:
    if not any(fact.precision in ("int8", "uint8") for fact in facts):
        return []
    return [
        place
        for place, fact in enumerate(facts)
        if fact.precision.startswith("float") and fact.kind not in (*BOUNDARY, *MOVING, "Reshape")
    ]
