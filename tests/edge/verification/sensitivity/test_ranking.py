"""A layer made bad on purpose is ranked first by both rankings, and what is suggested fits."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.artifact.manifest import Artifact
from edge.cli.main import main
from edge.execution.integer import IntegerSimulation
from edge.graph.importers.onnx.reader import read_onnx
from edge.verification.checks.images import choose_images
from edge.verification.checks.subject import open_subject
from edge.verification.sensitivity.advice import stands_out
from edge.verification.sensitivity.examination import Effort, Examination, examine
from edge.verification.sensitivity.mixed import FLOAT, WHOLE, MixedNetwork
from edge.verification.sensitivity.ranking import Ranking, rank_layers, spread
from edge.verification.sensitivity.real_weights import real_weights
from edge.verification.verify import Request

MakeBad = Callable[[str], Any]
UNEVEN_LAYER, CLIPPED_LAYER = "project", "narrow"


def examined(made: Any) -> Examination:
    return examine(made.artifact, Request(split=made.split), Effort(samples=4))


def ranked(made: Any, **changes: Any) -> Ranking:
    images = choose_images(made.artifact, made.split, None)
    arguments: dict[str, Any] = {"samples": 4, "limit_s": 60.0, **changes}
    return rank_layers(open_subject(made.artifact), images, made.float_graph, **arguments)


@pytest.mark.parametrize(("name", "layer"), [("uneven", UNEVEN_LAYER), ("clipped", CLIPPED_LAYER)])
def test_a_layer_made_bad_is_first_both_ways(make_bad: MakeBad, name: str, layer: str) -> None:
    """Alone it makes most of the noise, and without it most of the noise is gone."""
    first = examined(make_bad(name)).ranking.layers[0]
    assert first.layer.name == layer
    assert (first.alone_rank, first.without_rank) == (1, 1)
    assert first.alone_noise_share > 0.8 and first.recovered_share > 0.8


def test_uneven_channels_are_to_be_equalized(make_bad: MakeBad) -> None:
    """The channel is named with what it spans beside the others."""
    suggestion = examined(make_bad("uneven")).suggestions[0]
    assert suggestion.layer == UNEVEN_LAYER
    assert "channel 0 of" in suggestion.reason and "of its noise comes from its output" in suggestion.reason
    assert suggestion.action.startswith("equalize: divide channel 0 by about ")


def test_a_clipped_range_is_to_be_calibrated_again(make_bad: MakeBad) -> None:
    """The share of saturated values is the reason, quantizing the float network anew the command."""
    made = make_bad("clipped")
    suggestion = examined(made).suggestions[0]
    assert suggestion.layer == CLIPPED_LAYER
    assert "of its values saturate" in suggestion.reason
    assert suggestion.command.startswith("edge quantize ") and "clipped.onnx" in suggestion.command


def test_in_a_sound_network_no_layer_stands_out_both_ways(make_bad: MakeBad) -> None:
    """And the first suggestion is for the whole of it."""
    found = examined(make_bad("sound"))
    layers = found.ranking.layers
    assert not any(stands_out(cost) for cost in layers)
    assert found.suggestions[0].layer == "" and "no layer stands out" in found.suggestions[0].reason
    assert sorted(cost.alone_rank for cost in layers) == sorted(cost.without_rank for cost in layers)


def test_every_layer_rounded_is_the_integer_simulation_but_for_ties(make_bad: MakeBad, pixels: np.ndarray) -> None:
    """Activations lie on the same grid, almost all on the same integer; none is far away."""
    made = make_bad("sound")
    graph = read_onnx(made.artifact.file("source.onnx"))
    network = MixedNetwork(graph, real_weights(graph, made.float_graph).values)
    rounded = network.run([pixels], lambda place: WHOLE)
    name = graph.inputs[0]
    grid = network.grids[name]
    raw = (rounded[name].numpy() / grid.scale).round().astype(np.int32) + grid.zero_point
    integers = IntegerSimulation(graph).run_all([raw.astype(np.int8)])
    output = graph.operators[2].outputs[0]
    grid = network.grids[output]
    mine = (rounded[output].numpy() / grid.scale).round().astype(np.int32) + grid.zero_point
    apart = np.abs(mine - integers[output].astype(np.int32))
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_all_float_is_the_parent(make_bad: MakeBad, pixels: np.ndarray) -> None:
    """Every weight is the parent's; nothing is rounded; float32 to the last bits."""
    from edge.execution.float_run import FloatRun

    made = make_bad("sound")
    graph = read_onnx(made.artifact.file("source.onnx"))
    weights = real_weights(graph, made.float_graph)
    assert not weights.from_integers and len(weights.from_parent) == 6
    real = MixedNetwork(graph, weights.values).run([pixels], lambda place: FLOAT)
    expected = FloatRun(made.float_graph).run([pixels])[0]
    np.testing.assert_allclose(real[graph.outputs[0]].numpy(), expected, rtol=1e-4, atol=1e-5)


