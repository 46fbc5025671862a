"""The passes that bring a graph of any origin into the form that the writers and the quantizer take."""

from converters.onnx_passes.canonical_int8 import canonical_int8
from converters.onnx_passes.fold_batch_norm import fold_batch_norm
from converters.onnx_passes.fold_pad import fold_pad
from converters.onnx_passes.integer_boundaries import integer_boundaries
from converters.onnx_passes.tie_parameters import tie_parameters
from converters.onnx_passes.unshare_constants import unshare_constants
from edge.graph.graph import Graph


def canonical(graph: Graph) -> Graph:
    """Unshare weights, fold batch norm and zero Pads, turn uint8 to int8, tie parameters, make the boundaries integers.

    Requires: an NCHW graph, as `read_onnx` gives it.
    Ensures: the same model (tying adds a rounding where a foreign file needs it, see `tie_parameters`). A graph of our
    own export comes back unchanged.
    """
    graph = fold_pad(fold_batch_norm(unshare_constants(graph)))
    return integer_boundaries(tie_parameters(canonical_int8(graph)))
