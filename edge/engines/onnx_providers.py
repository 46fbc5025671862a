"""ONNX Runtime's execution providers as kernel sets: started by name, and what they really ran."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edge.engines.kernel_sets import PROVIDERS
from edge.engines.table import ENGINES
from edge.errors import EngineError
from edge.files.leftovers import temporary_folder
from edge.files.quiet import quiet_native_log
from edge.port import Port

# Copies that the runtime puts between two providers are no operators.
COPIES = ("MemcpyFromHost", "MemcpyToHost")
EXACT_SUMS = ("session.x64quantprecision", "1")
"""Option of a session: on x86-64 without VNNI the kernels otherwise add pairs of products in 16 bits, which
saturate (`docs/onnx.md`); elsewhere it changes nothing."""
SHARED = "Attempt to replace the existing tensor"
DEFAULT = ENGINES["onnxruntime"].default_kernels  # the CPU's


def start_session(
    runtime: Any,
    path: Path,
    kernels: str,
    threads: int,
    *,
    data: bytes | None = None,
    profile: Path | None = None,
    optimized: Path | None = None,
) -> Any:
    """Make the runtime's session with the providers of a kernel set; a provider that is not there is no silent CPU.

    Args:
        runtime: the module `onnxruntime`.
        data: the file's bytes; None lets the runtime read the file.
        profile: start of the profile's file name; None measures nothing.
        optimized: where the runtime saves the model as it runs it; None saves nothing.

    Raises:
        EngineError: the runtime lacks the provider, the provider does not start, or the file is refused.
    """
    provider = PROVIDERS[kernels]
    available = runtime.get_available_providers()
    if provider.names[0] not in available:
        raise EngineError(
            f"onnxruntime: no {provider.names[0]} in this installation (it has {', '.join(available)}); "
            f"{provider.source}"
        )

    def start(*, exact: bool = True, shares: bool = True) -> Any:
        return runtime.InferenceSession(
            str(path) if data is None else data,
            sess_options=_options(runtime, kernels, threads, profile, optimized, exact=exact),
            providers=[name for name in provider.names if name in available],
            provider_options=[
                {"intra_op_num_threads": str(threads)} if name == "XnnpackExecutionProvider" else {}
                for name in provider.names
                if name in available
            ],
            enable_fallback=False,
            disabled_optimizers=None if shares else ["ConstantSharing"],
        )

    try:
        with quiet_native_log(everything=True):
            session = first_that_starts(start, partial(start, shares=False), partial(start, exact=False))
    except Exception as error:  # the runtime's exceptions share no base class below Exception
        where = "" if kernels == DEFAULT else f" ({provider.names[0]})"
        raise EngineError(f"onnxruntime: {path}: refused by the runtime{where}: {one_line(error)}") from error
    if provider.names[0] not in session.get_providers():
        raise EngineError(f"onnxruntime: the {provider.names[0]} does not start: {provider.absent}")
    return session


def first_that_starts(*starts: Callable[[], Any]) -> Any:
    """A session by the first of some ways that is not refused for a constant that two operators share.

    With exact sums the runtime (1.32) writes a constant once per operator that reads it and stumbles over the
    second: over a small one that it made common to several itself, or a weight that the file has two layers read.
    """
    for start in starts[:-1]:
        try:
            return start()
        except Exception as error:  # the runtime's exceptions share no base class below Exception
            if SHARED not in str(error):
                raise
    return starts[-1]()


def _options(
    runtime: Any, kernels: str, threads: int, profile: Path | None, optimized: Path | None, *, exact: bool
) -> Any:
    options = runtime.SessionOptions()
    if kernels == "xnnpack":  # it has threads of its own; the runtime's would only contend with them
        options.intra_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    else:
        options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3  # errors only
    if exact:
        options.add_session_config_entry(*EXACT_SUMS)
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")  # older versions ignore it
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    if optimized is not None:
        options.optimized_model_filepath = str(optimized)
    return options


def nodes_by_provider(
    runtime: Any, session: Any, path: Path, kernels: str, inputs: Sequence[Port]
) -> Counter[str] | None:
    """How many nodes each provider took when the runtime dealt them out; None where nobody can tell.

    Newer versions of ONNX Runtime say so themselves. Before, a provider other than the CPU is held to a profile of one
    run in a second session, whose nodes are counted after the runtime has fused them; the CPU has no other to fall to.
    """
    if hasattr(session, "get_provider_graph_assignment_info"):
        counted: Counter[str] = Counter()
        for part in session.get_provider_graph_assignment_info():
            counted[str(part.ep_name)] += len(part.get_nodes())
        if counted:
            return counted
    return None if kernels == DEFAULT else profiled_nodes(runtime, path, kernels, inputs)


def profiled_nodes(runtime: Any, path: Path, kernels: str, inputs: Sequence[Port]) -> Counter[str]:
    """How many nodes each provider ran, by a second session's profile of one run on zeros.

    Raises:
        EngineError: the file is refused, or fails on zeros.
    """
    with temporary_folder() as folder:
        session = start_session(runtime, path, kernels, 1, profile=Path(folder) / "profile")
        try:
            session.run(None, {port.name: np.zeros(port.shape, port.dtype) for port in inputs})
        except Exception as error:  # the runtime's exceptions share no base class below Exception
            raise EngineError(f"onnxruntime: {path}: the model failed on zeros: {one_line(error)}") from error
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return count_nodes(events)


def count_nodes(events: Sequence[Mapping[str, Any]]) -> Counter[str]:
    """Nodes by provider in the events of a profile; the copies between providers are not counted."""
    return Counter(
        str(event["args"]["provider"])
        for event in events
        if event.get("cat") == "Node"
        and str(event.get("name", "")).endswith("_kernel_time")
        and event["args"].get("op_name") not in COPIES
    )


def one_line(error: Exception) -> str:
    """A native error's text in one line."""
    return " ".join(str(error).split())
