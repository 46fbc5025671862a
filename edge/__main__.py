"""`python -m edge`, and the `edge` command: handed over by name, so that nothing here imports a package of ours.

Python itself looks for the modules of `python -m edge` in the current folder first; in a folder of somebody else's use
`edge`, or `python -P -m edge`. What the command starts imports nothing from there (edge/engines/python_child.py).
"""

from runpy import run_module


def run() -> None:
    """Run the command line and leave with its exit code."""
    run_module("edge.cli", run_name="__main__")


if __name__ == "__main__":
    run()
