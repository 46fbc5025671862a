"""The splits of a recipe: what it trains on and what it validates on."""

from edge.data.damaged import without_damaged
from edge.data.hold_out import hold_out
from edge.data.open_split import open_split
from edge.data.splits import Split
from edge.recipe import Data, SplitSource
from edge.recipe_file import split_arguments


def recipe_splits(data: Data) -> tuple[Split, Split | None]:
    """What is trained on, and what is validated on: `val`, or what `holdout` takes from `train`, or nothing."""
    train = _opened(data.train, data)
    if data.holdout is not None:
        return hold_out(train, data.holdout, data.holdout_seed)
    return train, validation_split(data)


def validation_split(data: Data) -> Split | None:
    """What is validated on; None where the recipe names nothing."""
    if data.holdout is not None:
        return recipe_splits(data)[1]
    return None if data.val is None else _opened(data.val, data)


def _opened(source: SplitSource, data: Data) -> Split:
    return without_damaged(open_split(**split_arguments(source, data.root)), skip=data.skip_damaged)
