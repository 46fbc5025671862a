"""A network with one layer made bad on purpose, for `edge verify` to find.

Run as `python -m tests.benchmarks.bad_layer`. One output channel of a convolution is multiplied by a factor and
the weights that read it are divided by it: in float the same function, in 8 bits a range that one channel has to
itself. Writes FILE.onnx and its card FILE.toml.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from converters.convert.export import export_checkpoint
from converters.onnx.file import onnx_bytes
from edge.errors import UsageError
from edge.files.atomic import write_bytes, write_text
from edge.graph.graph import Graph
from edge.training.checkpoint import Checkpoint, read_checkpoint


def with_uneven_channel(graph: Graph, name: str, channel: int, factor: float) -> Graph:
    """The same function with one channel of a convolution `factor` times as large.

    Raises:
        UsageError: there is no such convolution, it has a fused activation, or its output is read by anything but one
            plain convolution.
    """
    writer = next((operator for operator in graph.operators if operator.name == name), None)
    if writer is None or writer.kind != "Conv" or writer.attributes["activation"] != "none":
        raise UsageError(f"'{name}' is no convolution without an activation")
    readers = graph.consumers(writer.outputs[0])
    if len(readers) != 1 or readers[0].kind != "Conv" or readers[0].attributes["group"] != 1:
        raise UsageError(f"the output of '{name}' is read by {len(readers)} operators, not by one plain convolution")
    weight, bias = (np.array(graph.constant(tensor)) for tensor in writer.inputs[1:])
    weight[channel] *= factor
    bias[channel] *= factor
    reading = np.array(graph.constant(readers[0].inputs[1]))
    reading[:, channel] /= factor
    arrays = {writer.inputs[1]: weight, writer.inputs[2]: bias, readers[0].inputs[1]: reading}
    return graph.with_tensors([replace(graph.tensors[tensor], data=array) for tensor, array in arrays.items()])


def card_toml(checkpoint: Checkpoint) -> str:
    """The card of the ONNX file of a checkpoint."""
    lines = [f"task = {json.dumps(checkpoint.task)}", "", "[preprocess]"]
    preprocess = checkpoint.recipe.preprocess.model_dump(mode="json", exclude_none=True)
    lines += [f"{key} = {json.dumps(value)}" for key, value in preprocess.items()]
    names = json.dumps(list(checkpoint.labels.names), ensure_ascii=False)
    return "\n".join([*lines, "", "[labels]", f"names = {names}", ""])


def main() -> None:
    """Read a float checkpoint, spoil one layer, write the ONNX file and its card."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bad_layer")
    parser.add_argument("checkpoint", type=Path, help="float.safetensors")
    parser.add_argument("layer", help="such as blocks.0.project.conv")
    parser.add_argument("output", type=Path, help="FILE.onnx")
    parser.add_argument("--channel", type=int, default=0)
    parser.add_argument("--factor", type=float, default=1000.0)
    given = parser.parse_args()
    checkpoint = read_checkpoint(given.checkpoint)
    graph = with_uneven_channel(export_checkpoint(checkpoint), given.layer, given.channel, given.factor)
    write_bytes(given.output, onnx_bytes(graph))
    write_text(given.output.with_suffix(".toml"), card_toml(checkpoint))


if __name__ == "__main__":
    main()
