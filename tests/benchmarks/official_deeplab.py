"""Google's DeepLabv3 file in our network: logits against its own graph in float, class maps against the file itself.

python -m tests.benchmarks.official_deeplab --data ../shared/data --photographs 50
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from edge.engines.litert import open_litert
from edge.execution.float_run import FloatRun
from edge.models.count import count_module
from tests.support.official_deeplab import (
    NAME,
    float_graph_to_logits,
    full_size_classes,
    logits_of,
    photograph,
    with_weights_of,
)

LAST = 499  # of the photographs


def main() -> None:
    """Print one line per photograph and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="The folder of test data.")
    parser.add_argument("--photographs", type=int, default=50, help="How many, evenly over the 500.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    path = options.data / "models" / f"{NAME}.tflite"
    graph = float_graph_to_logits(path)
    model, theirs, session = with_weights_of(graph), FloatRun(graph), open_litert(path, kernels="xnnpack")
    print(count_module(model))
    differences, agreements, objects = [], [], []
    for index in np.linspace(0, LAST, options.photographs).astype(int).tolist():
        pixels = photograph(options.data, index)
        (expected,) = theirs.run([(pixels.astype(np.float32) - 128) / 128])
        found = logits_of(model, pixels)
        (classes,) = session.run([pixels])
        differences.append(float(np.abs(found.permute(0, 2, 3, 1).numpy() - expected).max() / np.ptp(expected)))
        agreements.append(float((full_size_classes(found) == classes).mean()))
        objects.append(float((classes != 0).mean()))
        print(f"{index:4d}  logits {differences[-1]:.1e} of their range  pixels {agreements[-1]:.4f}", flush=True)
    seen = [agreement for agreement, share in zip(agreements, objects, strict=True) if share > 0]
    print(f"logits: at most {max(differences):.1e} of their range")
    print(
        f"pixels of one class in both: mean {np.mean(agreements):.4f}, median {np.median(agreements):.4f}, least "
        f"{min(agreements):.4f}; over the {len(seen)} photographs with an object {np.mean(seen):.4f}"
    )


if __name__ == "__main__":
    main()
