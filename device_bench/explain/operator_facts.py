"""One operator, as a model file has it: what its time is held against."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class OperatorFacts:
    """What the file says of one operator.

    Attributes:
        precision: dtype of its first output. multiply_adds: None without a rule. bytes_moved: inputs, constants and
            outputs, each once. channels: of its first output. depthwise: a convolution of one channel each.
        input_share: values of its first input divided by values of its first output.
        others: names of the file's operators that run as one with it. inserted: a node that the runtime put in; the
            file has no such operator. delegated: whether a delegate runs it, None where that is not known.
    """

    name: str
    kind: str
    precision: str
    multiply_adds: int | None
    bytes_moved: int
    channels: int
    depthwise: bool
    input_share: float
    others: tuple[str, ...] = ()
    inserted: bool = False
    delegated: bool | None = None
