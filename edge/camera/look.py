"""How answers look on frames: what of `edge.vision.overlay` is drawn, in which colours, and how fast it goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt

from edge.errors import UsageError, unknown_name
from edge.predictor.predictor import Predictor
from edge.tasks.task import Prediction
from edge.vision.frame import Frame
from edge.vision.legend import LEGEND_PLACES, FilmMemory, LegendPlace
from edge.vision.overlay import Style, caption_height, draw_line, draw_window
from edge.vision.palette import default_palette

Pixels = npt.NDArray[np.uint8]
ColourChoice = Literal["model", "distinct"]
COLOUR_CHOICES: tuple[ColourChoice, ...] = get_args(ColourChoice)
LEGIBLE_SIDE = 288
LARGEST_ENLARGED_SIDE = 4096
_NEWEST = 0.1  # share of the newest interval in the rate that is shown


@dataclass(frozen=True, kw_only=True)
class Look:
    """How frames are drawn.

    Attributes:
        legend: `auto` (where it covers least), `outside` of the picture, or `none`.
        opacity: of a class map's colours, 0 to 1.
        colours: `model`: those of the manifest, where it has some; `distinct`: `default_palette`, whose colours who
            does not tell red from green tells apart.
        times: the line with the model's time, and of a film the frames per second.
        film: one frame follows another, so that the legend stays where it is; False: each is a picture by itself.
    """

    legend: LegendPlace = "auto"
    opacity: float = 0.5
    colours: ColourChoice = "model"
    times: bool = True
    film: bool = False

    def __post_init__(self) -> None:
        for kind, value, known in (("legend", self.legend, LEGEND_PLACES), ("colours", self.colours, COLOUR_CHOICES)):
            if value not in known:
                raise UsageError(unknown_name(kind, value, known))
        if not 0 <= self.opacity <= 1:
            raise UsageError(f"opacity {self.opacity}; a share from 0 to 1 is needed")


class FrameDrawer:
    """Draws frame after frame of one source with their predictions.

    A frame with a side below LEGIBLE_SIDE is enlarged by a whole factor first, so that the text hides little of it; no
    side is made longer than LARGEST_ENLARGED_SIDE.
    """

    def __init__(
        self,
        predictor: Predictor,
        look: Look | None = None,
        *,
        region: tuple[int, int, int, int] | None = None,
        clock: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        """Join a predictor and a look.

        Args:
            region: y, x, height, width in pixels of the frame: what the model was given; the rest is darkened.
            clock: nanoseconds.
        """
        self._predictor, self._look, self._region, self._clock = predictor, look or Look(), region, clock
        names, palette = predictor.artifact.manifest.labels.names, predictor.artifact.manifest.labels.palette or ()
        self._style = Style(
            palette=default_palette(len(names)) if self._look.colours == "distinct" else palette,
            opacity=self._look.opacity,
            legend=self._look.legend,
            memory=FilmMemory() if self._look.film else None,
        )
        self._last_ns: int | None = None
        self._interval_ns: float | None = None

    def __call__(self, frame: Frame, prediction: Prediction) -> Pixels:
        """The frame, or its preview, with the prediction drawn on it: RGB uint8 (h, w, 3)."""
        shown = frame.preview or frame
        short, long = sorted(shown.size_hw)
        factor = max(1, min(-(-LEGIBLE_SIDE // short), LARGEST_ENLARGED_SIDE // long))
        rgb = shown.rgb()
        if factor > 1:
            size_wh = (rgb.shape[1] * factor, rgb.shape[0] * factor)
            rgb = np.asarray(cv2.resize(rgb, size_wh, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        if self._region is not None:
            top, left, height, width = (factor * value for value in self._region)
            rgb = draw_window(rgb, (top, left, height, width))
        drawn = self._predictor.task.draw(rgb, prediction, self._style)
        if not self._look.times:
            return drawn
        if drawn.shape != rgb.shape:  # the legend is outside, and so are the times
            below = caption_height(rgb)
            drawn = np.pad(drawn, ((0, below), (0, 0), (0, 0)))
        return draw_line(drawn, self._caption(prediction), line_of=rgb)

    def _caption(self, prediction: Prediction) -> str:
        infer_ms, total_ms = prediction.times.infer_ns / 1e6, prediction.times.total_ns / 1e6
        told = f"{self._predictor.artifact.manifest.name}: {infer_ms:.1f} of {total_ms:.1f} ms"
        now_ns, before_ns = self._clock(), self._last_ns
        self._last_ns = now_ns
        if not self._look.film or before_ns is None:
            return told
        newest = float(max(now_ns - before_ns, 1))
        old = newest if self._interval_ns is None else self._interval_ns
        self._interval_ns = _NEWEST * newest + (1 - _NEWEST) * old
        return f"{told}, {1e9 / self._interval_ns:.1f} fps"
