"""The beginnings of a TFLite file as models of their own: what their times differ by is what each operator takes."""

from collections.abc import Iterator

import numpy as np

from edge.errors import ModelFileError
from edge.graph.tflite_file import DAMAGE, parse
from edge.graph.tflite_schema import pack, schema


def tflite_prefixes(data: bytes) -> Iterator[bytes]:
    """The first operator of a file's first subgraph as a model, the first two, and so on to all of them.

    Constants, options and quantization stay as they are. The inputs are the file's. The outputs are all that the
    operators left away, or the caller of the whole file, would read.

    Args:
        data: the whole file.

    Raises:
        ModelFileError: not a sound TFLite file, or one with several subgraphs.
    """
    parsed = parse(data, "TFLite data")
    module = schema()
    try:
        model = module.ModelT.InitFromObj(module.Model.GetRootAs(data, 0))
        if len(model.subgraphs) != 1:
            raise ModelFileError("TFLite data", f"has {len(model.subgraphs)} subgraphs; only files with one can be cut")
        model.signatureDefs = None
        subgraph = model.subgraphs[0]
        operators = list(subgraph.operators)
        for count in range(1, len(operators) + 1):
            made = {index for operator in parsed.operators[:count] for index in operator.outputs}
            read = {index for operator in parsed.operators[count:] for index in operator.inputs}
            wanted = made & (read | set(parsed.outputs))
            subgraph.operators = operators[:count]
            subgraph.outputs = np.array(sorted(wanted or parsed.operators[count - 1].outputs), np.int32)
            yield pack(model)
    except DAMAGE as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError("TFLite data", f"damaged TFLite file: {error}") from error
