"""Which activations of a foreign integer model lack a scale and zero point, and where those can come from.

Tools leave operators unquantized: the last layer, a residual sum, a pool. TFLite's integer kernels need parameters on
every activation. This module looks at a graph whose Quantize and Dequantize are still operators.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from edge.artifact.scheme import FIXED, TIED, activation_parameters
from edge.errors import UnsupportedError
from edge.graph.graph import KINDS, Graph, Operator, Quantization, Tensor, per_tensor

Range = tuple[float, float]
# The ranges of activations by name, from images.
Calibrator = Callable[[tuple[str, ...]], Mapping[str, Range]]

ACTIVATION_TYPES = frozenset({"int8", "uint8", "int16", "uint16"})
# kind -> the interval that its values lie in, whatever its input
KNOWN_RANGES: Mapping[str, Range] = {"HardSigmoid": (0.0, 1.0), "L2Norm": (-1.0, 1.0)}


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Scale and zero point of an activation, and the integer type they are meant for."""

    quantization: Quantization
    dtype: str

    @property
    def range(self) -> Range:
        """The smallest and largest real number that the type can hold."""
        return self.quantization.limits(self.dtype)

    @property
    def signed_zero_point(self) -> int:
        """The zero point of the same real numbers in the signed type."""
        offset = {"uint8": 128, "uint16": 1 << 15}.get(self.dtype, 0)
        return int(self.quantization.zero_point[0]) - offset

    def same_as(self, other: "Parameters") -> bool:
        """Whether both stand for the same real numbers bit for bit, in one type."""
        return self.dtype == other.dtype and self.quantization.same_as(other.quantization)


@dataclass(frozen=True, kw_only=True)
class Derived:
    """Parameters that the source does not state.

    Attributes:
        tensor: name of the activation.
        how: where they come from, for a person.
    """

    tensor: str
    parameters: Parameters
    how: str


def is_partly_quantized(graph: Graph) -> bool:
    """Whether the source quantizes any activation."""
    return any(operator.kind == "Quantize" for operator in graph.operators)


def stated(graph: Graph) -> dict[str, Parameters]:
    """What the source says: parameters of real activations by name.

    A Dequantize's output has those of the integers it reads; a tensor that Quantize operators read has theirs, the
    ones of the widest range where several differ.
    """
    known: dict[str, Parameters] = {}
    for operator in graph.operators:
        if operator.kind == "Dequantize" and (found := _parameters(graph.tensors[operator.inputs[0]])):
            known[operator.outputs[0]] = found
    for operator in graph.operators:
        source = operator.inputs[0] if operator.inputs else ""
        if operator.kind != "Quantize" or graph.tensors[source].quantization is not None:
            continue
        found = _parameters(graph.tensors[operator.outputs[0]])
        maker = graph.producer(source)
        if found is None or (maker is not None and maker.kind == "Dequantize"):
            continue
        before = known.get(source)
        if before is None or _width(found) > _width(before):
            known[source] = found
    return known


def _parameters(tensor: Tensor) -> Parameters | None:
    quantization = tensor.quantization
    if quantization is None or quantization.scale.size != 1 or tensor.dtype not in ACTIVATION_TYPES:
        return None
    plain = Quantization(scale=quantization.scale, zero_point=quantization.zero_point)
    return Parameters(quantization=plain, dtype=tensor.dtype)


def _width(parameters: Parameters) -> float:
    low, high = parameters.range
    return high - low


def is_integer_operator(operator: Operator, allow_float: Collection[str]) -> bool:
    """Whether an operator is to compute on integers: a canonical one that is not allowed to stay in float."""
    if operator.kind in ("Quantize", "Dequantize", "BatchNorm") or operator.kind not in KINDS:
        return False
    return not {operator.kind, operator.source, operator.name} & set(allow_float)


def wanted(graph: Graph, allow_float: Collection[str]) -> tuple[str, ...]:
    """The float activations that integer operators read or write, in graph order."""
    names: list[str] = []
    for operator in graph.operators:
        if is_integer_operator(operator, allow_float):
            names += [name for name in (*operator.inputs, *operator.outputs) if name and _is_real(graph, name)]
    return tuple(dict.fromkeys(names))


def _is_real(graph: Graph, name: str) -> bool:
    tensor = graph.tensors[name]
    return tensor.data is None and tensor.dtype == "float32"


