"""Why time is lost: classes of operators and costs of running, each with the share that it was measured to take."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.payoffs import Seen, smaller_class_map, thread_changes
from device_bench.records.explanation import Change, ExplainedOperator, Reason

SMALLEST_SHARE = 0.001  # of the whole time; below it a reason is none
SMALLEST_GAIN = 0.005  # of the whole time; less is noise
TILE = 8  # channels that the narrowest of the common int8 kernels computes at once
OUT_OF_PROPORTION = 1.25  # times its share of the multiply-adds
BOUNDARY = ("Quantize", "Dequantize", "QuantizeLinear", "DequantizeLinear")  # the latter: put in by ONNX Runtime
MOVING = ("Transpose", "ReorderInput", "ReorderOutput")
WEIGHTED = ("Conv", "Gemm", "ConvTranspose", "MatMul")
Belongs = Callable[[OperatorFacts], bool]

# name -> (which operators, what is said of them, the change that removes them or None)
CLASSES: Mapping[str, tuple[Belongs, str, str | None]] = MappingProxyType(
    {
        "pad": (lambda fact: fact.kind == "Pad", "pads of their own", "fold the pads into the convolutions (SAME)"),
        "transpose": (lambda fact: fact.kind in MOVING, "transposes", "take the transposes out"),
        "quantize": (lambda fact: fact.kind in BOUNDARY, "changes of precision", "keep one precision throughout"),
        "resize": (lambda fact: fact.kind == "Resize", "resizes", None),
        "softmax": (lambda fact: fact.kind in ("Softmax", "LogSoftmax"), "softmaxes", None),
        "argmax": (lambda fact: fact.kind == "ArgMax", "choices of the best class", None),
        "depthwise": (lambda fact: fact.depthwise, "depthwise convolutions", None),
        "channels": (
            lambda fact: fact.kind in WEIGHTED and fact.channels % TILE != 0,
            f"weighted operators whose channels are no multiple of {TILE}",
            None,
        ),
        "inserted": (lambda fact: fact.inserted, "operators that the file does not have, put in by the runtime", None),
    }
)


def reasons(
    facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator], seen: Seen, whole_ns: int
) -> tuple[Reason, ...]:
    """Every class of operators that stands in the model, and every cost of running it, the largest share first.

    Those below SMALLEST_SHARE are left away, but for the harness, which is always told.
    """
    found = []
    for name, (belongs, words, _) in CLASSES.items():
        shares = [operator.share_time for fact, operator in zip(facts, operators, strict=True) if belongs(fact)]
        if shares:
            found.append(_reason(name, f"{words} ({len(shares)}): {sum(shares):.1%} of the time", sum(shares)))
    found += _float_operators(facts, operators)
    found += _outside_the_delegate(operators, seen)
    found += _ends(facts, operators)
    found += _memory_bound(operators)
    found += _threads(seen)
    found = [reason for reason in found if reason.share_time >= SMALLEST_SHARE]
    harness = seen.empty_ns / whole_ns
    found.append(_reason("harness", f"the harness itself takes {seen.empty_ns} ns a run, {harness:.2%}", harness))
    return tuple(sorted(found, key=lambda reason: -reason.share_time))


def changes(facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator], seen: Seen) -> tuple[Change, ...]:
    """The three that would save most; those below SMALLEST_GAIN are left away."""
    found = [*_removals(facts, operators), *smaller_class_map(facts, operators), *thread_changes(seen)]
    paying = [change for change in found if change.gain >= SMALLEST_GAIN]
    return tuple(sorted(paying, key=lambda change: -change.gain)[:3])


def _reason(name: str, sentence: str, share: float) -> Reason:
    return Reason(name=name, sentence=sentence, share_time=share)


def _float_operators(facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator]) -> list[Reason]:
    if not any(fact.precision in ("int8", "uint8") for fact in facts):
        return []
    shares = [
        operator.share_time
        for fact, operator in zip(facts, operators, strict=True)
        if fact.precision.startswith("float") and fact.kind not in (*BOUNDARY, *MOVING, "Reshape")
    ]
    if not shares:
        return []
    words = f"operators of an integer model that compute in float ({len(shares)}): {sum(shares):.1%} of the time"
    return [_reason("float", words, sum(shares))]


def _outside_the_delegate(operators: Sequence[ExplainedOperator], seen: Seen) -> list[Reason]:
    """Operators that a delegate left to the runtime's own kernels, where it took any."""
    if not any(operator.delegated for operator in operators):
        return []
    left = [operator for operator in operators if operator.delegated is False]
    if not left:
        return []
    share = sum(operator.share_time for operator in left)
    kinds = ", ".join(dict.fromkeys(operator.kind for operator in left))
    split = f", which splits the delegate's work into {seen.partitions} parts" if (seen.partitions or 0) > 1 else ""
    words = f"operators outside the delegate ({len(left)}: {kinds}){split}: {share:.1%} of the time"
    return [_reason("delegate", words, share)]


def _ends(facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator]) -> list[Reason]:
    """The first and the last weighted operator, where one takes more time than its multiply-adds would."""
    weighted = [
        operator
        for fact, operator in zip(facts, operators, strict=True)
        if fact.kind in WEIGHTED and operator.share_multiply_adds is not None
    ]
    found = []
    for name, operator in zip(
        ("first", "last"), (weighted[0], weighted[-1]) if len(weighted) > 1 else (), strict=False
    ):
        adds, time = operator.share_multiply_adds or 0.0, operator.share_time
        if time > adds * OUT_OF_PROPORTION and time - adds > SMALLEST_GAIN:
            words = f"the {name} layer ({operator.names[0]}) takes {time:.1%} of the time for {adds:.1%} of the MAdds"
            found.append(_reason(name, words, time))
    return found


def _memory_bound(operators: Sequence[ExplainedOperator]) -> list[Reason]:
    bound = [operator for operator in operators if operator.bound == "memory"]
    share = sum(operator.share_time for operator in bound)
    words = f"memory-bound operators, which move more than they compute ({len(bound)}): {share:.1%} of the time"
    return [_reason("memory", words, share)] if bound else []


def _threads(seen: Seen) -> list[Reason]:
    """What the threads lose against an ideal division of one thread's work."""
    alone, used = seen.threads_ns.get(1), seen.threads_ns.get(seen.threads)
    if seen.threads == 1 or alone is None or used is None:
        return []
    lost = 1 - alone / (seen.threads * used)
    words = f"{seen.threads} threads are {alone / used:.2f} times as fast as one; {lost:.1%} of their time is lost"
    return [_reason("threads", words, lost)]


def _removals(facts: Sequence[OperatorFacts], operators: Sequence[ExplainedOperator]) -> list[Change]:
    found = []
    for belongs, words, change in CLASSES.values():
        shares = [operator.share_time for fact, operator in zip(facts, operators, strict=True) if belongs(fact)]
        if change is not None and shares:
            how = f"the measured time of the {len(shares)} {words}, all of it saved"
            found.append(Change(sentence=change, gain=sum(shares), how=how))
    return found
