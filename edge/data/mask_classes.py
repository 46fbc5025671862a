"""From what a mask file holds, values or colours, to class indices."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.data.class_names import REFUSED
from edge.data.class_table import Colour
from edge.data.mask_file import MaskPixels
from edge.errors import DataError

Pixels = NDArray[np.uint8]
MOST_COLOURS = 8


@dataclass(frozen=True, kw_only=True)
class MaskClasses:
    """What values and colours mean; attributes as of `edge.data.class_names.ClassNames`."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    ignore_index: int | None
    mask_table: tuple[int, ...] | None
    mask_colours: tuple[tuple[int, int, int, int], ...]

    def class_map(self, where: Path, mask: MaskPixels) -> Pixels:
        """Class indices and `ignore_index`, uint8 (h, w).

        Refused (DataError): a value or colour that is no class, named with its place; colours where no table of them
        is given; a palette whose colours contradict the table's.
        """
        if mask.pixels.ndim == 3:
            if self._colours:
                return self._of_colours(where, mask.pixels)
            return self._of_values(where, one_channel(where, mask.pixels))
        if mask.palette is not None and self.palette:
            self._check_palette(where, mask.pixels, mask.palette)
        return self._of_values(where, mask.pixels)

    def _of_values(self, where: Path, values: Pixels) -> Pixels:
        indices = self._table[values]
        if (indices == REFUSED).any():
            y, x = np.argwhere(indices == REFUSED)[0]
            allowed = f"allowed are 0 to {len(self.names) - 1}"
            if self.mask_table is not None:
                listed = [str(value) for value in range(256) if self.mask_table[value] != REFUSED]
                allowed = f"the classes have the values {', '.join(listed)}"
            elif self.ignore_index is not None:
                allowed += f" or {self.ignore_index} for no class"
            raise DataError(
                where,
                f"mask value {values[y, x]} at x {x}, y {y} is not a class; {allowed} (a file of class names, "
                "--classes or `classes = classes.txt`, says what values mean: a line "
                f"`{values[y, x]}<TAB>void` makes this one no class)",
            )
        return np.asarray(indices, dtype=np.uint8)

    def _of_colours(self, where: Path, colours: Pixels) -> Pixels:
        keys, indices = self._colour_table
        asked = _key(colours)
        place = np.searchsorted(keys, asked).clip(max=len(keys) - 1)
        wrong = keys[place] != asked
        if wrong.any():
            raise DataError(where, self._unknown_colour(colours, wrong))
        return np.asarray(indices[place], dtype=np.uint8)

    def _unknown_colour(self, colours: Pixels, wrong: NDArray[np.bool_]) -> str:
        y, x = np.argwhere(wrong)[0]
        found = colours[y, x].astype(int)
        distance = [int(((found - np.array(colour)) ** 2).sum()) for *colour, _ in self._colours]
        *colour, index = self._colours[int(np.argmin(distance))]
        nearest = self.names[index] if index < len(self.names) and index != self.ignore_index else "void"
        grey = " (grey throughout: are these class indices? Save them in one channel)"
        return (
            f"colour {_text(found)} at x {x}, y {y} is not a class (nor are {int(wrong.sum())} of {wrong.size} pixels)"
            f"; the nearest is '{nearest}' {_text(colour)}; "
            f"a line `void {_text(found)}` among the classes makes it void"
            + (grey if (colours[:, :, :1] == colours).all() else "")
        )

    def _check_palette(self, where: Path, values: Pixels, palette: Pixels) -> None:
        used = np.bincount(values.ravel(), minlength=256) > 0
        for value in np.flatnonzero(used[: len(palette)]):
            index = int(self._table[value])
            if 0 <= index < len(self.palette) and index != self.ignore_index:
                shown, stated = tuple(int(channel) for channel in palette[value]), self.palette[index]
                if shown != stated:
                    raise DataError(
                        where,
                        f"its palette shows value {value} as {_text(shown)}, but class {index} '{self.names[index]}' "
                        f"is {_text(stated)}: are the indices in this order? If so, leave the colours out of the "
                        "classes or the palette out of the masks; if the colours are right, save the masks as RGB",
                    )

    @cached_property
    def _colours(self) -> tuple[tuple[int, int, int, int], ...]:
        return self.mask_colours or tuple((*colour, index) for index, colour in enumerate(self.palette))

    @cached_property
    def _table(self) -> NDArray[np.int16]:
        """Class index, void or REFUSED by value."""
        if self.mask_table is not None:
            return np.array(self.mask_table, dtype=np.int16)
        table = np.full(256, REFUSED, dtype=np.int16)
        count = min(256, len(self.names))
        table[:count] = np.arange(count)
        if self.ignore_index is not None:
            table[self.ignore_index] = self.ignore_index
        return table

    @cached_property
    def _colour_table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Colours as numbers in rising order, and the class of each. Refuses two classes of one colour."""
        rows = np.array(self._colours, dtype=np.int64)
        keys = _key(rows[:, :3])
        order = np.argsort(keys, kind="stable")
        same = np.flatnonzero((np.diff(keys[order]) == 0) & (np.diff(rows[order, 3]) != 0))
        if same.size:
            red, green, blue, _ = self._colours[int(order[same[0]])]
            raise DataError("masks of colours", f"{red},{green},{blue} is the colour of two classes; give each its own")
        return keys[order], rows[order, 3]


def _found_colours(pixels: Pixels) -> str:
    keys = np.unique(_key(pixels))
    told = [f"{key >> 16},{key >> 8 & 255},{key & 255}" for key in keys[:MOST_COLOURS].tolist()]
    return "; ".join(told) + (f" and {len(keys) - MOST_COLOURS} more" if len(keys) > MOST_COLOURS else "")


def one_channel(where: Path, pixels: Pixels) -> Pixels:
    """The values of a mask of three equal channels, uint8 (h, w); refused (DataError): colours, which need a table."""
    if (pixels != pixels[:, :, :1]).any():
        raise DataError(
            where,
            "a mask of colours, and no table says which class a colour is: give --classes FILE (`classes = FILE`) with "
            f"lines such as `road 128,64,128`; found {_found_colours(pixels)}",
        )
    return np.ascontiguousarray(pixels[:, :, 0])


def _key(colours: NDArray[np.generic]) -> NDArray[np.int64]:
    wide = colours.astype(np.int64)
    return np.asarray((wide[..., 0] << 16) | (wide[..., 1] << 8) | wide[..., 2])


def _text(colour: object) -> str:
    return ",".join(str(int(channel)) for channel in colour)  # type: ignore[attr-defined]
