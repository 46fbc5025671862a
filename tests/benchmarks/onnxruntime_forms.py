"""What ONNX Runtime makes of an INT8 model in several forms: `python -m tests.benchmarks.onnxruntime_forms`.

For each network (random weights and images, so the figures say nothing about accuracy) and each form: the operators
that stay in float, the values that differ from the integer simulation end to end, and the processor time of one run.
Then, for the form that artifacts hold, every operator alone with identical inputs. docs/onnx.md explains the outcome.
"""

import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import torch
from rich.console import Console
from rich.table import Table

from converters.onnx.file import onnx_bytes, write_model
from converters.onnx.operators.table import WRITERS
from converters.onnxruntime.form import onnxruntime_form
from converters.passes.canonical_int8 import uint8_activations
from edge.engines.onnx_providers import EXACT_SUMS
from edge.engines.onnxruntime_module import onnxruntime_module
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph
from edge.graph.importers.onnx.extract import OnnxExtractor
from edge.graph.importers.onnx.reader import read_onnx
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph

onnxruntime = onnxruntime_module()
NETWORKS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mobilenet_v1": {"classes": 10, "resolution": 96},
        "mobilenet_v2": {"classes": 10, "resolution": 96},
        "fast_scnn": {"classes": 7, "resolution_hw": (256, 512)},
    }
)
FORMS: Mapping[str, Callable[[Graph], bytes]] = MappingProxyType(
    {
        "int8 QDQ (source.onnx)": onnx_bytes,
        "uint8 QDQ": lambda graph: write_model(uint8_activations(graph), WRITERS),
        "artifact (model.onnx)": onnxruntime_form,
    }
)
INTEGER_KERNELS = ("QLinear", "QGemm", "Transpose", "Reshape", "Clip", "MaxPool")
RUNS = 30


def quantized_network(name: str) -> Graph:
    """An int8 graph with He-initialized weights, batch norm measured on noise, and ranges from one noise image."""
    torch.manual_seed(0)
    model = build(name, **NETWORKS[name])
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    shape = (4, 3, *NETWORKS[name].get("resolution_hw", (96, 96)))
    noise = torch.randn(shape)
    with torch.no_grad():
        for _ in range(20):
            model(noise)
    graph = float_graph(model.eval(), noise[:1])
    return calibrate(graph, [noise[:1].numpy()])


def open_session(data: bytes) -> tuple[Any, Counter[str]]:
    """A single-thread session, and the operators of the graph that it really runs."""
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(*EXACT_SUMS)
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        return session, Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)


def run(session: Any, inputs: list[npt.NDArray[Any]]) -> npt.NDArray[np.int64]:
    """The int8 integers of the one output, for int8 inputs, whichever type the file uses."""
    feeds = {}
    unsigned = False
    for port, value in zip(session.get_inputs(), inputs, strict=True):
        unsigned = port.type == "tensor(uint8)"
        feeds[port.name] = (value.astype(np.int64) + 128).astype(np.uint8) if unsigned else value
    result: npt.NDArray[np.int64] = session.run(None, feeds)[0].astype(np.int64)
    return result - 128 if unsigned else result


def compare_forms(table: Table, name: str, graph: Graph, image: npt.NDArray[np.int8]) -> None:
    """One row per form."""
    expected = np.asarray(IntegerSimulation(graph).run([image])[0]).astype(np.int64)
    for form, write in FORMS.items():
        session, kinds = open_session(write(graph))
        times = []
        for _ in range(RUNS):
            start = time.thread_time_ns()
            found = run(session, [image])
            times.append(time.thread_time_ns() - start)
        left = {kind: count for kind, count in sorted(kinds.items()) if not kind.startswith(INTEGER_KERNELS)}
        difference = np.abs(found - expected)
        table.add_row(
            name,
            form,
            ", ".join(f"{count} {kind}" for kind, count in left.items()) or "none",
            f"{(difference > 0).mean():.2%}, at most {difference.max()}",
            f"{min(times) / 1e6:.2f} ms",
        )


def compare_operators(table: Table, name: str, graph: Graph, image: npt.NDArray[np.int8]) -> None:
    """One row per operator kind."""
    expected = IntegerSimulation(graph).run_all([image])
    totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    data = onnxruntime_form(graph)
    extractor = OnnxExtractor(data, read_onnx(data))
    for operator in graph.operators:
        inputs = tuple(source for source in operator.inputs if source and graph.tensors[source].data is None)
        session, _ = open_session(extractor.extract(inputs, operator.outputs))
        found = run(session, [np.asarray(expected[source]) for source in inputs])
        difference = np.abs(found - np.asarray(expected[operator.outputs[0]]).astype(np.int64))
        total = totals[operator.kind]
        total[0] += int((difference > 0).sum())
        total[1] += difference.size
        total[2] = max(total[2], int(difference.max()))
    for kind, (differing, values, largest) in totals.items():
        table.add_row(name, kind, f"{differing:,} of {values:,}", str(largest))


def main() -> None:
    """Print both tables."""
    torch.set_num_threads(1)
    forms = Table(
        "network", "form", "not in integer kernels", "differs from the simulation", "processor time", title="forms"
    )
    operators = Table("network", "operator", "values that differ", "largest", title="operators of model.onnx alone")
    for name in NETWORKS:
        graph = quantized_network(name)
        shape = graph.tensors[graph.inputs[0]].shape
        image = np.random.default_rng(0).integers(-128, 128, shape).astype(np.int8)
        compare_forms(forms, name, graph, image)
        compare_operators(operators, name, graph, image)
    console = Console(width=150)
    console.print(f"ONNX Runtime {onnxruntime.__version__}, one thread")
    console.print(forms)
    console.print(operators)


if __name__ == "__main__":
    main()
