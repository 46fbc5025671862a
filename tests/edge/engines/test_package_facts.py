"""Packages say what they are, and nothing is said of what is not installed."""

from importlib import metadata

from edge.engines.package_facts import installed_package, wheel_tag


def test_a_wheel_s_tag_is_the_one_in_its_wheel_file() -> None:
    tag = wheel_tag("numpy")
    assert tag is not None and tag.split()[0].count("-") == 2
    assert all(f"Tag: {part}" in str(metadata.distribution("numpy").read_text("WHEEL")) for part in tag.split())
    assert wheel_tag(None) is None and wheel_tag("a-package-that-nobody-has") is None


def test_the_package_behind_a_module_is_told_by_its_version() -> None:
    version = metadata.version("numpy")
    assert installed_package(("a-package-that-nobody-has", "numpy"), version) == "numpy"
    assert installed_package(("numpy",), "0.0.0") is None
    assert installed_package(("numpy", "NumPy"), version) is None  # two candidates fit: nobody can tell
