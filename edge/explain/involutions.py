"""The kernels that involutions make of an image: one for every position and group (Li et al., arXiv 2103.06255).

Found in a graph by their form, so that a checkpoint and the integers of an artifact are read alike: a convolution
whose result, reshaped, is multiplied with shifted maps and summed over the shifts (`edge.models.involution`).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge.execution.float_run import FloatRun
from edge.execution.integer import IntegerSimulation
from edge.explain.gates import Reals, real_values
from edge.graph.graph import Graph, Operator


@dataclass(frozen=True, kw_only=True, eq=False)
class Kernels:
    """The kernels of one involution on one image.

    Attributes:
        layer: where it stands in the network.
        values: float32 (rows, columns, groups, K, K).
    """

    layer: str
    values: Reals

    @property
    def size(self) -> int:
        """K."""
        return int(self.values.shape[-1])

    @property
    def strength(self) -> Reals:
        """The norm of every position's kernels, their mean square's root over groups and shifts: (rows, columns)."""
        return np.asarray(np.sqrt(np.square(self.values).mean((2, 3, 4))), np.float32)

    @property
    def variation(self) -> float:
        """How much kernels differ between positions, against their size: 0 for a convolution."""
        spread = np.square(self.values - self.values.mean((0, 1), keepdims=True)).mean()
        return float(np.sqrt(spread / max(float(np.square(self.values).mean()), 1e-30)))


def kernels_on(graph: Graph, image: npt.NDArray[np.float32] | npt.NDArray[np.int8]) -> tuple[Kernels, ...]:
    """The kernels of the involutions of an NCHW graph, float or integer, on one image, in order.

    Args:
        image: (1, 3, h, w), float32 for a float graph, else the integers of its input.
    """
    wanted = {operator.outputs[0]: operator for operator in graph.operators if _makes_kernels(graph, operator)}
    if not wanted:
        return ()
    integer = graph.tensors[graph.inputs[0]].quantization is not None
    run = IntegerSimulation(graph) if integer else FloatRun(graph)
    found = []
    for name, value in run.stream([image]):
        if name in wanted:
            real = real_values(graph.tensors[name], value.numpy())[0]  # (K K G, rows, columns)
            size = round(float(np.sqrt(_shifts(graph, name))))
            shaped = real.reshape(size, size, -1, *real.shape[1:]).transpose(3, 4, 2, 0, 1)
            layer = wanted[name].name.rpartition(".")[0] or wanted[name].name
            found.append(Kernels(layer=layer, values=np.ascontiguousarray(shaped)))
    return tuple(found)


def _makes_kernels(graph: Graph, operator: Operator) -> bool:
    """Whether a convolution's result is multiplied with shifted maps, and the products are summed over the shifts."""
    return operator.kind == "Conv" and _shifts(graph, operator.outputs[0]) > 1


def _shifts(graph: Graph, name: str) -> int:
    """How many shifts a tensor (1, shifts G, h, w) is the kernels of; 0 where it is none."""
    for kind in ("Reshape", "Mul", "ReduceSum"):
        readers = graph.consumers(name)
        if len(readers) != 1 or readers[0].kind != kind:
            return 0
        shape, name = graph.tensors[name].shape, readers[0].outputs[0]
    square = round(shape[1] ** 0.5) ** 2 == shape[1] and len(shape) == 5
    return int(shape[1]) if square and tuple(readers[0].attributes["axes"]) == (1,) else 0
