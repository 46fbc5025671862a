"""Which tier a test belongs to: `pytest --tier NAME`, and what such a run says at its end about those it left out.

Every test has one home, so that quick and test, exhaustive and peers together are all of them:

- peers: takes the fixture of an environment that `make peers` makes (environments.py), itself or by another one.
- exhaustive: marked `slow`: a sweep, or a claim on many photographs; a small example of it stays in `make test`.
- quick: the first case of a test that takes no fixture of NOT_QUICK and is not marked `unhurried`, which is for what
  takes over half a second of one core, set-up included; `make quick` names such tests at its end.
- test: every other; `--tier rest` runs them without quick, where quick ran already.

The mark `light` is given here too: to the tests of the light part (light.py) of every home but peers.
"""

from collections import Counter

import pytest

from tests.support.environments import ENVIRONMENTS
from tests.support.light import is_light

PEERS = {name for name, environment in ENVIRONMENTS.items() if environment.made_by == "make peers"} | {"devices"}
# A training, photographs, a browser, another interpreter.
NOT_QUICK = {"road", "test_data", "chromium", "light_python", *ENVIRONMENTS}
# tier -> the homes of the tests that it runs
TIERS = {
    "quick": {"quick"},
    "test": {"quick", "test"},
    "rest": {"test"},
    "exhaustive": {"exhaustive"},
    "peers": {"peers"},
}
LEFT_OUT = pytest.StashKey["Counter[str]"]()


def home_of(item: pytest.Item) -> str:
    """The tier that a test belongs to."""
    taken = set(getattr(item, "fixturenames", ()))
    if taken & PEERS:
        return "peers"
    if item.get_closest_marker("slow"):
        return "exhaustive"
    case = getattr(item, "callspec", None)
    first = case is None or not any(case.indices.values())
    return "quick" if first and not taken & NOT_QUICK and not item.get_closest_marker("unhurried") else "test"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --tier."""
    parser.addoption("--tier", choices=sorted(TIERS), help="run the tests of this tier alone (tests/support/tiers.py)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of the light part, and leave out what is not of the tier asked for."""
    homes = [home_of(item) for item in items]
    for item, home in zip(items, homes, strict=True):
        if home != "peers" and is_light(item.path):
            item.add_marker("light")
    tier = config.getoption("tier")
    if tier is None:
        return
    left = [item for item, home in zip(items, homes, strict=True) if home not in TIERS[tier]]
    config.stash[LEFT_OUT] = Counter(home for home in homes if home not in TIERS[tier])
    items[:] = [item for item, home in zip(items, homes, strict=True) if home in TIERS[tier]]
    config.hook.pytest_deselected(items=left)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that prints, where this is one of several."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["left_out"] = dict(session.config.stash.get(LEFT_OUT, Counter()))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object) -> None:
    """Take what a process told; each collects the same tests."""
    told = getattr(node, "workeroutput", {}).get("left_out", {})
    node.config.stash[LEFT_OUT] = Counter(told)  # type: ignore[attr-defined]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which command runs what was left out."""
    left = config.stash.get(LEFT_OUT, Counter())
    if left:
        told = ", ".join(f"`make {home}` runs {left[home]}" for home in ("test", "exhaustive", "peers") if left[home])
        terminalreporter.write_line(f"left out here: {told}")
