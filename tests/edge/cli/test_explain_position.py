"""`edge explain --position`: a table, an object and a picture, and what is refused (docs/position.md)."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.cli.main import main


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for index in range(7):
        noise = draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(noise, (60, 45), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.mark.parametrize("subject", ["run/float.safetensors", "int8", "run/qat.safetensors"])
def test_positions_are_read_from_checkpoints_and_from_the_integers_of_artifacts(
    road: Path, photos: Path, tmp_path: Path, subject: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["explain", "--position", str(road / subject), "--images", str(photos), "-o", str(tmp_path)]
    assert main([*words, "--padding", "own", "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["kind"] == ("float" if "float" in subject else "int8")
    assert (found["fitted_images"], found["judged_images"]) == (5, 2) and len(found["maps"]) == 5
    assert [one["padding"] for one in found["readouts"]] == ["image", "own"]
    image, own = found["readouts"]
    assert set(own["photographs"]) == {
        "horizontal", "vertical", "gaussian", "horizontal stripes", "vertical stripes",
    }  # fmt: skip
    assert own["photographs"]["horizontal"]["spearman"] > image["photographs"]["horizontal"]["spearman"] + 0.2
    assert cv2.imread(found["picture"]).shape[1] > 600


def test_what_cannot_be_is_refused(
    road: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subject, images = str(road / "run" / "float.safetensors"), ["--images", str(photos)]
    (tmp_path / "damaged").mkdir()
    for path in photos.iterdir():
        data = path.read_bytes()
        (tmp_path / "damaged" / path.name).write_bytes(data if path.stem == "0" else data[:100])
    usable = ["--images", str(tmp_path / "damaged"), "--skip-damaged"]
    for words, status, told in (
        (["--position", *images, "--class", "1"], 2, "--position is of the whole network"),
        (["--padding", "own", str(photos / "0.png")], 2, "--padding is for --position"),
        (["--position", *images, "-n", "5"], 2, "a readout of positions needs at least 6"),
        (["--position", *usable], 2, "damaged: 1 images; a readout of positions needs at least 6"),
        (["--position", *images, "--padding", "reflect"], 1, "too few positions to be mirrored"),
    ):
        assert main(["explain", subject, *words, "-o", str(tmp_path / "o")]) == status
        assert told in capsys.readouterr().err
