"""One operator of a TFLite file as a model of its own, with its parameters, options and constants bit for bit.

Run in a runtime with inputs of one's choice, it tells what that operator computes, apart from everything before it.
"""

from typing import Any

import numpy as np

from edge.errors import ModelFileError, UsageError
from edge.graph.importers.tflite.parsing.accessors import model_accessor
from edge.graph.importers.tflite.parsing.file import DAMAGE, parse
from edge.graph.importers.tflite.parsing.schema import SCHEMA_VERSION, pack, schema


def extract_tflite(data: bytes, operator_index: int) -> bytes:
    """Make a valid one-operator model from an operator of a TFLite file's first subgraph.

    Args:
        data: the whole file.
        operator_index: 0 to the number of operators - 1, in the file's order. For a Graph read from a file without
            float16 constants this is the operator's position in
            `edge.graph.importers.tflite.file_operators.file_operators`.

    Returns:
        A TFLite file: the operator with its code, version and options, its tensors (names, shapes, quantization
        parameters) and constants. Its inputs are the operator's non-constant inputs, in the operator's order and each
        once; its outputs are the operator's outputs.

    Raises:
        ModelFileError: not a sound TFLite file.
        UsageError: no such operator.
    """
    return TfliteExtractor(data).extract(operator_index)


class TfliteExtractor:
    """Extracts several operators of one file, whose tables are checked once."""

    def __init__(self, data: bytes) -> None:
        self.file = parse(data, "TFLite data")
        self._root = model_accessor(schema(), data)
        self._subgraph = self._root.Subgraphs(0)

    def extract(self, operator_index: int) -> bytes:
        """One operator as a file; see `extract_tflite`."""
        count = len(self.file.operators)
        if not 0 <= operator_index < count:
            raise UsageError(f"operator {operator_index} of a file with {count} operators")
        try:
            return self._extract(operator_index)
        except DAMAGE as error:
            raise ModelFileError("TFLite data", f"damaged TFLite file: {error}") from error

    def _extract(self, operator_index: int) -> bytes:
        module = schema()
        operator = module.OperatorT.InitFromObj(self._subgraph.Operators(operator_index))
        code = module.OperatorCodeT.InitFromObj(self._root.OperatorCodes(operator.opcodeIndex))
        old_inputs, old_outputs = (
            self.file.operators[operator_index].inputs,
            self.file.operators[operator_index].outputs,
        )
        used = [index for index in dict.fromkeys((*old_inputs, *old_outputs)) if index >= 0]
        new_index = {old: new for new, old in enumerate(used)}
        new_outputs = [new_index[index] for index in old_outputs]
        buffers, tensors = [module.BufferT()], []
        for old in used:
            tensor, buffer = self._tensor(module, old)
            if buffer is not None:
                tensor.buffer = len(buffers)
                buffers.append(buffer)
            tensors.append(tensor)
        inputs = [index for index in dict.fromkeys(old_inputs) if index >= 0 and self.file.tensors[index].data is None]
        subgraph = module.SubGraphT(
            tensors=tensors,
            inputs=np.array([new_index[index] for index in inputs], np.int32),
            outputs=np.array(new_outputs, np.int32),
            operators=[_moved(module, operator, [new_index.get(index, -1) for index in old_inputs], new_outputs)],
            name="main",
        )
        model = module.ModelT(
            version=SCHEMA_VERSION,
            operatorCodes=[code],
            subgraphs=[subgraph],
            description=f"operator {operator_index}",
            buffers=buffers,
        )
        return pack(model)

    def _tensor(self, module: Any, index: int) -> tuple[Any, Any]:
        """A copy of a tensor's table that names no buffer, and its constant's buffer or None."""
        accessor = self._subgraph.Tensors(index)
        old = module.TensorT.InitFromObj(accessor)
        tensor = module.TensorT(
            shape=old.shape,
            type=old.type,
            buffer=0,
            name=old.name,
            quantization=old.quantization,
            isVariable=old.isVariable,
            shapeSignature=old.shapeSignature,
            hasRank=old.hasRank,
        )
        if self.file.tensors[index].data is None:
            return tensor, None
        return tensor, module.BufferT(data=self._root.Buffers(accessor.Buffer()).DataAsNumpy())


def _moved(module: Any, old: Any, inputs: list[int], outputs: list[int]) -> Any:
    """An operator's table with other tensor indices and the only operator code."""
    return module.OperatorT(
        opcodeIndex=0,
        inputs=np.array(inputs, np.int32),
        outputs=np.array(outputs, np.int32),
        builtinOptionsType=old.builtinOptionsType,
        builtinOptions=old.builtinOptions,
        customOptions=old.customOptions,
        customOptionsFormat=old.customOptionsFormat,
        builtinOptions2Type=old.builtinOptions2Type,
        builtinOptions2=old.builtinOptions2,
    )
