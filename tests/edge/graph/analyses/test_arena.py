"""The arena that is planned is the one that LiteRT makes: every activation at its address."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from edge.graph.analyses.arena import arena_bytes, arena_plan
from edge.graph.analyses.counts import count_graph
from edge.graph.importers.tflite.parsing.file import parse
from edge.graph.importers.tflite.reader import read_tflite


def addresses(path: Path) -> dict[str, tuple[int, int]]:
    """Where the built-in kernels keep every activation: first byte and the byte behind it."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    made = litert.Interpreter(
        model_path=str(path), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    made.allocate_tensors()
    found = {}
    for index, tensor in enumerate(parse(path.read_bytes(), str(path)).tensors):
        if tensor.data is None:
            view: Any = made.tensor(index)()
            start = view.__array_interface__["data"][0]
            found[tensor.name] = (start, start + view.nbytes)
            del view
    return found


def compare(path: Path) -> tuple[list[str], int, int]:
    """Activations that lie elsewhere than planned, their number, and bytes used beyond the plan's end."""
    found, plan = addresses(path), arena_plan(read_tflite(path))
    starts = {name: found[name][0] - placed.offset for name, placed in plan.items() if name in found}
    base = Counter(starts.values()).most_common(1)[0][0]
    beyond = max(end for _, end in found.values()) - base - max(placed.end for placed in plan.values())
    return [name for name, start in starts.items() if start != base], len(starts), beyond


def test_a_small_file_is_planned_byte_by_byte(small_file: bytes, tmp_path: Path) -> None:
    path = tmp_path / "small.tflite"
    path.write_bytes(small_file)
    elsewhere, count, beyond = compare(path)
    assert count == 7
    assert set(elsewhere) <= {"mean", "logits"}, "a mean's kernel keeps small tensors of its own in the arena"
    assert beyond <= 0


@pytest.mark.data
def test_official_files_are_planned_byte_by_byte(test_data: Path) -> None:
    paths = sorted((test_data / "models").glob("*.tflite"))
    assert len(paths) > 10
    for path in paths:
        elsewhere, count, beyond = compare(path)
        graph = read_tflite(path)
        means = [name for operator in graph.operators if operator.kind == "Mean" for name in operator.outputs]
        # A mean's kernel keeps three small tensors of its own in the arena: its result and the reshape of it move.
        assert len(elsewhere) <= 3 * len(means), f"{path.name}: {elsewhere}"
        assert count >= len(graph.operators)
        assert beyond <= 0
        assert arena_bytes(graph) >= count_graph(graph).peak_activation_bytes
