"""What the pages name is there: paths, names in files, modules, targets of make, verbs."""

import re
from pathlib import Path

import pytest

from edge.cli.main import VERBS
from tests.support.pages import PAGES, ROOT, blocks, code_words, name_of

OURS = ("edge", "converters", "device_bench", "tests", "docs", "calibration_data", r"\.ci")
TOP = f"(?:{'|'.join(OURS)})"
PATH = re.compile(rf"{TOP}/[\w./*-]*[\w*-]/?|pyproject\.toml|constraints\.txt")
NAMED = re.compile(rf"`({TOP}/[\w./-]+\.py)` \(((?:`[\w.]+`(?:, )?)+)\)")
MODULE = re.compile(rf"(?:{'|'.join(OURS[:4])})(?:\.\w+)+")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_and_module_is_there(page: Path) -> None:
    for word in code_words(page):
        if PATH.fullmatch(word) and "NAME" not in word:  # which stands for what a reader adds
            assert list(ROOT.glob(word.rstrip("/"))), word
        if MODULE.fullmatch(word) and not word.endswith((".md", ".jpg", ".toml")):
            assert is_there(word), word


def is_there(module: str) -> bool:
    """A module or package, or a name in one."""
    file = ROOT / module.replace(".", "/")
    if file.is_dir() or file.with_suffix(".py").is_file():
        return True
    above, _, name = module.rpartition(".")
    source = (ROOT / above.replace(".", "/")).with_suffix(".py")
    if not source.is_file():
        return (
            bool(above) and is_there(above) and above.count(".") > 0 and not (ROOT / above.replace(".", "/")).is_dir()
        )
    return (
        re.search(rf"^(?:def |class |async def |){name}\b|import .*\b{name}\b", source.read_text("utf-8"), re.M)
        is not None
    )


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_name_behind_a_path_stands_in_that_file(page: Path) -> None:
    for path, names in NAMED.findall(page.read_text("utf-8")):
        held = (ROOT / path).read_text("utf-8")
        for name in re.findall(r"[\w.]+", names):
            assert re.search(rf"\b{name}\b", held), f"{path}: {name}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_of_make_and_every_verb_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    code = "\n".join([*code_words(page), *(block.text for block in blocks(page))])
    assert set(re.findall(r"\bmake ([a-z][\w-]+)", code)) <= targets
    assert set(re.findall(r"^edge ([a-z]\w+)", code, re.MULTILINE)) <= set(VERBS)
