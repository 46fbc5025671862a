"""The measuring code as it travels to a device: one zip archive, the same bytes every time."""

import hashlib
from functools import cache

from edge.engines.agent_code import agent_archive, start_arguments

SERVE = "device_bench.agent.serve"
COUNT = "device_bench.agent.count_job"


@cache
def bench_archive() -> bytes:
    """The modules that measure and count, and what they need, as a zip archive."""
    return agent_archive(SERVE, COUNT)


def bench_archive_sha256() -> str:
    """What a record's `target.agent_sha256` says."""
    return hashlib.sha256(bench_archive()).hexdigest()


def bench_start_arguments(module: str = SERVE) -> list[str]:
    """Arguments for a Python that reads the archive from standard input and then answers messages."""
    return start_arguments(bench_archive(), module)
