"""One thread, and the hand-written networks by name."""

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

_SPEC = importlib.util.spec_from_file_location("quantization_networks", Path(__file__).with_name("networks.py"))
assert _SPEC is not None and _SPEC.loader is not None
networks = importlib.util.module_from_spec(_SPEC)
sys.modules["quantization_networks"] = networks
_SPEC.loader.exec_module(networks)


@pytest.fixture(autouse=True)
def _one_thread_and_seed() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
