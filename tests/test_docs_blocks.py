"""Every block of code in README.md and docs either runs here or says why not, and no command in them is stale.

A block's language says what happens to it:

    sh             its `edge` and `python -m` commands run (tests/test_docs_run.py), after they are held to the options
                   that the verbs have, whether they run or not
    python         runs
    toml           is read as the card or as the part of a recipe that it is
    json           is read as the content of an object
    text           is no program: the layout of a folder, what a command prints

A comment directly above says what is different: `<!-- not run: WHY -->`, `<!-- run by: FILE -->` where another test or
CI's script runs it, `<!-- file: NAME -->` where the commands below find it as a file.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from edge.artifact.card import read_card
from edge.cli.main import VERBS, edge
from edge.errors import EdgeError
from edge.recipe.recipe_file import read_recipe
from tests.conftest import TINY_RECIPE
from tests.support.pages import PAGES, ROOT, Block, blocks, code_words, name_of
from tests.support.shell import commands

LANGUAGES = ("sh", "python", "toml", "json", "text")
BLOCKS = [block for page in PAGES for block in blocks(page)]
MAKE_TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
BENCHMARKS = sorted((ROOT / "tests" / "benchmarks").glob("*.py"))
BENCHMARK_OPTIONS = {name for file in BENCHMARKS for name in re.findall(r'"(--[a-z-]+)"', file.read_text("utf-8"))}
# Of the system, or a variable or function that a block itself defines: nothing of ours to hold them to.
SYSTEM = "awk cat cd cp curl echo git head pip python python3 rm sha256sum ssh ssh-copy-id ssh-keyscan unzip vcgencmd"
OTHERS = {
    *SYSTEM.split(),
    "apt-get",
    "journalctl",
    "systemctl",
    "tee",
    "pre-commit",
    "ruff",
    ".",
    "for",
    "done",
    "own",
    "}",
}
OTHERS |= {"$compare"}


def named(wanted: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", wanted, ids=lambda block: block.where)


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


@named(BLOCKS)
def test_a_block_has_a_language_and_what_runs_it_is_there(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block.where}: a fence says one of {', '.join(LANGUAGES)}"
    if block.mark == "run by":
        page = Path(block.where.rpartition(":")[0]).name
        runner = (ROOT / block.said).read_text("utf-8")
        assert page in runner or not block.said.endswith(".py"), f"{block.where}: {block.said} does not speak of {page}"


def option_names(command: click.Command) -> set[str]:
    """With those that every command has."""
    return {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}


def check_edge(words: list[str]) -> None:
    """Hold the words after `edge` to the verb's parameters: names, numbers of values, choices. No path need exist."""
    if words == ["--version"]:
        return
    assert words and words[0] in VERBS, f"edge {' '.join(words)}: no such verb"
    command = edge.get_command(click.Context(edge), words[0])
    assert command is not None
    context = click.Context(command, info_name=words[0])
    values, rest, _ = command.make_parser(context).parse_args(words[1:])
    assert not rest, f"edge {' '.join(words)}: {rest} is too much"
    for parameter in command.params:
        given = values.get(parameter.name)
        if isinstance(parameter.type, click.Choice | click.IntRange | click.FloatRange) and given not in (None, []):
            parameter.type_cast_value(context, given)


def check_module(name: str, options: list[str]) -> None:
    """A module that can be run, and knows these options."""
    place = ROOT / name.replace(".", "/")
    file = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    assert file.is_file(), f"python -m {name}: no such module"
    source = file.read_text("utf-8")
    assert place.is_dir() or "__main__" in source, f"python -m {name} does nothing"
    for option in options:
        assert f'"{option}"' in source, f"python -m {name}: no option {option}"


