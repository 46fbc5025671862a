"""Handing over results to several places, of which one that fails costs the others nothing."""

from collections.abc import Callable

from edge.errors import EdgeError


def hand_over(*steps: Callable[[], object] | None) -> None:
    """Take every step that is not None; the first failure (EdgeError) is raised after the last step."""
    failures = []
    for step in steps:
        try:
            if step is not None:
                step()
        except EdgeError as error:
            failures.append(error)
    if failures:
        raise failures[0]
