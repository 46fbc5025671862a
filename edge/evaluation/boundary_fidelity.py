"""What quantization does to edges, apart from areas: a model's class maps against its float parent's, without labels.

Most pixels that quantization changes lie at class boundaries, where the float network is undecided too. The inside of
things hides them in mean IoU, and a changed pixel far from every boundary is the alarming one. So boundaries are
counted alone, by Boundary IoU with the parent as the truth (Cheng et al., CVPR 2021), and distances too.
"""

from typing import Any

import numpy as np

from edge.evaluation.boundaries import CITYSCAPES_RATIO, VOID, Counts, Pixels, count_maps, map_bands, mean_share

NEAR_PX = (1, 2, 4)


class BoundaryFidelity:
    """Likeness of areas and of boundaries, and how near to the parent's boundaries the changed pixels lie."""

    def __init__(self) -> None:
        self._right: Counts = np.zeros((2, VOID), np.int64)  # of areas and of bands, by class
        self._union: Counts = np.zeros((2, VOID), np.int64)
        self._pixels = 0
        self._changed = 0
        self._near = dict.fromkeys(NEAR_PX, 0)
        self._changed_near = dict.fromkeys(NEAR_PX, 0)

    def add(self, parent: Pixels, values: Pixels) -> None:
        """Count one image: class maps uint8 (h, w); where either is VOID nothing is counted."""
        right, union = count_maps(parent, values, VOID, (CITYSCAPES_RATIO,))
        self._right += right
        self._union += union
        known = (parent != VOID) & (values != VOID)
        changed = (parent != values) & known
        self._pixels += int(np.count_nonzero(known))
        self._changed += int(np.count_nonzero(changed))
        for distance, near in zip(NEAR_PX, map_bands(parent, NEAR_PX, image_edge=False), strict=True):
            near &= known
            self._near[distance] += int(np.count_nonzero(near))
            self._changed_near[distance] += int(np.count_nonzero(changed & near))

    def figures(self) -> dict[str, Any]:
        """`parent_iou`, `parent_boundary_iou` (means over classes, the parent as truth), and shares by distance.

        `changed_share` of the pixels; of the changed ones `changed_within_px` of a boundary of the parent's, by
        distance, beside `pixels_within_px`, the share of all pixels there; None where there are none.
        """
        return {
            "parent_iou": _plain(mean_share(self._right[0], self._union[0])),
            "parent_boundary_iou": _plain(mean_share(self._right[1], self._union[1])),
            "changed_share": _share(self._changed, self._pixels),
            "changed_within_px": {str(px): _share(count, self._changed) for px, count in self._changed_near.items()},
            "pixels_within_px": {str(px): _share(count, self._pixels) for px, count in self._near.items()},
        }

    @property
    def line(self) -> str:
        """Areas and boundaries against the parent's, and where the changed pixels lie."""
        found = self.figures()
        if found["parent_iou"] is None:
            return ""
        line = (
            f"areas {found['parent_iou']:.2%} and boundaries {_percent(found['parent_boundary_iou'])} as the parent's"
        )
        if not self._changed:
            return line
        near = ", ".join(f"{share:.1%} within {px}" for px, share in found["changed_within_px"].items())
        return f"{line}; of the {found['changed_share']:.2%} of pixels changed, {near} px of a boundary"


def _share(count: int, whole: int) -> float | None:
    return count / whole if whole else None


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else value


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"
