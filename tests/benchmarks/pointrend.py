"""Accuracy against cost of a segmenter with a point head: bilinear, one to four steps, and the head everywhere.

`python -m tests.benchmarks.pointrend runs/pointrend_int8 --split camvid:FOLDER:val`: one row of Markdown each, on the
artifact's TFLite file in LiteRT; times are the least of all images. `--picture FILE.png` draws frame, mask, bilinear
and refined of the image at which refining corrects most pixels.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import numpy.typing as npt

from edge.artifact.manifest import Artifact, open_artifact
from edge.data.open_split import open_split
from edge.graph.analyses.counts import cost_of
from edge.graph.importers.tflite.reader import read_tflite
from edge.port import DescribedPort
from edge.predictor.artifact_session import open_artifact_session
from edge.predictor.choice import file_for
from edge.predictor.point_session import open_point_session, points_by, run_of
from edge.predictor.selftest import model_input
from edge.tasks.segment_meter import MapMeter
from edge.vision.class_map import frame_class_map
from edge.vision.overlay import draw_class_map
from edge.vision.pixels import resize
from edge.vision.point_rend import MAX_STEPS, STAGES, Points, refined, sample

Array = npt.NDArray[Any]
Refine = Callable[[tuple[Array, ...]], tuple[Array, DescribedPort]]
SCALE = 2


class Row:
    """One way to a class map: what it scores and what its stages take.

    Attributes:
        evaluated: points that the head is asked for, per image.
    """

    def __init__(self, name: str, evaluated: int, refine: Refine, meter: MapMeter) -> None:
        self.name, self.evaluated, self.refine, self.meter = name, evaluated, refine, meter
        self.spent: list[dict[str, int]] = []
        self.last_ns = 0

    def ended(self, stage: str) -> None:
        """Add what passed since the last call to a stage."""
        now = time.perf_counter_ns()
        self.spent[-1][stage] += now - self.last_ns
        self.last_ns = now

    def run(self, outputs: tuple[Array, ...]) -> tuple[Array, DescribedPort]:
        """Refine, timed."""
        self.spent.append(dict.fromkeys(STAGES, 0))
        self.last_ns = time.perf_counter_ns()
        return self.refine(outputs)

    def milliseconds(self, stage: str) -> float:
        """The least that a stage took: what other work on the machine adds is not the stage's."""
        return min(one[stage] for one in self.spent) / 1e6


def everywhere(
    outputs: tuple[Array, ...], told: tuple[DescribedPort, ...], points: Points
) -> tuple[Array, DescribedPort]:
    """The head at every cell of the finest grid that steps reach, `points.rule.points` at a time (NHWC)."""
    height, width = outputs[0].shape[1:3]
    while 2 * height <= points.rule.size_hw[0] and 2 * width <= points.rule.size_hw[1]:
        height, width = 2 * height, 2 * width
    made = []
    for start in range(0, height * width, points.rule.points):
        places = np.arange(start, start + points.rule.points) % (height * width)
        parts = [
            sample(outputs[k].reshape(-1, outputs[k].shape[3]), outputs[k].shape[1:3], places, (height, width))
            for k in (1, 0)
        ]
        points.ended("features")
        made.append(points.run(np.concatenate(parts, axis=1)[None, :, None, :])[0, :, 0, :])
        points.ended("head")
    logits = np.concatenate(made)[: height * width].reshape(1, height, width, -1)
    return logits, replace(points.answer, shape=logits.shape, layout="nhwc", scores=told[0].scores)


