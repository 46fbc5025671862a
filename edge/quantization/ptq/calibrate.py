"""Post-training quantization: ranges from a few images, weights as they are.

One pass over the images; of every activation only a histogram is kept.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from edge.artifact.scheme import INT8_SCHEME, Scheme, activation_parameters
from edge.errors import EdgeError, UnsupportedError, UsageError, unknown_name
from edge.execution.float_run import FloatRun
from edge.graph.graph import Graph
from edge.graph.passes.fuse_activations import fuse_activations
from edge.quantization.ptq.estimators import ESTIMATORS, Estimator, Range, estimate
from edge.quantization.ptq.histogram import Histogram
from edge.quantization.ptq.within_limits import within_limits
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
    graph = prepared(graph)
    groups = range_groups(graph, scheme)
    histograms = collect(graph, groups, batches, bounds_only=estimator == "minmax")
    return within_limits(graph, groups, parameters_of(groups, histograms, estimator, scheme, input_range), scheme)


def prepared(graph: Graph) -> Graph:
    """The graph with its rectifiers fused. Refuses (UnsupportedError) a quantized one, or one with batch norm."""
    if any(tensor.quantization is not None for tensor in graph.tensors.values()):
        raise UnsupportedError(f"graph '{graph.name}' is quantized already; a float one is needed")
    unfolded = next((operator.name for operator in graph.operators if operator.kind == "BatchNorm"), None)
    if unfolded is not None:
        raise UnsupportedError(f"BatchNorm ({unfolded}) is not folded; fold it before calibration")
    return fuse_activations(graph)


def parameters_of(
    groups: Iterable[RangeGroup],
    histograms: Mapping[str, Histogram],
    estimator: Estimator,
    scheme: Scheme,
    input_range: Range | None,
) -> dict[str, tuple[np.float32 | float, int]]:
    """Scale and zero point of every activation, from what `collect` counted.

    Args:
        input_range: of the model's input; None estimates it.
    """
    parameters: dict[str, tuple[np.float32 | float, int]] = {}
    for group in groups:
        found: tuple[np.float32 | float, int]
        if group.fixed is not None:
            found = group.fixed
        elif input_range is not None and group.of_input:
            found = activation_parameters(*input_range, scheme)
        else:
            found = activation_parameters(*bounded(group, estimate(estimator, histograms[group.name], scheme)), scheme)
        parameters.update(dict.fromkeys(group.tensors, found))
    return parameters


def collect(
    graph: Graph,
    groups: Iterable[RangeGroup],
    batches: Batches,
    *,
    bounds_only: bool = False,
    most_values: int | None = None,
) -> Mapping[str, Histogram]:
    """Run images through a float graph and count the values of every group's sources: group name -> histogram.

    Args:
        most_values: of an activation of one image that are counted, at even distances; None counts all. Bounds are
            those of all.

    Raises:
        UsageError: no images.
    """
    histograms = {group.name: Histogram(bounds_only=bounds_only) for group in groups}
    group_of = {source: group.name for group in groups for source in group.sources if group.fixed is None}
    run = FloatRun(graph, channels_last=True)
    images = 0
    for batch in _checked(batches):
        images += len(batch)
        for name, value in run.stream([batch]):
            if name in group_of:
                histograms[group_of[name]].add(value.numpy(), name, most_values and most_values * len(batch))
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
