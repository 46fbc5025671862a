"""What a test needs and this machine lacks."""

import os
from typing import NoReturn

import pytest


def lacking(told: str, *, optional: bool = False) -> NoReturn:
    """Skip the test, because what it needs is not here; in CI fail it, unless CI may lack that."""
    if os.environ.get("CI") and not optional:
        pytest.fail(f"{told}; CI must have it")
    pytest.skip(told)
