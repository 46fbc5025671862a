"""How far apart healthy and sick models are, disease by disease: the figures behind the limits of `edge doctor`.

    python -m tests.benchmarks.doctor [--healthy [--networks FOLDER]]

Healthy: networks made here, float and integer, and the official files of the test data (EDGE_TEST_DATA), classifiers on
photographs. Sick: those of tests/support/sick_models.py, and an official classifier that is fed otherwise. With
`--healthy` every healthy model with what it is called; exit code 1 where one is called sick.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edge.terminal import say
from tests.benchmarks.doctor_healthy import print_healthy
from tests.cases.ended import edge
from tests.support.sick_models import (
    IMAGENET,
    OFFICIAL,
    ZOO,
    card,
    integers,
    network,
    official,
    onnx_file,
    tflite_file,
)

DATA = Path(os.environ.get("EDGE_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
# disease -> (figure, in words, whether the sick are above the limit)
FIGURES = {
    ("double quantization", "weights_on_grid_share"): ("share of weights on a grid", "0.1"),
    ("dead channels", "largest_dead_share"): ("share of a layer's channels", "0.05"),
    ("huge channel ratios", "largest_ratio"): ("largest over median channel", "100"),
    ("wrong mean or std", "off_share"): ("ends of an input's range, off by", "0.25"),
    ("wrong mean or std", "divergence_nats"): ("first batch norms, nats", "0.2"),
    ("wrong mean or std", "standard_errors"): ("answers, standard errors", "4"),
    ("wrong colour order", "standard_errors"): ("answers, standard errors", "4"),
    ("foreign calibration images", "neighbour_correlation"): ("correlation of neighbours", "0.4"),
    ("foreign calibration images", "deviation_grey_levels"): ("deviation, grey levels", "2"),
    ("foreign calibration images", "divergence_nats"): ("activations, nats", "0.06"),
    ("a model at chance", "information_nats"): ("information of answers, nats", "0.01"),
    ("unbounded or signed activations", "levels"): ("levels of the middle 99.9 %", "24"),
}


def patients(folder: Path) -> Iterator[list[str]]:
    """The words for every model, each in a folder of its own."""
    for index, sick in enumerate(ZOO.values()):
        (folder / f"{index}").mkdir()
        yield sick.make(folder / f"{index}")
    for name in ("mobilenet_v1", "mobilenet_v2"):
        (folder / name).mkdir()
        yield [onnx_file(network(name), folder / name)]
    yield [tflite_file(integers(), folder), "--card", card(folder)]
    models = DATA / "models"
    for path in sorted(models.glob("*.tflite")):
        yield [str(path)]
    photographs = ["--images", str(DATA / IMAGENET)]
    for feed in ({}, {"colours": "bgr"}, {"mean": 0.0, "std": 255.0}, {"mean": 123.7, "std": 58.4}):
        again = ["--calibration", str(DATA / IMAGENET)] if not feed else []
        yield [str(models / OFFICIAL), *official(folder, **feed), *photographs, *again]
    cells = ["--calibration", str(DATA / "bccd" / "JPEGImages")]
    yield [str(models / OFFICIAL), *official(folder), *photographs, *cells]
    for part in ("train", "val"):
        street = ["--calibration", f"camvid:{DATA / 'camvid'}:{part}", "-n", "16"]
        yield [str(models / "fast_scnn_camvid_360x480_float.safetensors"), *street]
    yield [str(models / "fast_scnn_camvid_360x480_float.safetensors"), *cells, "-n", "16"]


def main() -> int:
    """Print the table; exit code 1 where a healthy model is called sick."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.doctor", description=__doc__)
    parser.add_argument("--healthy", action="store_true", help="list every healthy model and what it is called")
    parser.add_argument("--networks", type=Path, help="ONNX files of tests.benchmarks.others_networks")
    options = parser.parse_args()
    if options.healthy:
        return int(bool(print_healthy(DATA, options.networks)))
    print_figures()
    return 0


def print_figures() -> None:
    """Print how far apart healthy and sick models are."""
    found: dict[tuple[str, str], dict[str, list[float]]] = {key: {"healthy": [], "sick": []} for key in FIGURES}
    with tempfile.TemporaryDirectory() as folder:
        for words in patients(Path(folder)):
            rows = [json.loads(line) for line in edge("doctor", *words, "--json").out.splitlines()]
            for row in rows[:-1]:
                for disease, figure in FIGURES:
                    if row["disease"] == disease and row.get(figure) is not None and row["state"] != "not judged":
                        found[disease, figure][row["state"]].append(row[figure])
    say("| disease | figure | limit | healthy | sick |", "| --- | --- | --- | --- | --- |")
    for (disease, figure), (words_of, limit) in FIGURES.items():
        cells_of = [_span(found[disease, figure][state]) for state in ("healthy", "sick")]
        say(f"| {disease} | {words_of} | {limit} | {' | '.join(cells_of)} |")


def _span(values: list[float]) -> str:
    return f"{min(values):.3g} to {max(values):.3g} ({len(values)})" if values else "none"


if __name__ == "__main__":
    sys.exit(main())
