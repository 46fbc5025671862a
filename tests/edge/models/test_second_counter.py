"""Our counts against PyTorch's own counter of floating-point operations: two for a multiply and an add."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from edge.graph.analyses.counts import count_graph
from edge.models.registry import build
from edge.quantization.qat.freeze import float_graph

CASES = [
    ("mobilenet_v1", 1.0, 224, 1000),
    ("mobilenet_v1", 0.25, 128, 1001),
    ("mobilenet_v2", 1.0, 224, 1000),
    ("mobilenet_v2", 0.35, 96, 1000),
    ("mobilenet_v2", 1.4, 224, 1000),
    ("fast_scnn", 1.0, 512, 19),
    ("deeplab_mobilenet_v2", 1.0, 513, 21),
    ("deeplab_mobilenet_v1", 0.5, 257, 21),
    ("mobilenet_v2_ssdlite", 0.5, 160, 20),
    ("mobilenet_v1_ssdlite", 0.5, 150, 20),
]


@pytest.mark.unhurried
@pytest.mark.parametrize(("name", "width", "resolution", "classes"), CASES)
def test_multiply_adds_are_half_of_pytorchs_operations(name: str, width: float, resolution: int, classes: int) -> None:
    torch.manual_seed(0)
    options = {"width": width, "resolution": resolution}
    if name == "fast_scnn":
        options = {"resolution_hw": (resolution, resolution)}
    elif name.startswith("deeplab"):
        options = {"width": width, "resolution_hw": (resolution, resolution)}
    model = build(name, classes=classes, **options).eval()
    image = torch.zeros(1, 3, resolution, resolution)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(image)
    found = count_graph(float_graph(model, image))
    assert not found.unruled
    assert 2 * found.multiply_adds == counter.get_total_flops()