def test_without_a_parent_weights_cost_nothing_and_that_is_said(make_bad: MakeBad) -> None:
    made = make_bad("sound")
    images = choose_images(made.artifact, made.split, None)
    ranking = rank_layers(open_subject(made.artifact), images, None, samples=1, limit_s=60.0)
    assert not ranking.weights.from_parent and len(ranking.weights.from_integers) == 6


def test_weights_that_were_trained_further_are_not_taken_for_rounding(make_bad: MakeBad) -> None:
    """Moved by several quanta, the parent's weights are not what these integers were rounded from."""
    made = make_bad("sound")
    graph = read_onnx(made.artifact.file("source.onnx"))
    operator = graph.operators[0]
    tensor = made.float_graph.tensors[operator.inputs[1]]
    other = made.float_graph.with_tensors([type(tensor)(name=tensor.name, shape=tensor.shape, dtype="float32",
                                                        data=np.asarray(tensor.data * 1.5, np.float32))])  # fmt: skip
    assert real_weights(graph, other).from_integers == (operator.name,)


def test_time_is_bounded_by_whole_batches_and_the_first_is_one_image(make_bad: MakeBad) -> None:
    ranking = ranked(make_bad("sound"), samples=8, limit_s=0.0)
    assert len(ranking.images) == 1 and ranking.asked == 8


def test_images_are_spread_over_all() -> None:
    assert spread(8, 4) == [0, 2, 4, 6]
    assert spread(3, 5) == [0, 1, 2]


def test_verify_ranks_when_agreement_fails_and_names_the_layer(
    make_bad: MakeBad, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 1; ranking rows between findings and verdict; the bad layer at fault, first."""
    folder = str(make_bad("uneven").artifact.folder)
    arguments = ["verify", folder, "--split", "generated:classify:val:8", "--agreement-floor", "1", "--json"]
    capsys.readouterr()
    assert main([*arguments, "--accuracy-floor", "0", "--rank-samples", "2", "--operator-samples", "0"]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [row["row"] for row in rows]
    assert kinds == sorted(kinds, key=["finding", "layer", "suggestion", "ranking", "verdict"].index)
    layers = [row for row in rows if row["row"] == "layer"]
    assert layers[0]["layer"] == UNEVEN_LAYER and layers[0]["alone_rank"] == 1
    assert rows[-1]["at_fault"][0]["operator"] == UNEVEN_LAYER
    assert rows[-1]["ship"] is False


@pytest.mark.unhurried
def test_verify_ranks_when_boundaries_fail_and_names_a_layer(
    make: Callable[[str, str], Artifact], capsys: pytest.CaptureFixture[str]
) -> None:
    """A segmenter that nobody trained, whose boundaries INT8 makes worse."""
    folder = str(make("segment", "int8").folder)
    arguments = ["verify", folder, "--split", "generated:segment:val:8", "--engine", "litert", "--boundary-floor", "1"]
    capsys.readouterr()
    quick = ["--accuracy-floor", "0", "--rank-samples", "1", "--operator-samples", "0", "--json"]
    assert main([*arguments, *quick]) == 1
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    verdict = rows[-1]
    assert verdict["thresholds"]["boundary_floor"] == {"value": 1.0, "origin": "command line"}
    layers = [row for row in rows if row["row"] == "layer"]
    by_rank = sorted(layers, key=lambda row: row["alone_boundary_rank"])
    kept = [row["alone_boundary"]["parent_boundary_iou"] for row in by_rank]
    assert kept == sorted(kept) and kept[0] < kept[-1]
    worst = by_rank[0]
    back = next(row for row in layers if row["without_boundary_rank"] == 1)
    assert back["without_boundary"]["parent_boundary_iou"] >= max(
        row["without_boundary"]["parent_boundary_iou"] for row in layers
    )
    named = list(dict.fromkeys([worst["layer"], back["layer"]]))
    assert [fault["operator"] for fault in verdict["at_fault"]] == named
    assert {fault["check"] for fault in verdict["at_fault"]} == {"boundary"}
    assert "of the float network's boundaries (place 1)" in verdict["at_fault"][0]["reason"]


def test_verify_ranks_a_sound_artifact_on_request_only(make_bad: MakeBad, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(make_bad("sound").artifact.folder)
    for option, expected in (("--rank", True), ("--no-rank", False)):
        capsys.readouterr()
        assert main(["verify", folder, option, "--rank-samples", "1", "--operator-samples", "0", "--json"]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert any(row["row"] == "layer" for row in rows) is expected


def test_a_float_artifact_has_no_layers_to_rank(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Asked for, it is refused: exit code 2."""
    capsys.readouterr()
    assert main(["verify", str(road / "float"), "--rank"]) == 2
    assert "is a float artifact" in capsys.readouterr().err