def check(words: list[str]) -> None:
    """Hold one command to what it calls, as far as that is ours."""
    program, *rest = words
    if program.startswith((".", "/")) and (ROOT / program).is_file():
        return
    known = not {program, Path(program).name}.isdisjoint(OTHERS | {"edge", "make"})
    assert known, f"'{program}' is no program that the pages use; is it misspelt?"
    if Path(program).name == "edge":
        check_edge(rest)
    if program == "make":
        assert set(rest) - {word for word in rest if "=" in word} <= MAKE_TARGETS, rest
    if Path(program).name == "pip":
        for extras in re.findall(r"\[([\w,-]+)\]", " ".join(rest)):
            assert set(extras.split(",")) <= set(EXTRAS), extras
    if rest[:1] == ["-m"] and rest[1].startswith("tests."):
        check_module(rest[1], [word for word in rest[2:] if word.startswith("-")])
    if rest[:2] == ["-m", "pytest"]:
        assert not [word for word in rest if word.startswith("tests/") and not (ROOT / word).exists()], rest


@named(of("sh"))
def test_commands_have_the_names_and_options_that_there_are(block: Block) -> None:
    for words in commands(block.text):
        try:
            check(words)
        except click.ClickException as error:
            pytest.fail(f"{block.where}: {' '.join(words)}: {error.format_message()}")


def spoken(page: Path) -> Iterator[list[str]]:
    """Commands within the text of a page, where they are whole words."""
    for word in code_words(page):
        if re.match(r"(edge [a-z]|python -m tests\.|make [a-z])", word):
            yield from commands(word)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_have_the_options_that_there_are(page: Path) -> None:
    """Examples there leave out what they do not speak of: only names are held to."""
    for program, *rest in spoken(page):
        told = f"{name_of(page)}: {program} {' '.join(rest)}"
        if program == "edge" and rest[0] not in ("VERB", "--help"):
            assert rest[0] in VERBS, told
            command = edge.get_command(click.Context(edge), rest[0])
            assert command is not None
            options = {word.partition("=")[0] for word in rest[1:] if re.match(r"--?[a-z]", word)}
            assert options <= option_names(command) | {"-h"}, told
        elif program == "make":
            assert {word for word in rest if "=" not in word} <= MAKE_TARGETS, told
        elif program == "python":
            check_module(rest[1], [word for word in rest[2:] if word.startswith("--")])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_an_option_that_stands_alone_is_one_of_a_verb(page: Path) -> None:
    """Or of a benchmark. With an underscore: of Google's program for Android, which the product drives."""
    verbs = [edge.get_command(click.Context(edge), verb) for verb in VERBS]
    known = {name for verb in verbs if verb is not None for name in option_names(verb)} | BENCHMARK_OPTIONS
    for word in code_words(page):
        if option := re.match(r"--[a-z][\w-]*", word):
            assert option[0] in known or "_" in option[0] or page.name == "CHANGELOG.md", f"{name_of(page)}: {word}"


@named(of("toml"))
def test_a_toml_block_is_read_as_the_card_or_recipe_that_it_is(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "block.toml"
    (tmp_path / "labels.txt").write_text("cat\ndog\n", "utf-8")
    tree = tomllib.loads(block.text)
    if "task" in tree:
        file.write_text(block.text, "utf-8")
        assert read_card(file).task == tree["task"]
        return
    sections = re.split(r"^(?=\[)", TINY_RECIPE, flags=re.MULTILINE)
    kept = [section for section in sections if section.partition("]")[0].removeprefix("[") not in tree]
    file.write_text("".join(kept) + block.text, "utf-8")
    try:
        read_recipe(file)
    except EdgeError as error:
        pytest.fail(f"{block.where}: {error}")


@named(of("json"))
def test_a_json_block_is_the_content_of_an_object(block: Block) -> None:
    assert json.loads("{" + block.text + "}")


def test_the_road_of_own_photographs_is_at_most_ten_lines() -> None:
    road = next(blocks(ROOT / "docs" / "own_data.md")).text
    assert len(road.splitlines()) <= 10 and road.count("\nedge ") == 4
