"""Light modules load neither torch nor a host tool, nor a runtime, when they are imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.light import HEAVY, light_modules

ROOT = Path(__file__).resolve().parent.parent
# Runtimes, too, come with the call that opens them.
NEVER_LOADED = {*HEAVY, "onnxruntime", "ai_edge_litert", "tflite_runtime", "converters"}


def loaded_by(module: str, python: str) -> set[str]:
    """Top-level packages in sys.modules after importing one module in a fresh process."""
    code = f"import sys, json, {module}; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("module", light_modules())
def test_light_module_loads_nothing_heavy(module: str) -> None:
    """Neither torch, nor a host tool, nor a runtime comes with it."""
    assert not loaded_by(module, sys.executable) & NEVER_LOADED


def test_light_modules_import_in_an_environment_without_torch() -> None:
    """In the light environment (what a device installs) every light module imports."""
    python = os.environ.get("EDGE_LIGHT_PYTHON")
    if not python:
        if os.environ.get("CI"):
            pytest.fail("EDGE_LIGHT_PYTHON is not set, and CI must have the light environment")
        pytest.skip("EDGE_LIGHT_PYTHON is not set; `make test` makes the light environment")
    loaded = loaded_by(", ".join(light_modules()), python)
    assert not loaded & NEVER_LOADED


def test_help_lists_every_verb_without_importing_one() -> None:
    """`edge --help` knows the verbs from the table alone."""
    code = "import sys; from edge.cli.main import main; main(['--help'])"
    code += "; OWN = ('edge.cli.main', 'edge.cli.unforeseen')"
    code += "; print([name for name in sys.modules if name.startswith('edge.cli.') and name not in OWN])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert "convert" in done.stdout
