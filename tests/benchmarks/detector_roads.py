"""A detector's float and INT8 files beside onnx2tf's of the same network: x86 time, and instructions on ARM.

    python -m tests.benchmarks.detector_roads FLOAT INT8 --images FOLDER -o FOLDER [--userland FOLDER]

FLOAT and INT8 are artifacts of one network. onnx2tf gets FLOAT's ONNX file, and the images for its own quantization;
what it wrote stays in the folder of `-o` and is not made again. Its INT8 file is timed whether or not its answers are
near the source's: `edge convert --via onnx2tf` judges that. The table is that of `tests.benchmarks.official`.
"""

import shlex
import sys
from pathlib import Path

import click
import numpy as np

from converters.onnx2tf.environment import find_python
from converters.onnx2tf.isolated import run_onnx2tf
from device_bench.bench.bench import bench
from device_bench.jobs.subjects import open_subject
from device_bench.records.plan import Plan
from device_bench.targets.emulated_arm64.userland import CPUS
from device_bench.targets.target import TargetOptions, open_target
from edge.artifact.manifest import open_artifact
from edge.data.decode import image_files, read_image
from edge.errors import EdgeError, UsageError
from edge.files import atomic
from edge.graph.importers.onnx.reader import read_onnx
from edge.vision.pixels import normalize, resize
from tests.benchmarks.official import COUNTING, ENGINE, table

IMAGES = 20
TIMING = Plan(rounds=5, min_runs=20, min_duration_ns=1_000_000_000, max_warmup_duration_ns=2_000_000_000)


def of_onnx2tf(artifact: Path, images: Path, folder: Path) -> list[Path]:
    """onnx2tf's float and INT8 file of a float artifact's ONNX file, in `folder`; one that stands is kept."""
    opened = open_artifact(artifact)
    source = (artifact / "model.onnx").read_bytes()
    preprocess = opened.manifest.preprocess
    made = [folder / f"onnx2tf_{kind}.tflite" for kind in ("float", "int8")]
    for path, quantized in zip(made, (False, True), strict=True):
        if path.is_file():
            continue
        calibration = None
        if quantized:
            files = image_files(images)[:IMAGES]
            if not files:
                raise UsageError(f"{images}: no images there to calibrate with")
            seen = [normalize(resize(read_image(file), preprocess), preprocess) for file in files]
            calibration = (read_onnx(source).inputs[0], np.stack(seen))
        atomic.write_bytes(path, run_onnx2tf(find_python(), source, calibration=calibration).tflite)
    return made


@click.command()
@click.argument("float_artifact", type=click.Path(path_type=Path, exists=True))
@click.argument("int8_artifact", type=click.Path(path_type=Path, exists=True))
@click.option("--images", type=click.Path(path_type=Path, exists=True), required=True, help="Folder for calibration.")
@click.option(
    "-o", "--out", "folder", type=click.Path(path_type=Path), required=True, help="onnx2tf's files stay here."
)
@click.option("--cpu", type=click.Choice(list(CPUS)), default="cortex-a76", show_default=True, help="Emulated core.")
@click.option("--userland", type=click.Path(path_type=Path), help="Where the emulated userland was built.")
def command(
    float_artifact: Path, int8_artifact: Path, images: Path, folder: Path, cpu: str, userland: Path | None
) -> None:
    """Print the table as Markdown."""
    told = shlex.join(["python", "-m", "tests.benchmarks.detector_roads", *sys.argv[1:]])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [float_artifact, int8_artifact, *of_onnx2tf(float_artifact, images, folder)]
        opened = [open_subject(path) for path in paths]
        timed = bench(opened, [ENGINE], TIMING, open_target("local", TargetOptions()), command=told)
        there = open_target("emulated-arm64", TargetOptions(cpu=cpu, userland=userland))
        counted = bench(opened, [ENGINE], COUNTING, there, command=told)
    except EdgeError as error:
        sys.exit(str(error))
    click.echo("\n".join(table(timed, counted, [cpu])))
    for sentence in dict.fromkeys(taint.sentence for record in timed for taint in record.taints):
        click.echo(f"~ {sentence}", err=True)


if __name__ == "__main__":
    command()
