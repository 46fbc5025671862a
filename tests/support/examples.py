"""How many examples a property test draws, and by which seed.

Every tier draws the same examples every time. `make explore` (tests/explore.py) draws others, by a seed that it
prints, until its budget of time is over; what it finds becomes an `@example` of the test.
"""

import os

from hypothesis import HealthCheck, settings

EXPLORING = "EDGE_EXAMPLES" in os.environ


def use_profile() -> None:
    """Make every property test of this run repeatable, or, with EDGE_EXAMPLES, explore as many examples as it says."""
    settings.register_profile(
        "chosen",
        derandomize=not EXPLORING,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("chosen")


def examples(number: int) -> settings:
    """Draw `number` examples, or as many as EDGE_EXAMPLES says."""
    return settings(max_examples=int(os.environ.get("EDGE_EXAMPLES", number)))
