from pathlib import Path

import cv2
import numpy as np

from edge.training.own_images import OwnImages, recipe_for


def test_the_summary_tells_the_size_as_the_command_line_takes_it(tmp_path: Path) -> None:
    for folder in ("street", "masks"):
        (tmp_path / folder).mkdir()
    for index in range(4):
        mask = np.tile(np.arange(128, dtype=np.uint8) // 64, (96, 1))
        assert cv2.imwrite(str(tmp_path / "street" / f"{index}.png"), np.full((96, 128, 3), 40 * index, np.uint8))
        assert cv2.imwrite(str(tmp_path / "masks" / f"{index}.png"), mask)
    recipe, told = recipe_for(OwnImages(images=str(tmp_path / "street"), masks=str(tmp_path / "masks")), ())
    assert (recipe.preprocess.height, recipe.preprocess.width) == (96, 128)
    assert "fast_scnn at 96x128 for 2 classes" in told[-1]
