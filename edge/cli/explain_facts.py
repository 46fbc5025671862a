"""What `edge bench --explain` needs of a file: facts of its operators, and how it is taken apart."""

from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from device_bench.explain.onnx_mapping import FileNode
from device_bench.explain.onnx_nodes import OnnxPlan, OperatorTensors
from device_bench.explain.operator_facts import OperatorFacts
from device_bench.explain.spec import ExplainSpec, PeakFile
from device_bench.jobs.subjects import Subject
from edge.engines.kernel_sets import PROVIDERS
from edge.engines.table import DEVICE_ENGINES
from edge.errors import UsageError

if TYPE_CHECKING:
    from edge.graph.analyses.counts import OperatorCost
    from edge.graph.graph import Graph, Operator, Tensor


def explain_spec(subject: Subject) -> ExplainSpec:
    """How a subject is taken apart: a TFLite file at every operator, an ONNX file by ONNX Runtime's profile.

    Raises:
        UsageError: another engine; a GPU's provider, whose profile tells when kernels start and not how long they take;
            a TFLite file with float16 constants.
        ModelFileError: a file that cannot be read.
    """
    if subject.engine not in DEVICE_ENGINES:
        *first, last = DEVICE_ENGINES
        raise UsageError(
            f"{subject.path}: --explain takes files apart with {', '.join(first)} or {last}, "
            f"not with {subject.engine}; leave --explain away or name another --engine"
        )
    if subject.format == "tflite":
        return _tflite_spec(subject.path)
    if subject.kernels is not None and PROVIDERS[subject.kernels].on_gpu:
        raise UsageError(f"--explain: a GPU's profile does not tell how long onnxruntime:{subject.kernels} takes")
    return _onnx_spec(subject.path)


def _tflite_spec(path: Path) -> ExplainSpec:
    from converters.measuring.tflite import PEAK_CHANNELS, PEAK_MULTIPLY_ADDS, PEAK_SIDE, call_file, peak_file
    from edge.graph.importers.tflite.parts import tflite_operators  # brings the TFLite schema

    facts, cut = tflite_facts(path), tflite_operators(path.read_bytes())
    if len(cut.parts) != len(facts):
        raise UsageError(f"{path}: float16 constants; --explain knows int8 and float32 files")
    words = f"1x1 convolution of {PEAK_SIDE}x{PEAK_SIDE}x{PEAK_CHANNELS} to {PEAK_CHANNELS}"
    peaks = {
        name: PeakFile(data=peak_file(name), multiply_adds=PEAK_MULTIPLY_ADDS, words=words)
        for name in ("int8", "float32")
    }
    return ExplainSpec(
        facts=facts,
        parts=[asdict(part) for part in cut.parts],
        inputs=cut.inputs,
        less=cut.less,
        call=call_file(),
        peaks=peaks,
    )


def _onnx_spec(path: Path) -> ExplainSpec:
    from converters.measuring.onnx import PEAK_CHANNELS, PEAK_LAYERS, PEAK_MULTIPLY_ADDS, PEAK_SIDE, peak_file

    facts, plan = onnx_facts(path)
    words = f"{PEAK_LAYERS} 1x1 convolutions of {PEAK_SIDE}x{PEAK_SIDE}x{PEAK_CHANNELS} to {PEAK_CHANNELS} in a row"
    peaks = {
        name: PeakFile(data=peak_file(name), multiply_adds=PEAK_MULTIPLY_ADDS, words=words)
        for name in ("int8", "float32")
    }
    return ExplainSpec(facts=facts, onnx=plan, peaks=peaks)


def tflite_facts(path: Path) -> tuple[OperatorFacts, ...]:
    """What a TFLite file says of its operators, in order."""
    from edge.graph.analyses.counts import count_graph
    from edge.graph.importers.tflite.reader import read_tflite

    graph = read_tflite(path)
    costs = count_graph(graph).operators
    pairs = zip(graph.operators, costs, strict=True)
    return tuple(_facts(graph, operator, cost, -1) for operator, cost in pairs if operator.source)  # the file's own


def onnx_facts(path: Path) -> tuple[tuple[OperatorFacts, ...], OnnxPlan]:
    """Facts of every operator of an ONNX file, and what maps ONNX Runtime's nodes back to them.

    Raises:
        ModelFileError: as of `edge.graph.importers.onnx.reader.read_onnx`.
    """
    from converters.measuring.onnx import overhead_chains  # brings onnx
    from edge.graph.analyses.counts import count_graph
    from edge.graph.importers.onnx.owners import owned_nodes, with_node_names
    from edge.graph.importers.onnx.reader import read_onnx

    named = with_node_names(path.read_bytes()) if path.is_file() else None
    readable = path if named is None else named
    graph = read_onnx(readable, batch=1)
    costs = count_graph(graph).operators
    nodes = tuple(
        FileNode(name=node.name, kind=node.kind, inputs=node.inputs, outputs=node.outputs, operators=node.operators)
        for node in owned_nodes(readable, graph, batch=1)
    )
    tensors = tuple(
        OperatorTensors(
            reads={name: graph.tensors[name].size_bytes for name in operator.inputs if name},
            writes={name: graph.tensors[name].size_bytes for name in operator.outputs},
        )
        for operator in graph.operators
    )
    facts = tuple(_facts(graph, operator, cost, 1) for operator, cost in zip(graph.operators, costs, strict=True))
    return facts, OnnxPlan(file=nodes, tensors=tensors, chains=overhead_chains(), named=named)


def _facts(graph: "Graph", operator: "Operator", cost: "OperatorCost", channel_axis: int) -> OperatorFacts:
    output = graph.tensors[operator.outputs[0]]
    source = next((graph.tensors[name] for name in operator.inputs if name), output)
    channels = _channels(source, channel_axis)
    return OperatorFacts(
        name=operator.name,
        kind=operator.kind,
        precision=output.dtype,
        multiply_adds=cost.multiply_adds,
        bytes_moved=cost.moved_bytes,
        channels=_channels(output, channel_axis),
        depthwise=operator.kind == "Conv" and operator.attributes.get("group", 1) == channels > 1,
        input_share=prod(source.shape) / max(prod(output.shape), 1),
    )


def _channels(tensor: "Tensor", axis: int) -> int:
    return tensor.shape[axis] if len(tensor.shape) > max(axis, 0) else 1
