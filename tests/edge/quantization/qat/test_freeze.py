import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import EdgeError
from edge.execution.integer import IntegerSimulation
from edge.execution.kernels.int8_table import BUILDERS
from edge.execution.kernels.qat_operators import OPERATORS
from edge.graph.graph import Graph
from edge.quantization.qat.freeze import freeze
from edge.quantization.qat.phase import TRAIN, TRAIN_FOLDED
from edge.quantization.qat.prepare import QatOptions, QuantizedModel, prepare_qat, set_phase
from tests.support.quantization_networks import SIZE_HW, Branches, TinyResNet, images, trained_statistics

EXAMPLE = torch.zeros(1, 3, *SIZE_HW)


def trained(model: nn.Module, ranges: str) -> QuantizedModel:
    """Observe, then train a few steps with live and with frozen batch norm."""
    prepared = prepare_qat(model.train(), EXAMPLE, options=QatOptions(ranges=ranges))  # type: ignore[arg-type]
    for seed in range(3):
        prepared(images(4, seed))
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.01)
    for step in range(4):
        set_phase(prepared, TRAIN_FOLDED if step >= 2 else TRAIN)
        loss = prepared(images(4, step)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return prepared.eval()


@pytest.fixture(params=[("resnet", "learned"), ("resnet", "moving_average"), ("branches", "learned")], ids="-".join)
def prepared(request: pytest.FixtureRequest) -> QuantizedModel:
    name, ranges = request.param
    return trained({"resnet": TinyResNet, "branches": Branches}[name](), ranges)


def integers(values: torch.Tensor, graph: Graph, name: str) -> np.ndarray:
    quantization = graph.tensors[name].quantization
    assert quantization is not None
    raw = np.rint(values.numpy() * np.float32(1 / quantization.scale[0])) + quantization.zero_point[0]
    return np.clip(raw, -128, 127).astype(np.int8)


def test_scales_and_zero_points_are_the_modules_buffers(prepared: QuantizedModel) -> None:
    graph = freeze(prepared)
    for name in prepared.group_of:
        quantization, quantizer = graph.tensors[name].quantization, prepared.quantizer(name)
        assert quantization is not None
        assert quantization.scale.tobytes() == quantizer.scale.reshape(1).numpy().tobytes()
        assert int(quantization.zero_point[0]) == int(quantizer.zero_point)


def test_weights_and_biases_are_the_integers_of_the_forward(prepared: QuantizedModel) -> None:
    from edge.quantization.qat.fake_quant import fake_quantize_weight, weight_scales

    graph = freeze(prepared)
    for operator in graph.operators:
        if operator.name not in prepared.layer_of:
            continue
        weight, bias = (graph.tensors[name] for name in operator.inputs[1:])
        assert weight.quantization is not None and weight.data is not None and bias.quantization is not None
        assert (weight.dtype, bias.dtype) == ("int8", "int32")
        input_scale = prepared.quantizer(operator.inputs[0]).parameters_now()[0]
        with torch.no_grad():
            folded, folded_bias = prepared.layers[prepared.layer_of[operator.name]].folded()
            scale = weight_scales(folded, folded_bias, input_scale)
            expected = fake_quantize_weight(folded, scale)
        shape = (-1, *(1,) * (weight.data.ndim - 1))
        assert weight.quantization.scale.tobytes() == scale.numpy().tobytes()
        assert np.array_equal(weight.data * weight.quantization.scale.reshape(shape), expected.numpy())
        assert np.array_equal(bias.quantization.scale, np.float32(input_scale) * scale.numpy())


def test_the_forward_agrees_with_the_integer_simulation(prepared: QuantizedModel) -> None:
    graph = freeze(prepared)
    x = images(16, seed=9)
    with torch.no_grad():
        forward = integers(prepared(x), graph, graph.outputs[0]).astype(int)
    (simulated,) = IntegerSimulation(graph).run([integers(x, graph, graph.inputs[0])])
    difference = np.abs(forward - simulated)
    assert difference.max() <= 1
    assert (difference != 0).mean() < 0.02


def test_running_it_does_not_change_what_freezes(prepared: QuantizedModel) -> None:
    first = freeze(prepared)
    with torch.no_grad():
        prepared(images(3, seed=5))
    second = freeze(prepared)
    for name, tensor in first.tensors.items():
        other = second.tensors[name]
        assert tensor.dtype == other.dtype and (
            tensor.quantization is None or tensor.quantization.same_as(other.quantization)
        )
        assert tensor.data is None or np.array_equal(tensor.data, other.data)  # type: ignore[arg-type]


def test_input_and_output_are_integers_and_nothing_is_left_in_float(prepared: QuantizedModel) -> None:
    graph = freeze(prepared, name="shipped")
    assert graph.name == "shipped" and graph.layout == "nchw"
    assert {tensor.dtype for tensor in graph.tensors.values()} == {"int8", "int32"}
    assert not {operator.kind for operator in graph.operators} & {"Quantize", "Dequantize", "Relu6", "BatchNorm"}


def test_a_rectified_branch_of_a_signed_tie_keeps_its_activation() -> None:
    graph = freeze(trained(Branches(), "moving_average"))
    branch = next(operator for operator in graph.operators if operator.name == "b")
    quantization = graph.tensors[branch.outputs[0]].quantization
    assert branch.attributes["activation"] == "relu6"
    assert quantization is not None and int(quantization.zero_point[0]) > -128


def test_every_operator_that_trains_has_an_integer_formula() -> None:
    assert set(OPERATORS) <= set(BUILDERS)


def test_a_dead_channel_freezes_and_answers_with_its_bias() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    model[0].weight.data[1] = 0.0
    model[0].bias.data[1] = 3.0
    prepared = prepare_qat(model.train(), EXAMPLE)
    prepared(images(4))
    set_phase(prepared, TRAIN_FOLDED)
    graph = freeze(prepared)
    every = IntegerSimulation(graph).run_all([integers(images(1), graph, graph.inputs[0])])
    quantization = graph.tensors["0"].quantization
    assert quantization is not None
    channel = (every["0"][0, 1].astype(int) - int(quantization.zero_point[0])) * float(quantization.scale[0])
    assert np.allclose(channel, 3.0, atol=float(quantization.scale[0]))


def test_a_module_that_was_not_prepared_is_refused() -> None:
    with pytest.raises(EdgeError, match="TinyResNet was not prepared"):
        freeze(trained_statistics(TinyResNet()))
