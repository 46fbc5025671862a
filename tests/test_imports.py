"""Light modules load neither torch nor a host tool, nor a runtime, when they are imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIGHT_PACKAGES = ("edge/vision", "edge/data", "edge/evaluation", "edge/camera", "device_bench", "edge/cli")
LIGHT_MODULES = (
    "edge.cli.main",
    "edge.errors",
    "edge.atomic",
    "edge.artifact.manifest",
    "edge.graph.analyses.cost",
    "edge.recipe.recipe",
)
LIGHT_MODULES += ("edge.recipe.recipe_file", "edge.percentile")
LIGHT_PARTS = (
    "edge.artifact.scheme",
    "edge.engines.engine",
    "edge.engines.litert",
    "edge.engines.null",
    "edge.engines.null_session",
    "edge.engines.output_difference",
    "edge.engines.other_python",
    "edge.engines.onnx_session",
    "edge.predictor.predictor",
    "edge.predictor.selftest",
)
HEAVY_VERBS = tuple(
    f"edge.cli.{verb}" for verb in ("models", "train", "eval", "quantize", "convert", "verify", "inspect")
)
HEAVY = {"torch", "onnx", "flatbuffers", "safetensors", "onnxruntime", "ai_edge_litert", "tflite_runtime", "converters"}


def light_modules() -> list[str]:
    """Every module that a device may import: P in the layout of the design."""
    found = [*LIGHT_MODULES, *LIGHT_PARTS]
    for package in LIGHT_PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if name not in HEAVY_VERBS and "benchmarks" not in parts:
                found.append(name)
    return found


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
    assert not loaded_by(module, sys.executable) & HEAVY


def test_light_modules_import_in_an_environment_without_torch() -> None:
    """In the light environment (what a device installs) every light module imports."""
    python = os.environ.get("EDGE_LIGHT_PYTHON")
    if not python:
        if os.environ.get("CI"):
            pytest.fail("EDGE_LIGHT_PYTHON is not set, and CI must have the light environment")
        pytest.skip("EDGE_LIGHT_PYTHON is not set; `make test` makes the light environment")
    loaded = loaded_by(", ".join(light_modules()), python)
    assert not loaded & HEAVY


def test_help_lists_every_verb_without_importing_one() -> None:
    """`edge --help` knows the verbs from the table alone."""
    code = "import sys; from edge.cli.main import main; main(['--help'])"
    code += "; OWN = ('edge.cli.main', 'edge.cli.unforeseen')"
    code += "; print([name for name in sys.modules if name.startswith('edge.cli.') and name not in OWN])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert "convert" in done.stdout
