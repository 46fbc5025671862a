"""The end of reading an ONNX file: a importer becomes a graph, and every output of the file keeps its own name.

In a file an output may be another name of a tensor (Identity, a removed Dropout), of an input or of a constant. In a
graph every output is a tensor of its own, so that a second name costs a copy.
"""

from collections.abc import Sequence
from dataclasses import replace

from edge.errors import EdgeError, ModelFileError
from edge.graph.graph import Graph, Operator, Tensor
from edge.graph.importers.onnx.parsing.importer import Importer
from edge.graph.importers.onnx.widening import widen_constant
from edge.graph.passes.rewrite import fresh_name, real_values, rebuild


def signed_graph(importer: Importer, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
    """Make the graph. Refuses (ModelFileError) what is no sound graph."""
    names = _taken_over(importer, outputs)
    tensors = {
        names.get(key, key): replace(tensor, name=names.get(key, key)) for key, tensor in importer.tensors.items()
    }
    operators = [
        replace(
            operator,
            inputs=tuple(names.get(key, key) for key in operator.inputs),
            outputs=tuple(names.get(key, key) for key in operator.outputs),
        )
        for operator in importer.operators
    ]
    for output in outputs:
        target = importer.aliases.get(output, output)
        tensor = tensors.get(names.get(target, target))
        if tensor is None:
            continue  # refused by the graph itself
        value = _constant(importer, output, target)
        if value is not None:
            tensors[output] = value
        elif tensor.name != output:
            tensors[output] = replace(tensor, name=output)
            operators.append(_copy(importer, tensor, output))
    try:
        graph = Graph(
            name=name, layout="nchw", operators=tuple(operators), tensors=tensors, inputs=inputs, outputs=outputs
        )
        return rebuild(graph, operators)
    except EdgeError as error:
        raise ModelFileError(importer.label, str(error)) from error


def _taken_over(importer: Importer, outputs: Sequence[str]) -> dict[str, str]:
    """Tensors that get another name: the output's that stands for them; what operators read of a constant output.

    What is done to the weights of an operator is so never done to an output.
    """
    made = {output for operator in importer.operators for output in operator.outputs}
    read = {name for operator in importer.operators for name in operator.inputs}
    names: dict[str, str] = {}
    for output in outputs:
        target = importer.aliases.get(output, output)
        if target != output and target in made and target not in outputs and target not in names:
            names[target] = output
        elif target == output and target in read and importer.constant(target) is not None:
            names[target] = importer.fresh(f"{output}/read")
    return names


def _is_real_of_integers(importer: Importer, output: str, target: str) -> bool:
    """Whether a constant of integers stands for the real numbers that the file's output is."""
    tensor, stated = importer.tensors.get(target), importer.types.get(output, ("",))[0]
    return tensor is not None and tensor.data is not None and tensor.quantization is not None and stated[:5] == "float"


def _constant(importer: Importer, output: str, target: str) -> Tensor | None:
    """What a constant output is: float32 where the file has real numbers; None for an activation."""
    tensor = importer.tensors[target]
    if tensor.data is None:
        return None
    if _is_real_of_integers(importer, output, target):
        return Tensor(name=output, shape=tensor.shape, dtype="float32", data=real_values(tensor))
    widen_constant(importer, target)
    return replace(importer.tensors[target], name=output)


def _copy(importer: Importer, tensor: Tensor, output: str) -> Operator:
    """An operator that gives a tensor's values a second name: a Concat of one, a Reshape of a scalar."""
    name = fresh_name(f"{output}/copy", importer.names)
    importer.names.add(name)
    kind, attributes = ("Concat", {"axis": len(tensor.shape) - 1}) if tensor.shape else ("Reshape", {"shape": ()})
    return Operator(
        kind=kind,
        name=name,
        inputs=(tensor.name,),
        outputs=(output,),
        attributes=attributes,
        source="Identity",
    )
