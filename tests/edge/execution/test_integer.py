"""The integer simulation: batches, layouts, names, and what it refuses."""

import numpy as np
import pytest
import torch

from converters.passes.layout.nhwc import to_nhwc
from edge.errors import UnsupportedError, UsageError
from edge.execution.float_run import FloatRun, run_float
from edge.execution.integer import IntegerSimulation
from edge.graph.graph import Graph, Operator, Tensor
from edge.models.registry import build
from edge.quantization.ptq.calibrate import calibrate
from edge.quantization.qat.freeze import float_graph
from tests.support.one_operator import Parameters, activation, conv_graph, graph_of

pytestmark = pytest.mark.unhurried

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def float_network() -> Graph:
    """A small MobileNetV2, NCHW, batch norm folded."""
    torch.manual_seed(0)
    model = build("mobilenet_v2", classes=10, width=0.35, resolution=32).train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(16, 3, 32, 32))
    return float_graph(model.eval(), torch.zeros(1, 3, 32, 32))


@pytest.fixture(scope="module")
def network(float_network: Graph) -> Graph:
    """The same, int8."""
    images = np.random.default_rng(0).normal(0, 1, (8, 3, 32, 32)).astype(np.float32)
    return calibrate(float_network, [images])


def images(count: int) -> np.ndarray:
    """Random int8 NCHW images."""
    return np.random.default_rng(1).integers(-128, 128, (count, 3, 32, 32)).astype(np.int8)


def test_a_batch_gives_what_its_images_give_one_by_one(network: Graph) -> None:
    """The graph's batch is 1; inputs may be longer."""
    simulation = IntegerSimulation(network)
    together = simulation.run([images(3)])[0]
    one_by_one = np.concatenate([simulation.run([images(3)[index : index + 1]])[0] for index in range(3)])
    assert np.array_equal(together, one_by_one)


def test_both_layouts_give_the_same_integers(network: Graph) -> None:
    """NCHW and its NHWC form, every activation that keeps its name."""
    first = IntegerSimulation(network).run_all([images(1)])
    nhwc = to_nhwc(network)
    second = IntegerSimulation(nhwc).run_all([images(1).transpose(0, 2, 3, 1)])
    shared = [name for name in first if name in second and first[name].ndim == 4]
    assert len(shared) > 50
    for name in shared:
        assert np.array_equal(first[name].transpose(0, 2, 3, 1), second[name]), name
    assert np.array_equal(first[network.outputs[0]], second[nhwc.outputs[0]])


def test_every_activation_is_named_and_the_inputs_stay_as_they_were(network: Graph) -> None:
    """`run_all` has the inputs, every operator's output, nothing else."""
    given = images(1)
    kept = given.copy()
    named = IntegerSimulation(network).run_all([given])
    assert set(named) == {*network.inputs, *(name for operator in network.operators for name in operator.outputs)}
    assert np.array_equal(given, kept)


def test_the_simulation_stays_near_the_float_network(float_network: Graph, network: Graph) -> None:
    """Dequantized logits lie within a few quanta of the float ones."""
    parameters = network.tensors[network.inputs[0]].quantization
    assert parameters is not None
    real = ((images(4) - parameters.zero_point[0]) * parameters.scale[0]).astype(np.float32)
    expected = run_float(float_network, [real])[float_network.outputs[0]]
    output = network.tensors[network.outputs[0]].quantization
    assert output is not None
    found = (IntegerSimulation(network).run([images(4)])[0].astype(np.float32) - output.zero_point[0]) * output.scale[0]
    assert np.abs(found - expected).max() < 0.25 * np.abs(expected).max()


