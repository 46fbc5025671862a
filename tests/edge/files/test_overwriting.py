"""What an output may take the place of."""

from pathlib import Path

import pytest

from edge.cli.handed_over import hand_over
from edge.errors import EdgeError, UsageError
from edge.files.leftovers import PREFIX
from edge.files.overwriting import foreign_entries, refuse_inputs


def test_an_output_is_no_input_by_any_name(tmp_path: Path) -> None:
    """The same path, a link to it, a hard link."""
    records = tmp_path / "records.html"
    records.write_text("mine")
    (tmp_path / "link.html").symlink_to(records)
    (tmp_path / "hard.html").hardlink_to(records)
    for name in ("records.html", "link.html", "hard.html"):
        with pytest.raises(UsageError, match=r"is the input .* itself, which would be lost"):
            refuse_inputs("-o", tmp_path / name, None, tmp_path / "absent", records)
    refuse_inputs("-o", tmp_path / "new.html", records)


def test_a_folder_holds_no_input_and_lies_in_none(tmp_path: Path) -> None:
    """Given as a link, too."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    for output in ("a", "link"):
        with pytest.raises(UsageError, match="holds the input"):
            refuse_inputs("-o", tmp_path / output, tmp_path / "a" / "b", folder=True)
        with pytest.raises(UsageError, match="lies in the input"):
            refuse_inputs("-o", tmp_path / output / "b" / "new", tmp_path / "a", folder=True)


def test_leftovers_of_a_killed_process_are_not_foreign(tmp_path: Path) -> None:
    (tmp_path / f"{PREFIX}{'0' * 16}").touch()
    (tmp_path / "known").touch()
    (tmp_path / "mine").touch()
    assert foreign_entries(tmp_path, {"known"}) == ["mine"]
    assert foreign_entries(tmp_path / "absent", ()) == []


def test_one_place_that_fails_costs_the_others_nothing() -> None:
    """Every step is taken; the first failure comes last."""
    taken = []

    def failing() -> None:
        taken.append("failing")
        raise EdgeError("full")

    with pytest.raises(EdgeError, match="full"):
        hand_over(failing, None, lambda: taken.append("last"))
    assert taken == ["failing", "last"]
