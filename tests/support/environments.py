"""Environments beside .venv in which tests run programs: asking for one is taking its fixture.

The fixtures are named in ENVIRONMENTS. What takes one that `make peers` makes belongs to that tier (tiers.py). Each
gives the path of an interpreter: the one that the variable EDGE_<FOLDER>_PYTHON names, else the one that make put into
.venvs. Without either the test is skipped; in CI, which must have them all, it fails.
"""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.lacking import lacking

VENVS = Path(__file__).resolve().parents[2] / ".venvs"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """A folder of .venvs, what makes it, and where its interpreter lies; an optional one CI may lack."""

    folder: str
    made_by: str = "make peers"
    python: str = "bin/python"
    optional: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that names another interpreter."""
        return f"EDGE_{self.folder.replace('-', '_').replace('.', '_').upper()}_PYTHON"

    @property
    def interpreter(self) -> Path:
        """Where its interpreter has to be."""
        return Path(os.environ.get(self.variable) or VENVS / self.folder / self.python)


ENVIRONMENTS = {
    "tflite_runtime_python": Environment(folder="tflite-runtime", made_by="make test"),
    "installed_light_python": Environment(folder="light", made_by="make test"),
    "nncf_python": Environment(folder="nncf"),
    "brevitas_python": Environment(folder="brevitas"),
    "modelopt_python": Environment(folder="modelopt"),
    "mediapipe_python": Environment(folder="mediapipe"),
    "ai_edge_quantizer_python": Environment(folder="ai-edge-quantizer"),
    "litert_cli_python": Environment(folder="litert-cli"),
    "pycocotools_python": Environment(folder="pycocotools"),
    "captum_python": Environment(folder="captum"),
    "onnx2tf_python": Environment(folder="onnx2tf"),
    "newer_python": Environment(folder="python3.13", optional=True),  # only where a Python 3.13 is found
    "emulated_pi": Environment(folder="emulated-pi", python="python3"),
}


def _fixture(environment: Environment) -> Any:
    def interpreter() -> str:
        found = environment.interpreter
        if not found.is_file():
            told = (
                f"no {environment.folder} here: `{environment.made_by}` makes it, {environment.variable} names another"
            )
            lacking(told, optional=environment.optional)
        return str(found)

    interpreter.__doc__ = (
        f"The interpreter of .venvs/{environment.folder}, or the one that {environment.variable} names."
    )
    return pytest.fixture(scope="session")(interpreter)


globals().update({name: _fixture(environment) for name, environment in ENVIRONMENTS.items()})


@pytest.fixture
def light_python(request: pytest.FixtureRequest) -> str:
    """This interpreter where it is the light one, else that of the light environment."""
    if find_spec("torch") is None:
        return sys.executable
    return str(request.getfixturevalue("installed_light_python"))