def rows_of(
    artifact: Artifact, told: tuple[DescribedPort, ...], head: Points, meter: Callable[[], MapMeter]
) -> list[Row]:
    """Bilinear, the steps, and the head everywhere."""
    rows = []
    for steps in range(MAX_STEPS + 1):
        name = "bilinear" if steps == 0 else f"{steps} step{'s' * (steps > 1)}"
        row = Row(name, steps * head.rule.points, lambda outputs: (outputs[0], told[0]), meter())
        points = replace(head, rule=replace(head.rule, steps=steps), ended=row.ended)
        row.refine = lambda outputs, points=points: refined(outputs, told, points)  # type: ignore[misc]
        rows.append(row)
    height, width = told[0].shape[1:3]
    cells = height * width
    while 2 * height <= head.rule.size_hw[0] and 2 * width <= head.rule.size_hw[1]:
        height, width, cells = 2 * height, 2 * width, 4 * cells
    whole = Row("head everywhere", cells, lambda outputs: (outputs[0], told[0]), meter())
    dense = replace(head, ended=whole.ended)
    whole.refine = lambda outputs: everywhere(outputs, told, dense)
    return [*rows, whole]


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--split", required=True)
@click.option("-n", "--samples", type=int)
@click.option("--picture", type=click.Path(path_type=Path))
def main(folder: Path, split: str, samples: int | None, picture: Path | None) -> None:
    """Print the table."""
    artifact = open_artifact(folder)
    manifest = artifact.manifest
    chosen = open_split(split=split)
    count = len(chosen) if samples is None else min(samples, len(chosen))
    file = file_for(artifact, "litert")
    session = open_artifact_session(artifact, file, "litert")
    head = open_point_session(artifact, file, "litert")
    assert head is not None, "an artifact with a point head"
    points = points_by(artifact, file, run_of(head))
    assert points is not None
    told = tuple(file.outputs[place].described for place in file.told)
    rows = rows_of(artifact, told, points, lambda: MapMeter(chosen))
    network_ns: list[int] = []
    corrected, shown = -1, list[npt.NDArray[np.uint8]]()
    for index in range(count):
        frame = chosen.image(index)
        raw = model_input(resize(frame, manifest.preprocess)[None], file, manifest.preprocess)
        start = time.perf_counter_ns()
        found = session.run([raw])
        network_ns.append(time.perf_counter_ns() - start)
        outputs, maps = tuple(found[place] for place in file.told), []
        for row in rows:
            scores, port = row.run(outputs)
            maps.append(frame_class_map(scores, port, frame.shape[:2], manifest.preprocess))
            row.meter.add(index, maps[-1], frame)
        if picture is not None:
            mask = chosen.mask(index, frame)
            better = int((maps[2] == mask).sum() - (maps[0] == mask).sum())
            if better > corrected:
                corrected, shown = better, [frame, mask, maps[0], maps[2]]
    per_point = cost_of(read_tflite(artifact.read("point_head.tflite"))).multiply_adds / points.rule.points
    network = min(network_ns) / 1e6
    print(f"{count} images; network: {manifest.cost.multiply_adds / 1e6:,.0f} M multiply-adds, {network:.2f} ms")
    print("| | points | head MAdds | mIoU | Boundary IoU | points, features, head: ms | of the network's time |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        figures = row.meter.figures()
        times = [row.milliseconds(stage) for stage in STAGES]
        print(
            f"| {row.name} | {row.evaluated:,} | {row.evaluated * per_point / 1e6:.0f} M | {100 * figures['miou']:.2f} "
            f"| {100 * figures['boundary_miou']:.2f} | {', '.join(f'{one:.2f}' for one in times)} "
            f"| {sum(times) / network:.2f} |"
        )
    if picture is not None and shown:
        frame, mask, *maps = shown
        names, palette = manifest.labels.names, manifest.labels.palette or ()
        drawn = [frame, *(draw_class_map(frame, one.astype(np.uint8), names, palette) for one in (mask, *maps))]
        large = [cv2.resize(one, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST) for one in drawn]
        whole = np.vstack([np.hstack(large[:2]), np.hstack(large[2:])])
        cv2.imwrite(str(picture), whole[:, :, ::-1])


if __name__ == "__main__":
    main()
