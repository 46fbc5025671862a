"""`edge models` prints a table, or one JSON object per line."""

import json

import pytest
from click.testing import CliRunner

from edge.cli.models import GRID, command
from edge.models.registry import build


@pytest.mark.unhurried
def test_table_lists_every_network_with_its_counts() -> None:
    result = CliRunner().invoke(command, [])
    assert result.exit_code == 0
    for text in (
        "mobilenet_v1",
        "mobilenet_v2",
        "fast_scnn",
        "3.505 M",
        "300.8 M",
        "360x480",
        "input, h x w",
        "1.138 M",
    ):
        assert text in result.output


@pytest.mark.unhurried
def test_json_lines_have_the_documented_keys_and_build_what_they_say() -> None:
    result = CliRunner().invoke(command, ["mobilenet_v2", "--json"])
    entries = [json.loads(line) for line in result.output.splitlines()]
    assert len(entries) == sum(name == "mobilenet_v2" for name, _ in GRID)
    for entry in entries:
        assert set(entry) == {"model", "arguments", "resolution_wh", "parameters", "multiply_adds", "unruled"}
        assert entry["unruled"] == []
    first = min(entries, key=lambda entry: entry["parameters"])
    model = build(first["model"], **first["arguments"])
    assert list(model.input_shape[:1:-1]) == first["resolution_wh"]
    assert sum(parameter.numel() for parameter in model.parameters()) == first["parameters"]
