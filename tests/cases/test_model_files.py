"""Model files of others give the right value or one clear line; README.md says where they come from."""

from pathlib import Path

import pytest

from tests.cases.inputs import input_file, input_folder
from tests.cases.model_files import CASES, Case


@pytest.mark.unhurried
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_file_of_others_is_right_or_refused_in_one_line(case: Case, tmp_path: Path) -> None:
    path = input_file(case.file, input_folder())
    if path is None:
        pytest.skip(f"{case.file} is not in {input_folder()}; EDGE_TEST_CASES names its folder")
    case.try_it(path, tmp_path)
