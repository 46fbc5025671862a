"""What a quantized file may cost, and what one does: bytes as written, latency as measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.artifact.units import duration_text, size_text
from edge.graph.graph import Graph
from edge.quantization.ptq.wider import Cost

Latencies = Callable[[Sequence[bytes]], Sequence[int]]
"""The median latency of each of some TFLite files, ns, measured in turn."""


@dataclass(frozen=True, kw_only=True)
class Budgets:
    """The largest TFLite file, and the largest median latency.

    Attributes:
        latencies: measures; needed where latency_ns is given.
    """

    size_bytes: int | None = None
    latency_ns: int | None = None
    latencies: Latencies | None = None

    def costs(self, file_of: Callable[[Graph], bytes]) -> Callable[[Graph], Cost]:
        """What counts graphs: the first one's file is measured again beside every later one."""
        first: list[bytes] = []

        def cost(graph: Graph) -> Cost:
            data = file_of(graph)
            first.extend([] if first else [data])
            latency, over = None, None
            if self.size_bytes is not None and len(data) > self.size_bytes:
                over = f"{size_text(len(data))}: over the size budget of {size_text(self.size_bytes)}"
            elif self.latency_ns is not None and self.latencies is not None:
                latency = self.latencies([first[0], data] if data != first[0] else [data])[-1]
                if latency > self.latency_ns:
                    over = f"{duration_text(latency)}: over the latency budget of {duration_text(self.latency_ns)}"
            return Cost(size_bytes=len(data), latency_ns=latency, over=over)

        return cost
