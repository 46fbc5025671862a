"""The table of hosts: who can run is measured, who cannot is one line."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from device_bench.agent.loop import Samples, measure
from device_bench.agent.readers import READERS
from edge.engines.nvidia_smi import read_gpus
from edge.engines.table import engine_spec
from tests.benchmarks.gpu_hosts import CPU_ENGINES, GPU_ENGINES, PLAN, command, line, open_all, subject_of

pytest.importorskip("onnxruntime", reason="the onnxruntime engine is not installed")
torch = pytest.importorskip("torch", reason="torch is not installed")


def tiny_network(folder: Path) -> None:
    """A network's ONNX file."""
    from converters.onnx.file import onnx_bytes
    from edge.models.registry import build
    from edge.quantization.qat.freeze import float_graph

    torch.manual_seed(0)
    model = build("mobilenet_v1", classes=5, width=0.25, resolution=32).eval()
    (folder / "tiny.onnx").write_bytes(onnx_bytes(float_graph(model, torch.zeros(1, 3, 32, 32))))


def test_every_named_engine_has_such_a_kernel_set() -> None:
    assert all(engine_spec(text).text == text for text in (*GPU_ENGINES, *CPU_ENGINES))


def test_without_a_cuda_device_it_is_one_line() -> None:
    if read_gpus():
        pytest.skip("a CUDA device is here")
    done = CliRunner().invoke(command, [])
    assert done.exit_code == 1
    assert done.output == "gpu_hosts: no CUDA device here: nvidia-smi lists none; --cpu compares on the CPU\n"


def test_an_engine_that_cannot_run_here_is_left_out_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if read_gpus():
        pytest.skip("a CUDA device is here")
    tiny_network(tmp_path)
    opened = open_all(tmp_path, "tiny", ["torch:eager", "torch:cuda-fp16"], 1)
    assert [entry.spec for entry in opened] == ["torch:eager"]
    assert opened[0].difference < 1e-4
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("torch:cuda-fp16: torch: no CUDA device here")


@pytest.mark.unhurried
def test_a_row_tells_compute_and_transfers_apart(tmp_path: Path) -> None:
    tiny_network(tmp_path)
    (entry,) = open_all(tmp_path, "tiny", ["onnxruntime:mlas"], 1)
    plan = type(PLAN)(**{**vars(PLAN), "warmup_duration_ns": 0, "min_runs": 10, "min_duration_ns": 0, "max_runs": 10})
    (samples,) = measure([subject_of(entry)], plan, stable=READERS.stable)
    assert len(samples.samples_ns) == 10 and samples.to_device_ns == []
    assert line(entry, samples).split()[:2] == ["onnxruntime:mlas", "float32"]
    device = Samples(samples_ns=[2_000_000] * 9, to_device_ns=[500_000] * 9, to_host_ns=[100_000] * 9)
    assert line(entry, device).split()[3:7] == ["0.500", "2.000", "2.000", "0.100"]
    assert np.isfinite(entry.difference)
