"""Float networks on a host with a CUDA device: `python -m tests.benchmarks.gpu_hosts` (`--cpu` without one).

torch in float32, float16, channels-last and compiled, ONNX Runtime with its CUDA provider; MobileNetV2 at 224x224 and
Fast-SCNN at 1024x2048. Copies to and from the device stand apart from the compute. Every kernel set is first held
against ONNX Runtime on the CPU; all of them are measured in turn. Clocks are read, never set.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from device_bench.agent.gpu_state import gpu_words
from device_bench.agent.loop import LoopPlan, Samples, Subject, measure
from device_bench.agent.readers import READERS
from device_bench.records.percentiles import summarize
from edge.engines.engine import DeviceSession, EngineInfo, Session, open_session
from edge.engines.nvidia_smi import read_gpus
from edge.engines.python_child import THIS_PYTHON, code_arguments
from edge.engines.table import engine_spec
from edge.errors import EdgeError

ROOT = Path(__file__).resolve().parents[2]
GPU_ENGINES = (
    "torch:cuda",
    "torch:cuda-channels-last",
    "torch:cuda-compile",
    "torch:cuda-fp16",
    "torch:cuda-fp16-channels-last",
    "torch:cuda-fp16-compile",
    "onnxruntime:cuda",
)
CPU_ENGINES = (
    "torch:eager",
    "torch:eager-channels-last",
    "torch:compile",
    "torch:bf16",
    "onnxruntime:mlas",
    "litert:xnnpack",
)
GPU_MODELS = ("mobilenet_v2_224", "fast_scnn_1024x2048")
CPU_MODELS = ("mobilenet_v2_224",)
PLAN = LoopPlan(
    rounds=10,
    warmup_runs=10,
    warmup_duration_ns=500_000_000,
    max_warmup_duration_ns=5_000_000_000,
    min_runs=100,
    min_duration_ns=1_000_000_000,
    max_runs=20_000,
)
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True, eq=False)
class Opened:
    """A kernel set that runs here.

    Attributes:
        difference: from ONNX Runtime on the CPU, as a share of the largest answer; NaN where that is not installed.
    """

    spec: str
    session: Session
    inputs: list[Array]
    load_s: float
    difference: float

    @property
    def info(self) -> EngineInfo:
        """What really runs."""
        return self.session.info


def write_networks(folder: Path) -> None:
    """Have the files made by the converters, in a process of their own."""
    code = "import runpy; sys.path.insert(0, sys.argv.pop())"
    code += "; sys.argv[:1] = []; runpy.run_module(sys.argv[0], run_name='__main__')"
    made = code_arguments(code, ["tests.benchmarks.float_networks", str(folder), str(ROOT)])
    subprocess.run([THIS_PYTHON, *made], check=True, stdout=subprocess.DEVNULL)


def model_input(session: Session) -> list[Array]:
    """The same random values for either layout."""
    shape = session.inputs[0].shape
    channels_last = shape[-1] == 3
    nchw = (shape[0], 3, shape[1], shape[2]) if channels_last else shape
    values = np.random.default_rng(0).uniform(-1, 1, nchw).astype(np.float32)
    return [np.ascontiguousarray(values.transpose(0, 2, 3, 1)) if channels_last else values]


def open_all(folder: Path, model: str, specs: Sequence[str], threads: int) -> list[Opened]:
    """Open a model with every engine; one that cannot run it here is one line on standard error, and omitted."""
    expected: Array | None = None
    opened = []
    for spec in ("onnxruntime:mlas", *(spec for spec in specs if spec != "onnxruntime:mlas")):
        asked = engine_spec(spec)
        path = folder / f"{model}.{'tflite' if asked.engine == 'litert' else 'onnx'}"
        start = time.perf_counter()
        try:
            session = open_session(asked.engine, path, threads=threads, kernels=asked.kernels)
            load_s = time.perf_counter() - start
            inputs = model_input(session)
            output = session.run(inputs)[0]
            session.info.kernels  # noqa: B018  refuses a provider that took nothing
        except EdgeError as error:
            click.echo(f"{spec}: {error}", err=True)
            continue
        expected = output if spec == "onnxruntime:mlas" else expected
        difference = float("nan")
        if expected is not None and expected.size == output.size:
            difference = float(np.abs(output - expected).max() / np.abs(expected).max())
        if spec in specs:
            opened.append(Opened(spec=spec, session=session, inputs=inputs, load_s=load_s, difference=difference))
    return opened


def subject_of(entry: Opened) -> Subject:
    """What the loop runs: on a device by its own events, else by the clock."""
    query = partial(entry.session.run, entry.inputs)
    return Subject(query=query, timed_query=partial(_timed, entry) if _on_device(entry) else None)


def _on_device(entry: Opened) -> bool:
    return isinstance(entry.session, DeviceSession)


def _timed(entry: Opened) -> tuple[int, int, int]:
    assert isinstance(entry.session, DeviceSession)
    times = entry.session.run_timed(entry.inputs)
    return times.to_device_ns, times.compute_ns, times.to_host_ns


def line(entry: Opened, samples: Samples) -> str:
    """One row: the transfers' medians beside the compute's."""
    compute = summarize(samples.samples_ns)
    there, back = (_median_ms(values) for values in (samples.to_device_ns, samples.to_host_ns))
    return (
        f"{entry.spec:32}{entry.info.precision or 'float32':>10}{entry.load_s:>9.1f}{there:>11}"
        f"{compute.p50_ns / 1e6:>11.3f}{compute.p99_ns / 1e6:>11.3f}{back:>11}{entry.difference:>12.1e}"
    )


def _median_ms(values_ns: Sequence[int]) -> str:
    return f"{summarize(values_ns).p50_ns / 1e6:.3f}" if values_ns else "-"


HEADER = (
    f"{'engine':32}{'precision':>10}{'load s':>9}{'there ms':>11}{'p50 ms':>11}{'p99 ms':>11}{'back ms':>11}"
    f"{'difference':>12}"
)


@click.command()
@click.option("--cpu", is_flag=True, help="Compare the engines on the CPU, MobileNetV2 alone.")
@click.option("--threads", default=1, show_default=True, help="Threads of the CPU's kernels.")
@click.option("--models", type=click.Path(path_type=Path), help="Folder for the model files; kept, and taken as it is.")
def command(cpu: bool, threads: int, models: Path | None) -> None:
    """Print one table per network; leaves with 1 where no engine could run, or no CUDA device is here."""
    if not cpu and not read_gpus():
        click.echo("gpu_hosts: no CUDA device here: nvidia-smi lists none; --cpu compares on the CPU", err=True)
        sys.exit(1)
    with tempfile.TemporaryDirectory(prefix="edge-networks-") as made:
        folder = models or Path(made)
        if not all((folder / f"{name}.onnx").is_file() for name in GPU_MODELS):
            write_networks(folder)
        measured = 0
        for model in CPU_MODELS if cpu else GPU_MODELS:
            measured += print_table(folder, model, CPU_ENGINES if cpu else GPU_ENGINES, threads)
    sys.exit(int(measured == 0))


def print_table(folder: Path, model: str, specs: Sequence[str], threads: int) -> int:
    """Measure and print one network; returns how many engines ran it."""
    click.echo(f"\n{model}, batch 1, {threads} thread{'s' if threads > 1 else ''}")
    opened = open_all(folder, model, specs, threads)
    before = gpu_words()
    found = measure([subject_of(entry) for entry in opened], PLAN, stable=READERS.stable)
    click.echo(HEADER)
    for entry, samples in zip(opened, found, strict=True):
        click.echo(line(entry, samples))
    for entry in opened:
        options = ", ".join(f"{name} {value}" for name, value in sorted(entry.info.provider_options.items()))
        click.echo(f"{entry.spec}: {entry.info.device or entry.info.machine}; {options or 'no options'}")
    for moment, words in (("before", before), ("after", gpu_words())):
        for text in words:
            click.echo(f"{moment}: {text}")
    return len(opened)


if __name__ == "__main__":
    command()
