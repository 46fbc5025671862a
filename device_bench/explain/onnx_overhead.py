"""What ONNX Runtime's profile costs within the durations that it tells, from chains of nodes that hardly compute."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from device_bench.explain.onnx_reply import ProfiledFile

ROUNDED_OFF_NS = 500  # durations are whole microseconds, rounded down: half of one is missing on average


@dataclass(frozen=True, kw_only=True)
class ProfileCost:
    """What a node's duration holds beyond its share of a run without the profile; the more tensors, the more.

    A run without it holds the runtime's steps from node to node too: they stay in the nodes' times.
    """

    node_ns: float
    tensor_ns: float

    def of(self, tensors: int) -> float:
        """Nanoseconds of a node with so many inputs and outputs."""
        return self.node_ns + self.tensor_ns * tensors


def profile_cost(chains: Sequence[ProfiledFile]) -> ProfileCost:
    """From the chains of `converters.measuring.onnx.overhead_chains`: one node; many small; many of more tensors.

    What a run costs whatever it holds is in all three, and taken off.
    """
    one, small, large = chains
    (small_ns, small_tensors), (large_ns, large_tensors) = (_excess(one, small), _excess(one, large))
    tensor_ns = max(0.0, (large_ns - small_ns) / max(large_tensors - small_tensors, 1.0))
    return ProfileCost(node_ns=max(0.0, small_ns - tensor_ns * small_tensors), tensor_ns=tensor_ns)


def _excess(one: ProfiledFile, many: ProfiledFile) -> tuple[float, float]:
    """Of the nodes that `many` has more: mean duration less their part of the plain run; mean number of tensors."""
    more = len(many.nodes) - len(one.nodes)
    told = (_sum_ns(many) - _sum_ns(one)) / more
    plain = float(np.median(many.whole_ns) - np.median(one.whole_ns)) / more
    tensors = sum(node.tensors for node in many.nodes) - sum(node.tensors for node in one.nodes)
    return told - plain, tensors / more


def _sum_ns(profiled: ProfiledFile) -> float:
    sums = np.sum([node.durations_ns for node in profiled.nodes], axis=0)
    return float(np.median(sums)) + ROUNDED_OFF_NS * len(profiled.nodes)
