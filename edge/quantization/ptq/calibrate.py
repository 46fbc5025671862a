"""Post-training quantization: ranges from a few images, weights as they are.

One pass over the images; of every activation only a histogram is kept.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import INT8_SCHEME, Scheme, activation_parameters
from edge.errors import EdgeError, UnsupportedError, UsageError, unknown_name
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.ops.kernel_limits import operator_floor
from edge.graph.passes.fuse_activations import fuse_activations
from edge.quantization.ptq.estimators import ESTIMATORS, Estimator, Range, estimate
from edge.quantization.ptq.histogram import Histogram
from edge.quantization.quantize_graph import quantize_graph
from edge.quantization.ties import RangeGroup, range_groups

Batches = Iterable[npt.NDArray[np.float32]]


def calibrate(
    graph: Graph,
    batches: Batches,
    *,
    estimator: Estimator = "mse",
    scheme: Scheme = INT8_SCHEME,
    input_range: Range | None = None,
) -> Graph:
    """Quantize a float graph of any origin after training.

    Args:
        graph: float32, one input, batch norm folded, either layout. Rectifiers are fused here.
        batches: float32 images of the graph's input (n, ...), any n where the graph's batch is 1. Read once.
        estimator: how the range of an activation follows from its values; `estimators.ESTIMATORS`.
        scheme: int8 or int16 activations.
        input_range: the range of the graph's input (see `scheme.input_range`); None estimates it.

    Returns:
        The integer graph: deterministic, and independent of the order of the batches.

    Raises:
        UsageError: an unknown estimator, no images, or images of another shape.
        UnsupportedError: the graph is quantized already, or holds an operator without a float formula or a BatchNorm.
        EdgeError: an activation that is not finite, by name.
    """
    if estimator not in ESTIMATORS:
        raise UsageError(unknown_name("estimator", estimator, ESTIMATORS))
    if any(tensor.quantization is not None for tensor in graph.tensors.values()):
        raise UnsupportedError(f"graph '{graph.name}' is quantized already; a float one is needed")
    unfolded = next((operator.name for operator in graph.operators if operator.kind == "BatchNorm"), None)
    if unfolded is not None:
        raise UnsupportedError(f"BatchNorm ({unfolded}) is not folded; fold it before calibration")
    graph = fuse_activations(graph)
    groups = range_groups(graph, scheme)
    histograms = collect(graph, groups, batches, bounds_only=estimator == "minmax")
    parameters: dict[str, tuple[np.float32 | float, int]] = {}
    for group in groups:
        found: tuple[np.float32 | float, int]
        if group.fixed is not None:
            found = group.fixed
        elif input_range is not None and set(group.tensors) & set(graph.inputs):
            found = activation_parameters(*input_range, scheme)
        else:
            found = activation_parameters(*bounded(group, estimate(estimator, histograms[group.name], scheme)), scheme)
        parameters.update(dict.fromkeys(group.tensors, found))
    return within_limits(graph, groups, parameters, scheme)


def within_limits(
    graph: Graph,
    groups: Collection[RangeGroup],
    parameters: Mapping[str, tuple[np.float32 | float, int]],
    scheme: Scheme = INT8_SCHEME,
) -> Graph:
    """The integer graph, its ranges widened where an operator would otherwise leave `edge.graph.ops.kernel_limits`.

    An activation that hardly moves on the images would have a scale so small that LiteRT refuses the whole file.
    A wider range of the same shape holds the same values; the zero point stays.
    """
    group_of = {name: group for group in groups if group.fixed is None for name in group.tensors}
    chosen = dict(parameters)
    for _ in range(len(groups) + 1):
        quantized = quantize_graph(graph, chosen, scheme)
        widened = False
        for operator in quantized.operators:
            group = group_of.get(operator.outputs[0])
            floor = operator_floor(operator, quantized.tensors)
            if group is not None and chosen[group.name][0] < floor:
                chosen.update(dict.fromkeys(group.tensors, (np.float32(floor), chosen[group.name][1])))
                widened = True
        if not widened:
            break
    return quantized


def collect(
    graph: Graph, groups: Iterable[RangeGroup], batches: Batches, *, bounds_only: bool = False
) -> Mapping[str, Histogram]:
    """Run images through a float graph and count the values of every group's sources: group name -> histogram.

    Raises:
        UsageError: no images.
    """
    histograms = {group.name: Histogram(bounds_only=bounds_only) for group in groups}
    group_of = {source: group.name for group in groups for source in group.sources if group.fixed is None}
    run = FloatRun(graph)
    images = 0
    for batch in _checked(batches):
        images += len(batch)
        for name, value in run.stream([batch]):
            if name in group_of:
                histograms[group_of[name]].add(value.numpy(), name)
    if not images:
        raise UsageError("no calibration images")
    return histograms


def bounded(group: RangeGroup, found: Range) -> Range:
    """A range within what is known of a group beforehand."""
    low, high = found
    return (0.0 if group.nonnegative else low), (high if group.ceiling is None else min(high, group.ceiling))


def _checked(batches: Batches) -> Iterator[npt.NDArray[np.float32]]:
    for batch in batches:
        if batch.dtype != np.float32:
            raise EdgeError(f"a calibration batch is {batch.dtype}; float32 is needed")
        if len(batch):
            yield batch
