"""Light modules load neither torch nor a host tool, nor a runtime, when they are imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.light import HEAVY, light_modules

ROOT = Path(__file__).resolve().parent.parent
# Runtimes, too, come with the call that opens them.
NEVER_LOADED = {*HEAVY, "onnxruntime", "ai_edge_litert", "tflite_runtime", "converters"}


# One module after the other in one fresh process; what each brings that none before it did.
ONE_BY_ONE = """
import importlib, json, sys
told = {}
for name in sys.argv[1:]:
    before = set(sys.modules)
    importlib.import_module(name)
    told[name] = sorted({loaded.split(".")[0] for loaded in set(sys.modules) - before})
print(json.dumps(told))
"""


def brought_by(modules: list[str], python: str) -> dict[str, set[str]]:
    """Top-level packages that each of the modules is the first of them to load."""
    environment = {**os.environ, "PYTHONWARNINGS": "error", "PYTHONPATH": str(ROOT)}
    command = [python, "-c", ONE_BY_ONE, *modules]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return {name: set(packages) for name, packages in json.loads(done.stdout).items()}


def heavy_of(modules: list[str], python: str) -> dict[str, set[str]]:
    """The modules that are the first to load what is never to be loaded, and what."""
    return {name: heavy for name, found in brought_by(modules, python).items() if (heavy := found & NEVER_LOADED)}


def test_light_modules_load_nothing_heavy() -> None:
    """Neither torch, nor a host tool, nor a runtime comes with any of them."""
    assert heavy_of(light_modules(), sys.executable) == {}


def test_a_module_that_loads_something_heavy_is_named() -> None:
    modules = ["edge.errors", "edge.graph.importers.onnx.reader", "edge.artifact.manifest"]
    assert list(heavy_of(modules, sys.executable)) == modules[1:2]


def test_light_modules_import_in_an_environment_without_torch(light_python: str) -> None:
    """In the light environment (what a device installs) every light module imports."""
    assert heavy_of(light_modules(), light_python) == {}


def test_networks_need_torch_and_numpy_alone() -> None:
    """They are built in environments of other people's tools."""
    found = brought_by(["edge.models.registry"], sys.executable)["edge.models.registry"]
    assert not found & {"pydantic", "cv2", "click", "rich", "onnx", "safetensors"}


def test_the_agent_imports_without_opencv() -> None:
    """A device needs numpy and one runtime; only the stages of a picture need OpenCV, and say so."""
    code = "import sys; sys.modules['cv2'] = None; import device_bench.agent.count_job, device_bench.agent.serve"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_lists_every_verb_without_importing_one() -> None:
    """`edge --help` knows the verbs from the table alone."""
    code = "import sys; from edge.cli.main import main; main(['--help'])"
    code += "; OWN = ('edge.cli.main', 'edge.cli.error_code', 'edge.cli.unforeseen')"
    code += "; print([name for name in sys.modules if name.startswith('edge.cli.') and name not in OWN])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.rstrip().endswith("[]")
    assert "convert" in done.stdout