def derive(
    graph: Graph,
    *,
    allow_float: Collection[str] = (),
    input_range: Range | None = None,
    calibrator: Calibrator | None = None,
) -> tuple[Mapping[str, Parameters], tuple[Derived, ...]]:
    """Find parameters for every activation that integer operators touch.

    In this order: what the source states; the fixed parameters or known interval of the producing kernel; those of a
    neighbour across an operator that only moves, clamps or averages values; the range of the model's input; images.

    Args:
        allow_float: kinds, source names or operator names that may stay in float.
        input_range: of the model's inputs, known from the preprocessing.
        calibrator: gives the ranges of the activations that nothing else tells; None refuses those.

    Returns:
        Parameters of every activation that has them, and those of them that the source did not state, in graph order.

    Raises:
        UnsupportedError: activations without a range and no calibrator, naming each.
    """
    known = stated(graph)
    names = wanted(graph, allow_float)
    search = _Search(graph, known, names, means=calibrator is None)
    search.known_ranges()
    search.spread()
    for name in graph.inputs:
        if input_range is not None and name in names and name not in known:
            search.add(name, _from_range(input_range), "the values that the preprocessing makes")
    search.spread()
    missing = [name for name in names if name not in known]
    if missing and calibrator is None:
        raise UnsupportedError(_refusal(graph, missing))
    roots = tuple(name for name in missing if not _passes(graph.producer(name)))
    if roots and calibrator is not None:
        for name, found in calibrator(roots).items():
            search.add(name, _from_range(found), "calibration")
        search.spread()
    return known, tuple(search.derived[name] for name in names if name in search.derived)


class _Search:
    """Parameters found so far; the source's own are never replaced."""

    def __init__(self, graph: Graph, known: dict[str, Parameters], names: tuple[str, ...], *, means: bool) -> None:
        self.graph, self.known, self.names, self.means = graph, known, names, means
        self.derived: dict[str, Derived] = {}
        self.missing = {name for name in names if name not in known}
        self.makers = {name: operator for operator in graph.operators for name in operator.outputs}
        self.readers: dict[str, list[Operator]] = {}
        for operator in graph.operators:
            for name in set(operator.inputs):
                self.readers.setdefault(name, []).append(operator)

    def add(self, name: str, parameters: Parameters, how: str) -> None:
        """Take parameters for an activation that has none."""
        self.known[name] = parameters
        self.derived[name] = Derived(tensor=name, parameters=parameters, how=how)
        self.missing.discard(name)

    def known_ranges(self) -> None:
        """The outputs of kernels whose values lie in a known interval."""
        for name in self.names:
            kind = self.makers[name].kind if name in self.makers else ""
            if name not in self.missing:
                continue
            if kind in FIXED:
                quantization = per_tensor(*FIXED[kind])
                self.add(name, Parameters(quantization=quantization, dtype="int8"), f"fixed by the kernel of {kind}")
            elif kind in KNOWN_RANGES:
                self.add(name, _from_range(KNOWN_RANGES[kind]), f"the interval that {kind} maps to")

    def spread(self) -> None:
        """Carry parameters across operators that pass values on, until nothing changes."""
        changed = True
        while changed and self.missing:
            changed = False
            for name in self.names:
                if name in self.missing:
                    changed = self._forward(name) or self._backward(name) or changed

    def _forward(self, name: str) -> bool:
        maker = self.makers.get(name)
        if maker is None or not (_passes(maker) or (self.means and maker.kind == "Mean")):
            return False
        sources = [source for source in maker.inputs if source and _is_real(self.graph, source)]
        if not sources or any(source not in self.known for source in sources):
            return False
        found = [self.known[source] for source in sources]
        if all(entry.same_as(found[0]) for entry in found):
            self.add(name, found[0], f"those of '{sources[0]}', which {maker.kind} passes on")
        else:
            union = (min(entry.range[0] for entry in found), max(entry.range[1] for entry in found))
            self.add(name, _from_range(union), f"the union of the ranges that {maker.kind} joins")
        return True

    def _backward(self, name: str) -> bool:
        readers = self.readers.get(name, [])
        if len(readers) != 1 or name in self.graph.outputs or not _passes(readers[0]) or _averages(readers[0]):
            return False
        target = readers[0].outputs[0]
        if target not in self.known:
            return False
        self.add(name, self.known[target], f"those of '{target}', to which {readers[0].kind} passes it on")
        return True


def _passes(operator: Operator | None) -> bool:
    """Whether an operator's values are some of its input's, or between them."""
    return operator is not None and operator.kind in TIED


def _averages(operator: Operator) -> bool:
    """Whether an operator's values lie strictly between its input's, so that its own range would cut the input off."""
    return operator.kind == "AveragePool" or (operator.kind == "Resize" and operator.attributes["mode"] == "linear")


def _from_range(found: Range) -> Parameters:
    return Parameters(quantization=per_tensor(*activation_parameters(*found)), dtype="int8")


def _refusal(graph: Graph, missing: list[str]) -> str:
    operators: list[Operator] = []
    said: list[str] = []
    for name in missing:
        maker = graph.producer(name)
        said.append(f"'{name}' ({'an input' if maker is None else f'{maker.kind} {maker.name}'})")
        touching = [*([] if maker is None else [maker]), *graph.consumers(name)]
        operators += [operator for operator in touching if operator.kind not in ("Quantize", "Dequantize")]
    kinds = ",".join(dict.fromkeys(operator.kind for operator in operators))
    count = "1 activation has" if len(missing) == 1 else f"{len(missing)} activations have"
    return (
        f"{count} no scale in the source and none can be derived: {', '.join(said)}; take ranges from images with "
        f"--card and --calibration SPLIT, or keep the operators in float with --allow-float {kinds}"
    )
