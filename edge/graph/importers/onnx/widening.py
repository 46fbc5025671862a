"""Networks of float16 and float64 read as float32: weights are cast, what the file computes is computed in float32.

A Cast to float16 or float64 that nothing but another Cast or an output reads is a rounding of its own and stays, and so
does float64 arithmetic over integers.
"""

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto

from edge.errors import ModelFileError
from edge.graph.graph import Tensor
from edge.graph.importers.onnx.parsing.file import ELEMENT_TYPES
from edge.graph.importers.onnx.parsing.importer import Importer, Node

NARROW = ("float16", "float64")
OUTPUT = "output of the file"


def widen_input(importer: Importer, name: str) -> None:
    """Take an input of the file as float32."""
    dtype, shape = importer.types.get(name, ("", ()))
    if dtype in NARROW:
        importer.types[name] = ("float32", shape)
        importer.widened[name] = dtype


def widen_inputs(importer: Importer, proto: NodeProto, node: Node) -> str:
    """Make the constants that a node reads float32, if it is one to compute in float32.

    Returns:
        The type that the file computes it in; '' where the node stays as it is.
    """
    read = [(given, importer.tensor(name)) for given, name in zip(proto.input, node.inputs, strict=True) if name]
    if any(tensor.data is None and tensor.dtype in NARROW for _, tensor in read):
        return ""  # the result of a Cast that stays
    constants = [tensor for _, tensor in read if tensor.data is not None and tensor.dtype in NARROW]
    kinds = [*(tensor.dtype for tensor in constants), *(importer.widened.get(given, "") for given, _ in read)]
    kind = next(filter(None, kinds), "")
    if node.kind == "Cast" and not kind:
        kind = _started(importer, node, read[0][1])
    for tensor in constants:
        widen_constant(importer, tensor.name)
    return kind


def _started(importer: Importer, node: Node, x: Tensor) -> str:
    """The type of the network that begins behind a Cast; '' where none does."""
    target = ELEMENT_TYPES.get(int(node.attributes.get("to", 0)), ("",))[0]
    if target not in NARROW or (x.dtype != "float32" and target == "float64"):
        return ""
    return target if importer.readers.get(node.outputs[0], frozenset()) - {"Cast", OUTPUT} else ""


def widen_constant(importer: Importer, name: str) -> None:
    """Make a constant float32. Refuses (ModelFileError) a number beyond float32."""
    tensor = importer.tensor(name)
    if tensor.data is None or tensor.dtype not in NARROW:
        return
    with np.errstate(over="ignore"):
        data = tensor.data.astype(np.float32)
    beyond = np.isinf(data) & np.isfinite(tensor.data)
    if beyond.any():
        largest = tensor.data[beyond].flat[0]
        raise ModelFileError(importer.label, f"constant '{name}' holds {largest:g}, beyond float32")
    importer.tensors[name] = Tensor(name=name, shape=tensor.shape, dtype="float32", data=data)
    importer.types[name] = ("float32", tensor.shape)
    importer.widened.setdefault(name, tensor.dtype)


def widen_outputs(importer: Importer, node: Node, outputs: Sequence[str], kind: str) -> None:
    """Take what a node makes as float32, after its types were inferred; `kind` as of `widen_inputs`."""
    for name in outputs:
        dtype, shape = importer.types.get(name, ("", ()))
        if dtype in NARROW:
            importer.types[name] = ("float32", shape)
            importer.widened[name] = dtype
        elif dtype == "float32" and node.kind != "Cast":
            importer.widened[name] = kind


def widening_note(importer: Importer) -> tuple[str, ...]:
    """The sentence that says so, where there is something to say."""
    kinds = sorted({dtype for name, dtype in importer.widened.items() if importer.readers.get(name)})
    return (f"{' and '.join(kinds)} tensors are read as float32",) if kinds else ()