def test_an_unknown_operator_is_refused_by_name() -> None:
    """Kind, source and node stand in the message."""
    shared = Parameters(scale=0.1, zero_point=0)
    source, target = activation("x", (1, 4), shared), activation("y", (1, 4), shared)
    operator = Operator(kind="Einsum", name="spread", inputs=("x",), outputs=("y",), source="EINSUM")
    graph = Graph(
        name="g",
        layout="nhwc",
        operators=(operator,),
        tensors={"x": source, "y": target},
        inputs=("x",),
        outputs=("y",),
    )
    with pytest.raises(UnsupportedError, match=r"Einsum \(EINSUM\) 'spread'"):
        IntegerSimulation(graph)


def test_untied_parameters_are_refused() -> None:
    """A pool cannot change its scale."""
    source = activation("x", (1, 4, 4, 2), Parameters(scale=0.1, zero_point=0))
    target = activation("y", (1, 2, 2, 2), Parameters(scale=0.2, zero_point=0))
    attributes = {"kernel": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "activation": "none"}
    with pytest.raises(UnsupportedError, match="same scale and zero point"):
        IntegerSimulation(graph_of("MaxPool", (source,), target, attributes))


def test_a_float_tensor_in_an_integer_graph_is_refused(float_network: Graph) -> None:
    """A float graph belongs to `run_float`."""
    with pytest.raises(UnsupportedError, match="without 8-bit quantization"):
        IntegerSimulation(float_network)


def test_a_quantized_graph_is_refused_by_the_float_run(network: Graph) -> None:
    """And the other way round."""
    with pytest.raises(UnsupportedError, match="is quantized"):
        FloatRun(network)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((1, 3, 32, 32), np.uint8), "is int8"),
        (np.zeros((1, 3, 32, 31), np.int8), "shape"),
        (np.zeros((0, 3, 32, 32), np.int8), "shape"),
    ],
)
def test_wrong_inputs_are_refused(network: Graph, array: np.ndarray, problem: str) -> None:
    """Another dtype, another size, nothing at all."""
    with pytest.raises(UsageError, match=problem):
        IntegerSimulation(network).run([array])


def test_a_batch_runs_one_by_one_where_an_operator_works_along_axis_0() -> None:
    """Otherwise images would mix: what each gives is joined along axis 0."""
    shared = Parameters(scale=0.1, zero_point=0)
    source, target = activation("x", (1, 4, 4, 2), shared), activation("y", (4, 1, 4, 2), shared)
    graph = graph_of("Transpose", (source,), target, {"perm": (1, 0, 2, 3)})
    simulation = IntegerSimulation(graph)
    batch = np.arange(64, dtype=np.int8).reshape(2, 4, 4, 2)
    alone = [simulation.run([batch[index : index + 1]])[0] for index in range(2)]
    assert alone[0].shape == (4, 1, 4, 2)
    assert np.array_equal(simulation.run([batch])[0], np.concatenate(alone))


def test_a_bias_of_another_type_is_refused() -> None:
    """The accumulator is 32 bits."""
    source = activation("x", (1, 2, 2, 3), Parameters(scale=0.1, zero_point=0))
    target = activation("y", (1, 2, 2, 2), Parameters(scale=0.1, zero_point=0))
    graph = conv_graph(source, target, np.ones((2, 3, 1, 1)), np.ones(2, np.float32), np.zeros(2))
    wrong = graph.with_tensors([Tensor(name="bias", shape=(2,), dtype="float32", data=np.zeros(2, np.float32))])
    with pytest.raises(UnsupportedError, match="not int32"):
        IntegerSimulation(wrong)


def test_an_addition_that_litert_cannot_compute_is_refused() -> None:
    """Its built-in kernel overflows where an input's scale is 256 output scales or more."""
    inputs = (
        activation("a", (1, 2), Parameters(scale=1.0, zero_point=0)),
        activation("b", (1, 2), Parameters(scale=0.001, zero_point=0)),
    )
    target = activation("y", (1, 2), Parameters(scale=0.003, zero_point=0))
    with pytest.raises(UnsupportedError, match="overflows"):
        IntegerSimulation(graph_of("Add", inputs, target, {"activation": "none"}))
