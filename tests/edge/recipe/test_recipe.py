"""A recipe is plain data, wholly checked, and what is wrong is said in one line."""

import tomllib
from pathlib import Path

import pytest

from edge.errors import RecipeError, UsageError, one_line
from edge.recipe.recipe import Recipe, SplitSource
from edge.recipe.recipe_file import expand, parse_recipe, read_recipe, recipe_toml, split_arguments

RECIPES = sorted((Path(__file__).parents[3] / "edge" / "recipes").glob("*.toml"))
PLAIN = RECIPES[0].parent / "mobilenet_v2_generated.toml"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_survives_being_written_and_read(path: Path, tmp_path: Path) -> None:
    recipe = read_recipe(path)
    (tmp_path / "again.toml").write_text(recipe_toml(recipe))
    assert read_recipe(tmp_path / "again.toml") == recipe
    assert recipe.name == path.stem


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_shipped_recipe_opens_with_its_command(path: Path) -> None:
    head = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(f"edge train {path.stem} -o" in line for line in head)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batch_sise=3", "[train] unknown key 'batch_sise'; did you mean 'batch_size'?"),
        ("train.augment.brightnes=0.1", "[train.augment] unknown key 'brightnes'; did you mean 'brightness'?"),
        ("preprocess.heigth=3", "[preprocess] unknown key 'heigth'; did you mean 'height'?"),
        ("modell.name='x'", "unknown key 'modell'; did you mean 'model'?"),
        ("train.epochs=-3", "[train] epochs = -3: Input should be greater than or equal to 0"),
        ("train.epochs=2.5", "[train] epochs = 2.5: Input should be a valid integer"),
        ("train.epochs=many", "[train] epochs = 'many': Input should be a valid integer"),
        ("train.bf16=1", "[train] bf16 = 1: Input should be a valid boolean"),
        ("train.learning_rate=nan", "[train] learning_rate = nan"),
        ("train.optimizer=adam", "[train] optimizer = 'adam': Input should be 'sgd' or 'adamw'"),
        ("train.augment.scale=[2.0, 1.0]", "[train.augment] scale: its first number must not be above its second"),
        ("model.name=none", "[model] 'name' is missing"),
        ("preprocess.mean=none", "[preprocess] 'mean' is missing"),
        ("preprocess.mean=[1]", "[preprocess] mean = [1]: too few values in this list"),
        ("preprocess.mean=127.5", "[preprocess] mean = 127.5: give a list: [...]"),
        ("preprocess.height='96'", "[preprocess] height = '96': Input should be a valid integer"),
        ("train.epochs=0x" + "f" * 5000, "Exceeds the limit"),
        ("scheme.weight_bits=4", "[scheme] weight_bits = 4: Input should be 8"),
        ("scheme.weight_granularity=per_tensor", "is for `edge quantize --weight-scales tensor`"),
        ("data.train={image='x'}", "[data.train] unknown key 'image'; did you mean 'images'?"),
    ],
)
def test_what_does_not_hold_is_named_with_its_section(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        read_recipe(PLAIN, overrides=[override])
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{PLAIN}: ")
    assert "\n" not in str(caught.value)


def test_qat_with_nothing_to_learn_from_is_refused() -> None:
    with pytest.raises(RecipeError, match="nothing to learn from"):
        read_recipe(PLAIN, overrides=["qat.label_weight=0.0", "qat.distillation_weight=0.0"])


def test_overrides_replace_and_remove() -> None:
    recipe = read_recipe(PLAIN, overrides=["train.epochs=3", "train.class_weights=none", "data.val=none", "name=other"])
    assert (recipe.train.epochs, recipe.train.class_weights, recipe.data.val, recipe.name) == (3, "none", None, "other")


@pytest.mark.parametrize("override", ["train.epochs", "=3", "train..epochs=3"])
def test_an_override_must_be_key_equals_value(override: str) -> None:
    with pytest.raises(UsageError, match=r"expected section\.key=value"):
        read_recipe(PLAIN, overrides=[override])


def test_data_root_replaces_the_recipe_s() -> None:
    recipe = read_recipe(PLAIN.parent / "fast_scnn_camvid.toml", data_root="/somewhere")
    assert split_arguments(recipe.data.train, recipe.data.root) == {"split": "camvid:/somewhere:train"}


def test_variables_are_filled_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_FOLDER", str(tmp_path))
    source = SplitSource(images="${root}/images", labels="${SOME_FOLDER}/labels.txt")
    assert split_arguments(source, "${SOME_FOLDER}/set") == {
        "images": f"{tmp_path}/set/images",
        "labels": f"{tmp_path}/labels.txt",
    }
    monkeypatch.setenv("SOME_FOLDER", "s3cr3t-token")
    with pytest.raises(UsageError, match="SOME_FOLDER does not name a file or folder") as refused:
        expand("${SOME_FOLDER}", None)
    assert "s3cr3t" not in str(refused.value)
    monkeypatch.delenv("SOME_FOLDER")
    with pytest.raises(UsageError, match="SOME_FOLDER, which is not set"):
        expand("${SOME_FOLDER}/x", None)
    with pytest.raises(UsageError, match=r"data\.root"):
        expand("${root}/x", None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "is not UTF-8 text"),
        (b"[train\nepochs = 3", "is not TOML"),
        (b"name = 2020-01-01", "dates and times have no place"),
        (b"", "'name' is missing"),
        (b"a=" + b"[" * 5000 + b"]" * 5000, "is not TOML"),
        (b"#" * (2**20 + 1), "at most"),
    ],
)
def test_a_damaged_or_foreign_file_gives_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_recipe_is_refused_or_is_no_shorter_recipe(tmp_path: Path) -> None:
    data = PLAIN.read_bytes()
    path = tmp_path / "recipe.toml"
    for length in range(0, len(data), 37):
        path.write_bytes(data[:length])
        try:
            recipe = read_recipe(path)
        except RecipeError as error:
            assert "\n" not in str(error)
        else:
            assert isinstance(recipe, Recipe)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such recipe"):
        read_recipe(tmp_path / "none.toml")


def test_plain_data_and_toml_give_the_same_recipe() -> None:
    assert parse_recipe(tomllib.loads(PLAIN.read_text()), "here") == read_recipe(PLAIN)


@pytest.mark.parametrize(
    "override",
    [
        "train.seed=18446744073709551616",
        "train.epochs=" + "[" * 50_000,
        "train.epochs=" + "9" * 5000,
        "a." * 50_000 + "b=1",
    ],
    ids=["seed", "nested", "digits", "sections"],
)
def test_a_value_beyond_all_bounds_is_one_line(override: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_recipe(PLAIN, overrides=[override])
    assert len(one_line(str(refused.value))) < 2100


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b"\xef\xbb\xbf" + PLAIN.read_bytes())
    assert read_recipe(path) == read_recipe(PLAIN)
