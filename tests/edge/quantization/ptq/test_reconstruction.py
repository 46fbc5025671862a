"""AdaRound and the training of blocks: the error that each is to lower is lower, and nothing else changes."""

import numpy as np
import pytest
import torch

from edge.artifact.scheme import INT8_SCHEME, WEIGHT_MAX, Scheme
from edge.errors import UnsupportedError
from edge.quantization.ptq import blocks
from edge.quantization.ptq.adaround import up_or_down
from edge.quantization.ptq.blocks import blocks_of, by_blocks
from edge.quantization.ptq.improve import Improved, improve
from edge.quantization.ptq.judge import Judge
from edge.quantization.ptq.layer_rows import layers_of
from edge.quantization.ptq.state import State
from tests.support.ptq_network import SmoothImages, uneven_graph


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def improved(*steps: str, scheme: Scheme = INT8_SCHEME) -> Improved:
    return improve(
        uneven_graph(), SmoothImages(30), steps=steps, multiply_adds=1e8, epochs=10, decides=True, scheme=scheme,
        input_range=(-1.0, 1.0), seed=3,
    )  # fmt: skip


def trained(images: SmoothImages, seed: int = 0) -> State:
    return by_blocks(improved().state, images, epochs=20, seed=seed, advance=lambda done, of: None)


def integers(state: State) -> dict[str, bytes]:
    return {name: tensor.data.tobytes() for name, tensor in state.quantized.tensors.items() if tensor.data is not None}


@pytest.mark.parametrize("granularity", ["per_channel", "per_tensor"])
def test_every_weight_goes_to_a_neighbour_and_no_output_errs_more(granularity: str) -> None:
    generator = torch.Generator().manual_seed(5)
    weight = torch.randn((3, 4, 9), generator=generator, dtype=torch.float64)
    rows = torch.randn((3, 40, 9), generator=generator, dtype=torch.float64).cumsum(dim=2)  # neighbours are alike
    covariance = torch.bmm(rows.transpose(1, 2), rows) / 40
    largest = weight.abs().amax(dim=2, keepdim=True)
    scale = (largest if granularity == "per_channel" else largest.amax()) / WEIGHT_MAX
    found = up_or_down(weight, covariance, granularity)  # type: ignore[arg-type]
    counts = found / scale
    assert torch.allclose(counts, counts.round(), atol=1e-9)
    assert float((counts - weight / scale).abs().max()) < 1
    assert float(counts.abs().max()) == pytest.approx(WEIGHT_MAX)

    def errors(rounded: torch.Tensor) -> torch.Tensor:
        return (torch.bmm(rounded - weight, covariance) * (rounded - weight)).sum(dim=2)

    nearest = errors((weight / scale).round() * scale)
    assert bool((errors(found) <= nearest).all())
    assert float(errors(found).sum()) < 0.5 * float(nearest.sum())


@pytest.mark.parametrize("step", ["adaround", "blocks"])
def test_either_alone_comes_nearer_on_other_images_by_the_integers(step: str) -> None:
    made = improved(step)
    assert [outcome.step for outcome in made.outcomes] == [step]
    assert made.outcomes[0].kept and made.total.sqnr_db > made.plain.sqnr_db + 3
    judge = Judge(uneven_graph(), SmoothImages(40, seed=9), decides=True)
    assert judge.total(made.state).sqnr_db > judge.total(improved().state).sqnr_db + 2


def test_a_sum_is_in_one_block_with_what_it_adds() -> None:
    graph = uneven_graph()
    found = blocks_of(graph)
    assert [[layer.kind for layer in block.layers] for block in found] == [["Conv", "Conv"], ["Conv", "Conv"], ["Gemm"]]
    assert found[0].input == graph.inputs[0] and found[1].input == found[0].output
    assert found[1].operators[-1].kind == "Add" and found[-1].output == graph.outputs[0]
    assert [operator for block in found for operator in block.operators] == list(graph.operators)


def test_trained_blocks_keep_the_grids_and_follow_from_the_seed() -> None:
    before, after = improved().state, trained(SmoothImages(24))
    assert integers(after) == integers(trained(SmoothImages(24))) != integers(trained(SmoothImages(24), seed=1))
    for layer in layers_of(before.real):
        one, other = (state.quantized.tensors[layer.inputs[1]].quantization for state in (before, after))
        assert one is not None and other is not None
        np.testing.assert_allclose(one.scale, other.scale, rtol=1e-6)


def test_large_activations_leave_fewer_images_to_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = max(uneven_graph().tensors[name].size_bytes for block in blocks_of(uneven_graph())
                  for name in (block.input, block.output))  # fmt: skip
    monkeypatch.setattr(blocks, "MOST_BYTES", 4 * largest * 3)
    images = SmoothImages(24)
    trained(images)
    assert images.asked == [0, 8, 16]


def test_training_that_is_not_finite_is_no_step() -> None:
    images = SmoothImages(8)
    images.pixels[3] = np.nan
    with pytest.raises(UnsupportedError, match="not finite"):
        trained(images)
