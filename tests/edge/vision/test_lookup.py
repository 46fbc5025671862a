"""A table by its fastest way: the same values, all 3 x 256 of them."""

import numpy as np
import numpy.typing as npt
import pytest

from edge.vision.lookup import table_lookup
from edge.vision.pixels import apply_table

EVERY = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)[None]
BYTES = np.arange(256)


def of(row: npt.NDArray[np.int_], dtype: str) -> npt.NDArray[np.integer]:
    return np.tile(row.astype(dtype), (3, 1))


TABLES = {
    "less 128": of(BYTES - 128, "int8"),
    "as they are": of(BYTES, "uint8"),
    "one value twice": of(BYTES - 128 - (BYTES > 127), "int8"),
    "one value left out": of(np.minimum(BYTES - 128 + (BYTES > 60), 127), "int8"),
    "twice and left out": of(BYTES - 128 + (BYTES > 60) - (BYTES > 200), "int8"),
    "in uint8": of(BYTES - (BYTES > 30) - (BYTES > 31) + 1, "uint8"),
    "halved": of(BYTES // 2, "int8"),
    "saturated": of(np.clip(BYTES, 20, 200) - 128, "int8"),
    "a jump": of(np.where(BYTES > 99, BYTES - 130, BYTES - 128), "int8"),
    "backwards": of(127 - BYTES, "int8"),
    "sixteen bits": of(BYTES * 100 - 9000, "int16"),
    "per channel": np.random.default_rng(3).integers(-128, 128, (3, 256)).astype(np.int8),
    "floats": np.random.default_rng(3).normal(size=(3, 256)).astype(np.float32),
    "equal floats": np.tile(np.linspace(-1, 1, 256, dtype=np.float32), (3, 1)),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_value_is_the_tables(name: str) -> None:
    table = TABLES[name]
    found = np.full(EVERY.shape, 77, table.dtype)
    look_up = table_lookup(table, EVERY, found)
    for _ in range(2):
        look_up()
        np.testing.assert_array_equal(found, table.T[None])
    if table.dtype.itemsize == 1:
        taken = EVERY.copy()
        table_lookup(table, taken, taken.view(table.dtype))()
        np.testing.assert_array_equal(taken.view(table.dtype), table.T[None])
    np.testing.assert_array_equal(apply_table(EVERY, table), table.T[None])


def test_pixels_are_left_as_they_were() -> None:
    before = EVERY.copy()
    for table in TABLES.values():
        apply_table(EVERY, table)
    np.testing.assert_array_equal(EVERY, before)
