"""In ONNX Runtime too, sums and resizes give the integers of the devices' kernels; both read back as what they are."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from converters.onnxruntime.form import onnxruntime_form
from converters.passes.canonical_int8 import canonical_int8
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor, per_tensor
from edge.graph.importers.onnx.reader import read_onnx
from tests.support.examples import examples
from tests.support.onnx_session import cpu_session

POOL = {"kernel": (1, 1), "strides": (1, 1), "pads": (0, 0, 0, 0), "activation": "none"}
# A pool of one cell leaves the integers alone; its QDQ pair says the parameters of the tensors around the operator.
Parameters = tuple[float, int]


def surrounded(kind: str, sources: list[Parameters], target: Parameters, shape_out: tuple[int, ...]) -> Graph:
    """An operator over 256 x 256 (or smaller) activations between pools."""
    tensors: dict[str, Tensor] = {}
    operators = []
    side = shape_out[-1] if kind != "Resize" else 6

    def tensor(name: str, shape: tuple[int, ...], parameters: Parameters) -> str:
        tensors[name] = Tensor(name=name, shape=shape, dtype="int8", quantization=per_tensor(*parameters))
        return name

    def pool(source: str, name: str) -> None:
        operators.append(
            Operator(kind="MaxPool", name=f"{name}/pool", inputs=(source,), outputs=(name,), attributes=POOL)
        )

    names = []
    for index, parameters in enumerate(sources):
        shape = (1, 1, side, side)
        pool(tensor(f"in{index}", shape, parameters), tensor(f"x{index}", shape, parameters))
        names.append(f"x{index}")
    tensor("y", shape_out, target)
    attributes: dict[str, object] = {"activation": "none"}
    if kind == "Resize":
        attributes = {"mode": "linear", "coordinates": "half_pixel", "size_hw": shape_out[2:]}
    operators.append(Operator(kind=kind, name="middle", inputs=tuple(names), outputs=("y",), attributes=attributes))
    pool("y", tensor("out", shape_out, target))
    inputs = tuple(f"in{index}" for index in range(len(sources)))
    return Graph(name="g", layout="nchw", operators=tuple(operators), tensors=tensors, inputs=inputs, outputs=("out",))


def differing(graph: Graph, *inputs: npt.NDArray[np.int8]) -> int:
    """Values in which ONNX Runtime differs from the simulation."""
    session = cpu_session(onnxruntime_form(graph))
    unsigned = [(array.astype(np.int16) + 128).astype(np.uint8) for array in inputs]
    feeds = {port.name: array for port, array in zip(session.get_inputs(), unsigned, strict=True)}
    found = session.run(None, feeds)[0].astype(np.int16) - 128
    return int((found != IntegerSimulation(graph).run(list(inputs))[0]).sum())


def every_pair() -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int8]]:
    """All 65,536 pairs of int8 values, (1, 1, 256, 256) each."""
    values = np.arange(-128, 128, dtype=np.int8)
    first, second = np.meshgrid(values, values)
    return first[None, None], second[None, None]


SCALES = st.floats(2e-3, 0.3)
ZEROS = st.integers(-128, 127)


@examples(15)
@given(
    kind=st.sampled_from(["Add", "Sub"]), scales=st.tuples(SCALES, SCALES, SCALES), zeros=st.tuples(ZEROS, ZEROS, ZEROS)
)
def test_a_sum_is_exact_for_every_pair_of_values(
    kind: str, scales: tuple[float, float, float], zeros: tuple[int, int, int]
) -> None:
    parameters = list(zip(scales, zeros, strict=True))
    graph = surrounded(kind, parameters[:2], parameters[2], (1, 1, 256, 256))
    assert differing(graph, *every_pair()) == 0


@pytest.mark.parametrize("turned", [False, True])
def test_a_sum_whose_constant_part_is_fused_in_the_kernel_is_exact(turned: bool) -> None:
    """One pair of 65,536 tells ONNX Runtime's kernel, which rounds z_out - (r_a z_a + r_b z_b) otherwise."""
    sources = [(0.07444680780793522, 102), (0.125, -1)]
    graph = surrounded("Add", sources[::-1] if turned else sources, (0.16519652014185607, 0), (1, 1, 256, 256))
    assert differing(graph, *every_pair()) == 0


def kinds_of(data: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(data).graph.node)


def test_the_fast_kernel_is_taken_only_where_no_pair_tells_it_from_the_exact_sum() -> None:
    """Equal scales have no ties. With half the output's scale every other sum is one; the kernel rounds it to even."""
    plain = surrounded("Add", [(0.1, 3), (0.1, -5)], (0.1, 0), (1, 1, 256, 256))
    ties = surrounded("Add", [(0.05, 3), (0.05, -5)], (0.1, 0), (1, 1, 256, 256))
    assert "Mul" not in kinds_of(onnxruntime_form(plain)) and kinds_of(onnxruntime_form(ties))["Mul"] == 2
    assert differing(plain, *every_pair()) == differing(ties, *every_pair()) == 0


@examples(15)
@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_a_resize_to_any_size_is_exact(height: int, width: int, seed: int) -> None:
    graph = surrounded("Resize", [(0.1, 7)], (0.1, 7), (1, 1, height, width))
    x = np.random.default_rng(seed).integers(-128, 128, (1, 1, 6, 6)).astype(np.int8)
    assert differing(graph, x) == 0


@pytest.mark.parametrize("size", [(12, 24), (3, 6), (13, 11), (1, 1), (20, 6)])
def test_a_resize_reads_back_as_the_one_it_computes(size: tuple[int, int]) -> None:
    graph = surrounded("Resize", [(0.1, 7)], (0.1, 7), (1, 1, *size))
    read = next(entry for entry in read_onnx(onnxruntime_form(graph)).operators if entry.kind == "Resize")
    given_ = next(entry for entry in graph.operators if entry.kind == "Resize")
    if size != (1, 1):  # one cell may be said in several ways
        assert read.attributes == given_.attributes
    assert read.inputs == given_.inputs and read.outputs == given_.outputs


@pytest.mark.parametrize("kind", ["Add", "Sub"])
def test_a_spelled_out_sum_reads_back_with_its_parameters(kind: str) -> None:
    graph = surrounded(kind, [(0.05, 3), (0.05, -5)], (0.1, 0), (1, 1, 8, 8))
    read = canonical_int8(read_onnx(onnxruntime_form(graph)))
    assert [entry.kind for entry in read.operators] == [entry.kind for entry in graph.operators]
    for name, tensor in graph.tensors.items():
        assert tensor.quantization is not None and tensor.quantization.same_as(read.tensors[name].quantization)


@pytest.mark.parametrize("constant", ["y/first_weight", "y/offset", "constant_double_255"])
def test_nodes_with_other_constants_are_not_taken_for_a_sum(constant: str) -> None:
    model = onnx.load_from_string(onnxruntime_form(surrounded("Sub", [(0.05, 3), (0.05, -5)], (0.1, 0), (1, 1, 8, 8))))
    entry = next(entry for entry in model.graph.initializer if entry.name == constant)
    changed = onnx.numpy_helper.to_array(entry) * 1.5
    entry.CopyFrom(onnx.numpy_helper.from_array(changed, constant))
    assert "Sub" not in {operator.kind for operator in read_onnx(model.SerializeToString()).operators}
