"""Where the model files of the cases lie: the small ones here, the others in a folder that is named."""

import os
from pathlib import Path

KEPT = Path(__file__).with_name("files")
ROOT = Path(__file__).resolve().parents[2]


def input_folder() -> Path:
    """The folder of the larger files: EDGE_TEST_CASES, else `cases/files` beside the test data."""
    data = Path(os.environ.get("EDGE_TEST_DATA") or ROOT.parent / "shared" / "data")
    return Path(os.environ.get("EDGE_TEST_CASES") or data.parent / "cases" / "files")


def input_file(name: str, folder: Path) -> Path | None:
    """The file of a case, or None where it is neither here nor in the folder."""
    return next((path for path in (KEPT / name, folder / name) if path.is_file()), None)
