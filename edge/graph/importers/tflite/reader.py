"""TFLite file -> Graph: any file, ours or not; operators without a canonical kind keep their own name."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.errors import ModelFileError
from edge.graph.graph import KINDS, Graph, Operator, Quantization, Tensor
from edge.graph.importers.tflite.operators.site import Reading, Spread
from edge.graph.importers.tflite.operators.table import read_operator
from edge.graph.importers.tflite.parsing.file import DAMAGE, FileModel, FileOperator, FileTensor, load_bytes, parse
from edge.graph.importers.tflite.unread import unread_notes, unread_parts
from edge.graph.passes.rewrite import real_values

# How a weight is stored -> the permutation that makes it (O, I / group, h, w).
WEIGHT_PERMUTATIONS: Mapping[str, tuple[int, ...]] = {"ohwi": (0, 3, 1, 2), "depthwise": (3, 0, 1, 2)}


def read_tflite(source: Path | bytes) -> Graph:
    """Read a TFLite file's first subgraph as an nhwc Graph.

    SAME and VALID become explicit pads, constant axes, shapes and sizes become attributes, weights become
    (O, I / group, h, w), float16 or int8 constants behind a DEQUANTIZE become float32 constants, and what a
    FULLY_CONNECTED flattens by itself becomes a Reshape before it. SPLIT, UNPACK, PACK and slices that drop an axis
    become Slices, Reshapes and a Concat; of several operators that one of the file becomes, the last alone has a
    `source`. An operator over what is not read here (states, sparse weights, strings) keeps its own name as kind,
    without those inputs; `notes` say what they are. Operators are named by their first output tensor; a repeated tensor
    name gets `#index`. Constants are views of the file's bytes.

    Args:
        source: a path, or a whole file's bytes.

    Raises:
        ModelFileError: missing, damaged, or not a TFLite file.
        EngineError: the schema package is missing.
    """
    data, where = load_bytes(source)
    model = parse(data, where)
    name = source.stem if isinstance(source, Path) else model.name
    try:
        return _Assembly(model, name, len(data)).graph()
    except DAMAGE as error:
        raise ModelFileError(where, f"not a sound TFLite model: {error}") from error


class _Assembly:
    """The graph while its operators are being translated one after another."""

    def __init__(self, model: FileModel, name: str, size_bytes: int) -> None:
        self.model = model
        self.name = name
        self.names = _unique_names(model.tensors)
        self.tensors: dict[str, Tensor] = {}
        self.unfolded_bytes = 4 * size_bytes  # each float16 constant once as float32, and as much again to spare
        self.forms: dict[int, str] = {}
        self.operators: list[Operator] = []
        self.produced = {index for operator in model.operators for index in operator.outputs} | set(model.inputs)
        self.tensors_of_file = list(model.tensors)
        self.unread: dict[str, dict[str, None]] = {}

    def graph(self) -> Graph:
        for index in self.model.inputs:
            self._use(index)
        for operator in self.model.operators:
            if not self._folded(operator):
                self._translate(operator)
        for index in self.model.outputs:
            self._use(index)
        return Graph(
            name=self.name,
            layout="nhwc",
            operators=tuple(self.operators),
            tensors=self.tensors,
            inputs=tuple(self.names[index] for index in self.model.inputs),
            outputs=tuple(self.names[index] for index in self.model.outputs),
            notes=unread_notes(self.unread),
        )

    def _folded(self, operator: FileOperator) -> bool:
        """Turn a float16 or int8 constant behind a DEQUANTIZE into a float32 one: how weights are stored smaller."""
        if operator.code != "DEQUANTIZE" or len(operator.inputs) != 1 or len(operator.outputs) != 1:
            return False
        data, output = self.tensors_of_file[operator.inputs[0]].data, self.tensors_of_file[operator.outputs[0]]
        quantization = self.tensors_of_file[operator.inputs[0]].quantization
        if data is None or output.dtype != "float32" or data.shape != output.shape:
            return False
        if data.dtype != np.float16 and (data.dtype != np.int8 or quantization is None):
            return False
        self.unfolded_bytes -= 4 * data.size
        if self.unfolded_bytes < 0:
            raise ValueError("more stored constants are unpacked than the file can hold")
        packed = Tensor(name=output.name, shape=data.shape, dtype=data.dtype.name, data=data, quantization=quantization)
        self.tensors_of_file[operator.outputs[0]] = FileTensor(
            name=output.name, shape=output.shape, dtype="float32", data=real_values(packed), quantization=None
        )
        return True

    def _translate(self, operator: FileOperator) -> None:
        unread = unread_parts(operator, self.tensors_of_file, self.produced)
        for index, what in unread.items():
            self.unread.setdefault(what, {})[self.names[index]] = None
        reading = None if unread else read_operator(operator, self.tensors_of_file)
        outputs = tuple(self._use(index) for index in operator.outputs)
        if isinstance(reading, Spread):
            self._spread(operator, reading, outputs)
            return
        if reading is None:
            given = (index if self._is_there(index) else -1 for index in operator.inputs)
            inputs = tuple(self._use(index) if index >= 0 else "" for index in given)
            kind, attributes = (f"CUSTOM_{operator.code}" if operator.code in KINDS else operator.code), {}
        else:
            inputs = tuple(self._input(operator, position, reading) for position in reading.inputs)
            kind, attributes = reading.kind, dict(reading.attributes)
            if reading.rows is not None:
                inputs = (self._as_rows(inputs[0], outputs[0], reading.rows), *inputs[1:])
        name = outputs[0] if outputs else f"{operator.code}_{len(self.operators)}"
        self.operators.append(
            Operator(
                kind=kind,
                name=name,
                inputs=inputs,
                outputs=outputs,
                attributes=attributes,
                source=operator.code,
                reason=", ".join(dict.fromkeys(unread.values())),
            )
        )

    def _is_there(self, index: int) -> bool:
        """Whether an input of an operator has values here: an activation that something makes, or a constant."""
        tensor = self.tensors_of_file[index]
        return index >= 0 and (index in self.produced or tensor.data is not None or 0 in tensor.shape)

    def _spread(self, operator: FileOperator, spread: Spread, outputs: tuple[str, ...]) -> None:
        """Several operators of the graph for one of the file; the last has its `source`."""
        made: list[str] = []
        for place, part in enumerate(spread.parts):
            inputs = tuple(self._use(operator.inputs[p]) if p >= 0 else made[~p] for p in part.inputs)
            if part.output is None:
                output = self._fresh(f"{outputs[0]}/part{place}")
                self.tensors[output] = replace(self.tensors[inputs[0]], name=output, shape=part.shape, data=None)
            else:
                output = outputs[part.output]
            last = place == len(spread.parts) - 1
            self.operators.append(
                Operator(
                    kind=part.kind,
                    name=output,
                    inputs=inputs,
                    outputs=(output,),
                    attributes=part.attributes,
                    source=operator.code if last else "",
                )
            )
            made.append(output)

    def _fresh(self, name: str) -> str:
        while name in self.tensors or name in self.names:
            name += "'"
        return name

    def _as_rows(self, name: str, output: str, shape: tuple[int, int]) -> str:
        """What a kernel does to its own input: a Reshape before the operator, without a `source` in the file."""
        rows = self._fresh(f"{output}/rows")
        self.tensors[rows] = replace(self.tensors[name], name=rows, shape=shape)
        attributes = {"shape": shape}
        self.operators.append(
            Operator(kind="Reshape", name=rows, inputs=(name,), outputs=(rows,), attributes=attributes)
        )
        return rows

    def _input(self, operator: FileOperator, position: int, reading: Reading) -> str:
        index = operator.inputs[position] if position < len(operator.inputs) else -1
        if index < 0:
            return ""
        return self._use(index, reading.weight if position == 1 else "")

    def _use(self, index: int, form: str = "") -> str:
        """Declare a tensor of the file, its values permuted for a weight, and give its name."""
        name = self._name(index, form)
        if name in self.tensors:
            return name
        tensor = self.tensors_of_file[index]
        data, quantization = tensor.data, tensor.quantization
        if data is None and 0 in tensor.shape and index not in self.produced:
            data = np.zeros(tensor.shape, tensor.dtype)
        if form and data is not None:
            permutation = WEIGHT_PERMUTATIONS[form]
            data = data.transpose(permutation)
            if quantization is not None and quantization.axis is not None:
                axis = permutation.index(quantization.axis)
                quantization = Quantization(scale=quantization.scale, zero_point=quantization.zero_point, axis=axis)
        shape = tensor.shape if data is None else data.shape
        self.tensors[name] = Tensor(name=name, shape=shape, dtype=tensor.dtype, data=data, quantization=quantization)
        return name

    def _name(self, index: int, form: str) -> str:
        """The tensor's name; with the form behind it when the file uses one constant in two forms."""
        name = self.names[index]
        first = self.forms.setdefault(index, form)
        return name if first == form else f"{name}#{form or 'plain'}"


def _unique_names(tensors: tuple[FileTensor, ...]) -> list[str]:
    names: list[str] = []
    taken: set[str] = set()
    for index, tensor in enumerate(tensors):
        name = tensor.name if tensor.name not in taken else f"{tensor.name}#{index}"
        while name in taken:
            name += "'"
        taken.add(name)
        names.append(name)
    return names
