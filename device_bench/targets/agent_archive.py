"""The measuring code as it travels to a device: one zip archive, the same bytes every time."""

import hashlib
from functools import cache

from edge.engines.agent_code import MODULES, agent_archive, start_arguments

SERVE = "device_bench.agent.serve"
COUNT = "device_bench.agent.count_job"
# They import the standard library, numpy and each other; a runtime, and OpenCV, inside the function that needs it.
BENCH_MODULES = (
    *MODULES,
    "device_bench/__init__.py",
    "device_bench/agent/__init__.py",
    "device_bench/agent/count_job.py",
    "device_bench/agent/explain_parts.py",
    "device_bench/agent/gpu_state.py",
    "device_bench/agent/load.py",
    "device_bench/agent/loop.py",
    "device_bench/agent/machine_facts.py",
    "device_bench/agent/machine_state_facts.py",
    "device_bench/agent/onnx_profile.py",
    "device_bench/agent/onnx_topology.py",
    "device_bench/agent/onnx_trace.py",
    "device_bench/agent/operator_times.py",
    "device_bench/agent/peak_times.py",
    "device_bench/agent/power_facts.py",
    "device_bench/agent/processor_facts.py",
    "device_bench/agent/readers.py",
    "device_bench/agent/readings.py",
    "device_bench/agent/resident.py",
    "device_bench/agent/run_job.py",
    "device_bench/agent/serve.py",
    "device_bench/agent/stages.py",
    "device_bench/agent/turns.py",
    "device_bench/agent/versions.py",
    "device_bench/agent/warmup.py",
    "edge/engines/file_parts.py",
    "edge/engines/null_session.py",
    "edge/engines/output_difference.py",
    "edge/percentile.py",
    "edge/vision/__init__.py",
    "edge/vision/encoding.py",
    "edge/vision/pixels.py",
    "edge/vision/postprocess.py",
)


@cache
def bench_archive() -> bytes:
    """The modules as a zip archive."""
    return agent_archive(BENCH_MODULES)


def bench_archive_sha256() -> str:
    """What a record's `target.agent_sha256` says."""
    return hashlib.sha256(bench_archive()).hexdigest()


def bench_start_arguments(module: str = SERVE) -> list[str]:
    """Arguments for a Python that reads the archive from standard input and then answers messages."""
    return start_arguments(bench_archive(), module)
