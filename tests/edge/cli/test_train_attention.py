"""Attention from the command line: GCT starts as the plain network, both become files, and gates are shown."""

import json
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from edge.cli.main import main
from edge.training.checkpoint import read_checkpoint, restore_module
from tests.edge.cli.test_train_eval import SETTINGS

pytestmark = pytest.mark.unhurried


def words(**settings: Any) -> list[str]:
    return [word for key, value in settings.items() for word in ("--set", f"{key.replace('__', '.')}={value}")]


def first_evaluation(recipe: str, folder: Path, settings: list[str]) -> tuple[dict[str, Any], torch.nn.Module]:
    """The metrics and the network of a run that trains nothing: its start."""
    start = ["train", recipe, "-o", str(folder), "--threads", "1", "--phase", "float", *settings]
    assert main([*start, *words(train__epochs=0)]) == 0
    checkpoint = read_checkpoint(folder / "float.safetensors")
    return dict(checkpoint.metrics), restore_module(checkpoint)


def assert_starts_as_plain(recipe: str, folder: Path, settings: list[str]) -> None:
    plain, network = first_evaluation(recipe, folder / "plain", settings)
    gated, same = first_evaluation(recipe, folder / "gct", [*settings, *words(model__attention="gct")])
    x = torch.randn(2, *network.input_shape[1:])  # type: ignore[index]  # an attribute of every model here
    with torch.no_grad():
        assert torch.equal(network(x), same(x))
    assert gated == plain and plain["images"] > 0
    assert sum(entry.numel() for entry in same.parameters()) > sum(entry.numel() for entry in network.parameters())


def test_a_classifier_with_gct_starts_as_its_folded_weights(test_data: Path, tmp_path: Path) -> None:
    weights = test_data / "models" / "mobilenet_v1_0.25_224.safetensors"
    settings = [*SETTINGS, *words(train__init=weights, train__reset_head="true")]
    assert_starts_as_plain("mobilenet_v1_generated", tmp_path, settings)


def test_a_segmenter_with_gct_starts_as_its_checkpoint(test_data: Path, tmp_path: Path) -> None:
    size = {"model.resolution_hw": "[72, 96]", "preprocess.height": 72, "preprocess.width": 96}
    weights = test_data / "models" / "fast_scnn_camvid_360x480_float.safetensors"
    settings = [*words(**size, train__init=weights, data__train="camvid:${root}:val"), "--data-root"]
    assert_starts_as_plain("fast_scnn_camvid", tmp_path, [*settings, str(test_data / "camvid")])


@pytest.mark.parametrize("attention", ["gct", "cbam"])
def test_folded_weights_with_attention_train_and_ship(
    attention: str, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = test_data / "models" / "mobilenet_v1_0.25_224.safetensors"
    settings = [*SETTINGS, *words(train__init=weights, train__reset_head="true", model__attention=attention)]
    assert main(["train", "mobilenet_v1_generated", "-o", str(tmp_path / "run"), "--threads", "1", *settings]) == 0
    assert (
        main(["convert", str(tmp_path / "run" / "qat.safetensors"), "-o", str(tmp_path / "int8"), "--no-verify"]) == 0
    )
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "int8"), "--engine", "litert", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ran = [line for line in lines if line.get("check") in ("end to end", "operators")]
    assert {line["check"] for line in ran} == {"end to end", "operators"} and all(line["passed"] for line in ran)

    image = str(next(iter(sorted((test_data / "imagenet_samples" / "dev").iterdir()))))
    found = {}
    for subject in ("int8", "run/qat.safetensors", "run/float.safetensors"):
        out = tmp_path / "out" / subject
        assert main(["explain", str(tmp_path / subject), image, "--gates", "-o", str(out), "--json"]) == 0
        found[subject] = json.loads(capsys.readouterr().out)
        (picture,) = found[subject]["pictures"]
        assert cv2.imread(picture) is not None
    key, other, count = (
        ("channel_gates", "spatial_gates", 13) if attention == "gct" else ("spatial_gates", "channel_gates", 26)
    )
    assert [found[subject]["kind"] for subject in found] == ["int8", "int8", "float"]
    assert found["int8"][key] == found["run/qat.safetensors"][key]
    for entry in found.values():
        assert len(entry[key]) == count and entry[other] == []
        assert entry[key][0]["layer"] == ("blocks.0.before" if attention == "gct" else "blocks.0.after_depthwise")
    assert main(["explain", str(tmp_path / "int8"), image, "--gates", "-o", str(tmp_path / "out")]) == 0
    assert ("cooperate" if attention == "gct" else "least gate") in capsys.readouterr().out


def test_involution_trains_from_plain_weights_ships_and_shows_its_kernels(
    test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = test_data / "models" / "mobilenet_v1_0.25_224.safetensors"
    settings = [*SETTINGS, *words(train__init=weights, train__reset_head="true", model__attention="involution")]
    assert main(["train", "mobilenet_v1_generated", "-o", str(tmp_path / "run"), "--threads", "1", *settings]) == 0
    run = tmp_path / "run"
    assert main(["convert", str(run / "qat.safetensors"), "-o", str(tmp_path / "int8"), "--no-verify"]) == 0
    capsys.readouterr()
    assert main(["verify", str(tmp_path / "int8"), "--engine", "litert", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ran = [line for line in lines if line.get("check") in ("end to end", "operators")]
    assert {line["check"] for line in ran} == {"end to end", "operators"} and all(line["passed"] for line in ran)
    image = str(next(iter(sorted((test_data / "imagenet_samples" / "dev").iterdir()))))
    found = []
    for subject in (tmp_path / "int8", run / "qat.safetensors", run / "float.safetensors"):
        assert main(["explain", str(subject), image, "--kernels", "-o", str(tmp_path / "out"), "--json"]) == 0
        found.append(json.loads(capsys.readouterr().out))
        (picture,) = found[-1]["pictures"]
        assert cv2.imread(picture) is not None and len(found[-1]["kernels"]) == 13
    assert [entry["kind"] for entry in found] == ["int8", "int8", "float"]
    assert found[0]["kernels"] == found[1]["kernels"] and found[0]["kernels"][0]["kernel_size"] == 3
    assert main(["explain", str(tmp_path / "int8"), image, "--kernels", "-o", str(tmp_path / "out")]) == 0
    assert "variation" in capsys.readouterr().out
    assert main(["explain", str(tmp_path / "int8"), image, "--kernels", "--gates", "-o", str(tmp_path / "out")]) == 2
    assert main(["explain", str(tmp_path / "int8"), image, "--gates", "-o", str(tmp_path / "out")]) == 2


def test_gates_of_a_network_without_any_are_refused(
    road: Path, test_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = str(next(iter(sorted((test_data / "imagenet_samples" / "dev").iterdir()))))
    for subject in ("run/float.safetensors", "int8"):
        assert main(["explain", str(road / subject), image, "--gates", "-o", str(tmp_path)]) == 2
        assert "has no gates; `edge train --set model.attention=gct`" in capsys.readouterr().err
    assert main(["explain", str(road / "int8"), image, "--kernels", "-o", str(tmp_path)]) == 2
    assert "has no involutions; `edge train rednet_26_generated`" in capsys.readouterr().err
    assert main(["explain", str(road / "int8"), image, "--gates", "--class", "0", "-o", str(tmp_path)]) == 2
