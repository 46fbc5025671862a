"""The passes that bring a graph of any origin into the form that the writers and the quantizer take."""

from converters.passes.asymmetric_weights import asymmetric_weights
from converters.passes.canonical_int8 import canonical_int8
from converters.passes.channels_first_boundaries import channels_first_boundaries
from converters.passes.fold_batch_norm import fold_batch_norm
from converters.passes.fold_pad import fold_pad
from converters.passes.fuse_depth_to_space import fuse_depth_to_space
from converters.passes.integer_batch_norm import integer_batch_norm
from converters.passes.integer_boundaries import integer_boundaries
from converters.passes.legalize import legalize
from converters.passes.legalize_average_pool import legalize_average_pool
from converters.passes.legalize_conv_transpose import legalize_conv_transpose
from converters.passes.legalize_depth_to_space import legalize_depth_to_space
from converters.passes.reciprocal_constants import reciprocal_constants
from converters.passes.tie_parameters import tie_parameters
from converters.passes.unshare_constants import unshare_constants
from edge.graph.graph import Graph
from edge.graph.passes.collapse_qdq import collapse_qdq


def canonical(graph: Graph) -> Graph:
    """Unshare weights, fold batch norm and zero Pads, turn uint8 to int8, tie parameters, make the boundaries integers.

    Channels-last inputs and outputs of exported TensorFlow models become NCHW (see `channels_first_boundaries`).
    A model whose weights have zero points that int8 kernels cannot hold becomes uint8 (see `asymmetric_weights`).
    Forms that TFLite lacks become such as it has, with the same values: groups and dilations of a ConvTranspose, CRD
    DepthToSpace, padding of average pools, integer operators that it lacks (`legalize_conv_transpose`,
    `legalize_depth_to_space`, `legalize_average_pool`, `legalize`).

    Requires: an NCHW graph, as `read_onnx` gives it.
    Ensures: the same model (tying adds a rounding where a foreign file needs it, see `tie_parameters`). A graph of our
    own export comes back unchanged.
    """
    graph = reciprocal_constants(unshare_constants(fuse_depth_to_space(graph)))
    if any(operator.kind == "BatchNorm" for operator in graph.operators):
        graph = fold_batch_norm(collapse_qdq(integer_batch_norm(graph)))
    graph = fold_pad(graph)
    graph = legalize_average_pool(legalize_conv_transpose(legalize_depth_to_space(graph)))
    graph = integer_boundaries(tie_parameters(canonical_int8(graph)))
    return legalize(asymmetric_weights(channels_first_boundaries(graph)))
