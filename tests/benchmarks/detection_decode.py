"""What decoding a detector's outputs costs: `python -m tests.benchmarks.detection_decode`.

2,034 anchors and 91 columns, as SSDLite 320 with COCO's 90 numbers has them, threshold 0.3, and as many logits above
it as a row says. Processor time of the thread, the least and the median of many calls.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge.port import Port, dequantize
from edge.vision.anchors import anchor_boxes, ssd_grid
from edge.vision.box_coder import BoxCoder
from edge.vision.detections import Selection
from edge.vision.postprocess import sigmoid
from edge.vision.tflite_detections import PostProcess, post_process
from tests.support.ssd_heads import Heads

MAPS = [(20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1)]

COLUMNS = 91
CODE_SCALE, CODE_ZERO, LOGIT_SCALE, LOGIT_ZERO = 0.1, 4, 0.08, 60
SELECTION = Selection(threshold=0.3)


def decoder() -> Heads:
    """Of an INT8 file."""
    anchors = anchor_boxes(ssd_grid(MAPS))
    codes = Port(name="codes", shape=(1, len(anchors), 4), dtype="int8", scale=CODE_SCALE, zero_point=CODE_ZERO)
    shape = (1, len(anchors), COLUMNS)
    logits = Port(name="logits", shape=shape, dtype="int8", scale=LOGIT_SCALE, zero_point=LOGIT_ZERO)
    return Heads(codes=codes, logits=logits, anchors=anchors, coder=BoxCoder())


def outputs(told: Heads, survivors: int) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """Random outputs with so many logits at the threshold or above, the background's high as in a trained network."""
    rng = np.random.default_rng(0)
    least = told.integer_threshold(SELECTION.threshold)
    assert least is not None
    codes = rng.normal(CODE_ZERO, 15, told.codes.shape).clip(-128, 127).astype(np.int8)
    logits = rng.integers(-128, least, told.logits.shape, dtype=np.int8)
    places = rng.choice(len(told.anchors) * (COLUMNS - 1), survivors, replace=False)
    rows, columns = np.divmod(places, COLUMNS - 1)
    logits[0, rows, columns + 1] = rng.integers(least, 128, survivors, dtype=np.int8)
    logits[0, :, 0] = 100
    return codes, logits


def times_us(run: Callable[[], object], calls: int) -> tuple[float, float]:
    """The least and the median of a call, in microseconds of processor time."""
    taken = []
    for _ in range(calls):
        start = time.thread_time_ns()
        run()
        taken.append(time.thread_time_ns() - start)
    return min(taken) / 1000, statistics.median(taken) / 1000


def main() -> None:
    """Print a row for each number of survivors, and one for dequantizing and decoding everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=500)
    calls = parser.parse_args().calls
    told = decoder()
    options = PostProcess(classes=COLUMNS - 1, threshold=SELECTION.threshold, overlap=SELECTION.overlap)
    print(f"{'survivors':>9}  {'found':>5}  {'least us':>9}  {'median us':>9}")
    for survivors in (0, 10, 60, 100, 400):
        codes, logits = outputs(told, survivors)
        found = len(told.found(codes, logits, SELECTION).labels)
        least, median = times_us(partial(told.found, codes, logits, SELECTION), calls)
        print(f"{survivors:>9}  {found:>5}  {least:>9.0f}  {median:>9.0f}")
    codes, logits = outputs(told, 100)

    def everything() -> object:
        real = dequantize(codes, CODE_SCALE, CODE_ZERO)
        return post_process(real, sigmoid(dequantize(logits, LOGIT_SCALE, LOGIT_ZERO)), told.anchors, options)

    least, median = times_us(everything, max(calls // 10, 3))
    print(f"everything dequantized and decoded, 100 survivors: {least:.0f} {median:.0f}")


if __name__ == "__main__":
    main()
