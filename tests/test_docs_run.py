"""The pages' commands and Python run as they stand, in their order, in a folder with what their reader has.

What a test has no time for is made smaller by more words behind a command's own. A command that cannot run here stands
in a block marked `not run`, with the reason (tests/test_docs_blocks.py says how, and holds all of them to the options
that there are). What installs or downloads is left to tests/test_installing.py and tests/test_wheel.py.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from edge.cli.main import main
from tests.conftest import ROOT
from tests.support.pages import PAGES, Block, blocks, name_of
from tests.support.reader import Reader, speaks_of
from tests.support.shell import commands

EPOCHS = [
    "--threads",
    "1",
    "--set",
    "train.epochs=1",
    "--set",
    "qat.epochs=1",
    "--set",
    "train.batch_size=4",
    "--set",
    "qat.batch_size=4",
]
QUICK = [
    "--min-seconds",
    "0",
    "--min-runs",
    "2",
    "--rounds",
    "2",
    "--warmup-seconds",
    "0",
    "--max-warmup-seconds",
    "0.1",
]
# by verb: more words; CI's machine is a virtual one, which taints what is compared
SMALLER: Mapping[str, list[str]] = {"train": EPOCHS, "bench": QUICK, "compare": ["--allow-tainted"]}
# Of the reader's camera, a film.
CAMERA = {"cv2.VideoCapture(0)": 'cv2.VideoCapture("film.mp4")'}
ELSEWHERE = ("pip", "curl", "python3", ".")
# What a verb says of a network that has learnt nothing: its answer, with exit code 1, and no failure.
ANSWERS = {"verify": ("do not ship: ", '"ship": false'), "doctor": (": sick: ", '"row": "diagnosis"')}


def runs(block: Block) -> bool:
    return (block.language in ("sh", "python") and not block.mark) or block.mark == "file"


RUN = [page for page in PAGES if any(runs(block) for block in blocks(page))]


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory, road: Path, tiny_card: str) -> Reader:
    return Reader(tmp_path_factory.mktemp("shelf"), road, tiny_card)


def smaller(words: list[str]) -> list[str]:
    """The words after `edge`, with those that make it quick, and with files for patterns."""
    found = [name for word in words for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]
    more = list(SMALLER.get(words[0], ()))
    if words[0] == "train" and not any("street" in word for word in words):
        more += ["--set", "model.resolution=64", "--set", "preprocess.height=64", "--set", "preprocess.width=64"]
    if words[0] == "train" and "_generated" in words[1]:
        task = "attributes" if "attributes" in words[1] else "classify"
        more += [part for kind in ("train", "val") for part in ("--set", f"data.{kind}=generated:{task}:{kind}:16")]
    if words[0] == "camera" and "0" in found:
        found[found.index("0")] = "film.mp4"
    if words[:1] == ["bench"] and "--explain" in words:
        more = []
    return [*found, *more]


def written_by(words: list[str]) -> set[str]:
    """What a command says it writes."""
    return {words[k + 1] for k, word in enumerate(words[:-1]) if word in ("-o", "--out", "--html")}


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_runs_on_models_that_its_reader_has(page: Path) -> None:
    """Runs and artifacts are made by a command above, or lie with tests/support/reader.py."""
    made: set[str] = set()
    for block in blocks(page):
        for words in commands(block.text) if block.language == "sh" and runs(block) else ():
            made |= written_by(words)
            for part in {part for word in words[1:] for part in re.split(r"[:=]", word)}:
                above = {part, *map(str, Path(part).parents)}
                if re.match(r"(runs|artifacts|demo_out)/", part) and not above & made:
                    assert any(map(speaks_of, above)), f"{block.where}: nothing above makes {part}"


def run(words: list[str], reader: Reader, capsys: pytest.CaptureFixture[str]) -> None:
    """One command of a shell block, in the current folder."""
    program, *rest = words
    if program in ELSEWHERE:
        return
    written = written_by(rest)
    reader.give([word for word in [*rest, "film.mp4"] if word not in written], Path.cwd())
    if program == "python":
        done = subprocess.run(
            [sys.executable, *rest],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (words, done.stderr)
        return
    assert program == "edge", f"{program}: mark the block `not run`, with the reason"
    capsys.readouterr()
    status = main(smaller(rest))
    told = capsys.readouterr()
    answered = status == 1 and any(answer in told.out for answer in ANSWERS.get(rest[0], ()))
    assert status == 0 or answered, (" ".join(words), told.err)
    assert not [name for name in written if not Path(name).exists()], " ".join(words)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_runs(
    page: Path, reader: Reader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.mark == "file":
            Path(block.said).write_text(block.text, "utf-8")
        elif not runs(block):
            continue
        elif block.language == "sh":
            for words in commands(block.text):
                run(words, reader, capsys)
        else:
            text = block.text
            for here, there in CAMERA.items():
                text = text.replace(here, there)
            reader.give([*text.split('"'), "film.mp4"], tmp_path)
            exec(compile(text, block.where, "exec"), {})
