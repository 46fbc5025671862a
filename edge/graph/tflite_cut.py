"""One operator cut out of a TFLite file as a model of its own, with its parameters, options and constants bit for bit.

Run in a runtime with inputs of one's choice, it tells what that operator computes, apart from everything before it.
"""

from typing import Any

import numpy as np

from edge.errors import ModelFileError, UsageError
from edge.graph.tflite_file import DAMAGE, parse
from edge.graph.tflite_schema import SCHEMA_VERSION, pack, schema


def cut_tflite(data: bytes, operator_index: int) -> bytes:
    """Make a valid one-operator model from an operator of a TFLite file's first subgraph.

    Args:
        data: the whole file.
        operator_index: 0 to the number of operators - 1, in the file's order. For a Graph read from a file without
            float16 constants this is the operator's position in `Graph.operators`.

    Returns:
        A TFLite file: the operator with its code, version and options, its tensors (names, shapes, quantization
        parameters) and constants. Its inputs are the operator's non-constant inputs, in the operator's order and each
        once; its outputs are the operator's outputs.

    Raises:
        ModelFileError: not a sound TFLite file.
        UsageError: no such operator.
    """
    return TfliteCutter(data).cut(operator_index)


class TfliteCutter:
    """Cuts several operators out of one file, which is unpacked once."""

    def __init__(self, data: bytes) -> None:
        self.file = parse(data, "TFLite data")
        try:
            self._model = schema().ModelT.InitFromPackedBuf(data, 0)
        except DAMAGE as error:
            raise ModelFileError("TFLite data", f"damaged TFLite file: {error}") from error
        self._subgraph = self._model.subgraphs[0]

    def cut(self, operator_index: int) -> bytes:
        """One operator as a file; see `cut_tflite`."""
        module, count = schema(), len(self.file.operators)
        if not 0 <= operator_index < count:
            raise UsageError(f"operator {operator_index} of a file with {count} operators")
        operator = self._subgraph.operators[operator_index]
        old_inputs = [int(index) for index in _listed(operator.inputs)]
        old_outputs = [int(index) for index in _listed(operator.outputs)]
        used = [index for index in dict.fromkeys((*old_inputs, *old_outputs)) if index >= 0]
        new_index = {old: new for new, old in enumerate(used)}
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
            outputs=np.array([new_index[index] for index in old_outputs], np.int32),
            operators=[self._operator(module, operator, new_index)],
            name="main",
        )
        model = module.ModelT(
            version=SCHEMA_VERSION,
            operatorCodes=[self._model.operatorCodes[operator.opcodeIndex]],
            subgraphs=[subgraph],
            description=f"operator {operator_index}",
            buffers=buffers,
        )
        return pack(model)

    def _tensor(self, module: Any, index: int) -> tuple[Any, Any]:
        """A copy of a tensor's table that names no buffer, and its constant's buffer or None."""
        old = self._subgraph.tensors[index]
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
        return tensor, self._model.buffers[old.buffer] if self.file.tensors[index].data is not None else None

    def _operator(self, module: Any, old: Any, new_index: dict[int, int]) -> Any:
        return module.OperatorT(
            opcodeIndex=0,
            inputs=np.array([new_index.get(int(index), -1) for index in _listed(old.inputs)], np.int32),
            outputs=np.array([new_index[int(index)] for index in _listed(old.outputs)], np.int32),
            builtinOptionsType=old.builtinOptionsType,
            builtinOptions=old.builtinOptions,
            customOptions=old.customOptions,
            customOptionsFormat=old.customOptionsFormat,
            builtinOptions2Type=old.builtinOptions2Type,
            builtinOptions2=old.builtinOptions2,
        )


def _listed(indices: Any) -> Any:
    return () if indices is None else indices
